"""A SLURM of this machine alone, for tests: munge, a controller and one node with fake GPUs; no accounting.

`python tools/slurm.py` keeps one up until Ctrl-C, to try docs/cluster.md. Needs root and the Debian packages munge,
slurmctld, slurmd and slurm-client, and ends only the processes that it started.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import yaml

from cotrain.base.progress import TIME
from cotrain.procedure.plan import Plan

PROJECT = Path(__file__).parents[1]

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
# Snakemake's job steps drop SLURM_CONF from their environment, so that all programs must find the file by themselves.
CONFIG = Path("/etc/slurm/slurm.conf")
PREFIX = "slurm-"  # of the temporary folder of a SLURM from here
FIELDS = ("JobID", "State", "Comment", "tres-per-job", "NumCPUs", "MinMemory", "TimeLimit")
FIELDS += ("SubmitTime", "StartTime", "EndTime")
GROUPS = ("data", "labels", "report")
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL"}
PATIENCE = 60  # seconds for what SLURM does by itself


def missing() -> str | None:
    """Why no SLURM can be started here, if so."""
    if os.geteuid() != 0:
        return "starting SLURM needs root"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"no {', '.join(absent)}: apt-get install munge slurmctld slurmd slurm-client"
    if os.path.lexists(CONFIG) and not _left_behind():
        return f"{CONFIG} is there: this machine has a SLURM of its own, or another test's"
    return None


def _left_behind() -> bool:
    """Whether CONFIG is of a SLURM from here whose process was killed, so that nothing took it away."""
    folder = CONFIG.readlink().parent if CONFIG.is_symlink() else None
    if folder is None or folder.parent != Path(tempfile.gettempdir()) or not folder.name.startswith(PREFIX):
        return False  # a machine's own, say /opt/slurm-23.02, which nobody takes away
    try:
        controller = int((folder / "slurmctld.pid").read_text())
        return Path(f"/proc/{controller}/comm").read_text() != "slurmctld\n"
    except (OSError, ValueError):
        return True


class Job(NamedTuple):
    """What SLURM knows of a job."""

    id: str
    state: str
    comment: str  # Snakemake's: the rule and its wildcards, or the group and its rules
    gpus: int
    cpus: int
    memory: int  # MiB that it asked for
    limit: str  # of its time
    wait: float  # seconds, until now if it still does
    wall: float
    peak: float  # MiB that it was seen to have; 0 if it never was

    @property
    def kind(self) -> str:
        """The rule, or the first word of the group."""
        rule = self.comment.partition("_wildcards_")[0]
        group = rule.partition("_")[0]
        return group if group in GROUPS else rule


class Slurm:
    """One node with `gpus` fake GPUs and as many CPUs as asked for, whatever the machine has."""

    def __init__(self, folder: Path, gpus: int = 2, cpus: int = 4, memory_mb: int = 16000):
        self.folder, self.gpus, self.cpus, self.memory_mb = folder, gpus, cpus, memory_mb
        self.host = socket.gethostname().partition(".")[0]
        self.started: list[subprocess.Popen] = []
        self.peaks: dict[str, dict[str, float]] = {}  # job → its steps → MiB

    def __enter__(self) -> "Slurm":
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    # ---- what an operator or a user does ------------------------------------------------------------------------

    def drain(self) -> None:
        """No further job starts on the node; those that run go on."""
        self.call("scontrol", "update", f"NodeName={self.host}", "State=DRAIN", "Reason=test")

    def resume(self) -> None:
        self.call("scontrol", "update", f"NodeName={self.host}", "State=RESUME")

    def cancel(self, job: Job) -> None:
        self.call("scancel", job.id)

    def shorten(self, job: Job) -> None:
        """To one minute since its start, the least that there is."""
        self.call("scontrol", "update", f"JobId={job.id}", "TimeLimit=1")

    def jobs(self) -> list[Job]:
        """All jobs since the start, in the order of their submission."""
        form = ",".join(f"{field}:|" for field in FIELDS)
        lines = self.call("squeue", "--all", "--states=all", "--noheader", "--sort=i", f"--Format={form}").splitlines()
        rows = [line.rstrip("|").split("|") for line in lines]
        return [_job(*row, peak=sum(self.peaks.get(row[0], {}).values())) for row in rows]

    def look(self) -> list[Job]:
        """All jobs, after asking those that run what memory they have come to."""
        jobs = self.jobs()
        form = ["--allsteps", "--noheader", "--parsable2", "--noconvert", "--format=JobID,MaxRSS"]
        for job in jobs:
            if job.state == "RUNNING":
                command = ["sstat", *form, f"--jobs={job.id}"]
                result = subprocess.run(command, capture_output=True, text=True, check=False)  # fails if it just ended
                for line in result.stdout.splitlines():
                    step, _, size = line.partition("|")
                    steps = self.peaks.setdefault(job.id, {})
                    steps[step] = max(steps.get(step, 0.0), float(size or 0) / 2**20)
        return jobs

    def snakemake(self) -> float:
        """MiB that the two Snakemakes of a job have: twice the one that is alone in its step, `batch`.

        The median of the jobs, for a process counts twice in the moment in which it starts another.
        """
        steps = [step for steps in self.peaks.values() for step in steps.items()]
        return 2 * statistics.median(size for name, size in steps if name.endswith(".batch"))

    def call(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout

    # ---- start and stop -----------------------------------------------------------------------------------------

    def _start(self) -> None:
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(mode=0o755, parents=True)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        for i in range(self.gpus):  # as good as /dev/null
            os.mknod(self.folder / f"gpu{i}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        self._configure()
        munge = {"key-file": key} | {f"{name}-file": self.folder / "munge" / name for name in ("pid", "log", "seed")}
        options = [f"--{name}={path}" for name, path in munge.items()]
        self._daemon("munged", "--foreground", "--force", f"--socket={self.socket}", *options)
        _wait(self.socket.exists, "munged")
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D", "-N", self.host)
        _wait(lambda: self._node() in ("idle", "mix", "alloc"), "the node")

    @property
    def socket(self) -> Path:
        return self.folder / "munge" / "socket"

    def _configure(self) -> None:
        gres = f"NodeName={self.host} Name=gpu File={self.folder}/gpu[0-{self.gpus - 1}]\n" if self.gpus else ""
        (self.folder / "gres.conf").write_text(gres)
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n")
        ports = _free_ports(2)
        node = f"CPUs={self.cpus} RealMemory={self.memory_mb} Gres=gpu:{self.gpus} State=UNKNOWN"
        config = self.folder / "slurm.conf"
        config.write_text(f"""\
ClusterName=test
SlurmctldHost={self.host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={self.socket}
CredType=cred/munge
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd.pid
SlurmctldLogFile={self.folder}/slurmctld.log
SlurmdLogFile={self.folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
MinJobAge=86400
KillWait=30
GresTypes=gpu
NodeName={self.host} NodeAddr=127.0.0.1 NodeHostname={self.host} {node}
PartitionName=main Nodes={self.host} Default=YES MaxTime=INFINITE State=UP
""")
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.unlink(missing_ok=True)  # see _left_behind
        CONFIG.symlink_to(config)

    def _daemon(self, name: str, *arguments: str) -> None:
        options = {"env": os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")}, "stdin": subprocess.DEVNULL}
        command = [shutil.which(name), *arguments]
        with (self.folder / f"{name}.out").open("w") as log:
            self.started.append(subprocess.Popen(command, stdout=log, stderr=log, **options))

    def _node(self) -> str:
        result = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False)
        return result.stdout.strip()

    def _stop(self) -> None:
        """Cancel what still runs, then end the daemons, the last started first."""
        with contextlib.suppress(subprocess.SubprocessError):
            self.call("scancel", "--state=PENDING", "--user=root")
            self.call("scancel", "--user=root")
            _wait(lambda: all(job.state in OVER for job in self.jobs()), "the end of all jobs")
        for process in reversed(self.started):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if CONFIG.is_symlink() and CONFIG.readlink() == self.folder / "slurm.conf":
            CONFIG.unlink()


def table(jobs: list[Job]) -> str:
    """In Markdown, by rule or group: how many, times, retries, memory."""
    rows = {kind: [job for job in jobs if job.kind == kind] for kind in dict.fromkeys(job.kind for job in jobs)}
    lines = [
        "| job | jobs | retries | queue wait, s | wall, s | GPUs | CPUs | MiB asked for | MiB at most | ratio |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    first = {job.comment: job.memory for job in reversed(jobs)}  # what was asked for before any retry
    for kind, some in rows.items():
        most = min(some, key=lambda job: ratio(job, first[job.comment]))
        cells = [
            f"`{kind}`",
            len(some),
            len(some) - len({job.comment for job in some}),
            _range([job.wait for job in some]),
            _range([job.wall for job in some]),
            most.gpus,
            most.cpus,
            first[most.comment],
            f"{most.peak:.0f}",
            f"{ratio(most, first[most.comment]):.2f}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


class Stage(NamedTuple):
    """The memory of a stage, MiB."""

    name: str
    peak: int  # at most, of all its jobs, by their last words
    asked: int  # for each of its jobs

    def ratio(self, snakemake: float) -> float:
        """Of the memory asked for to what stage and Snakemake have."""
        return self.asked / (self.peak + snakemake)


def training_memory() -> int:
    """MB that a training of config.yaml asks for."""
    config = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    return Plan(config, PROJECT / "workflow").training_memory()


def stages(results: Path, profile: Path) -> list[Stage]:
    """Those whose logs are below `results`, with what `profile` asks for, the greatest first."""
    peaks = {}
    for log in results.rglob("*.log"):
        for name, _, peak in TIME.findall(log.read_text()):
            peaks[name] = max(peaks.get(name, 0), int(peak))
    given = yaml.safe_load(profile.read_text())
    [default] = [text.partition("=")[2] for text in given["default-resources"] if text.startswith("mem_mb=")]
    asked = {rule: resources["mem_mb"] for rule, resources in given["set-resources"].items() if "mem_mb" in resources}
    asked["train"] = f"attempt * {training_memory()}"
    numbers = {name: eval(asked.get(name, default), {"attempt": 1, "threads": 1}) for name in peaks}
    return sorted((Stage(name, peaks[name], numbers[name]) for name in peaks), key=lambda stage: -stage.peak)


def stage_table(some: list[Stage], snakemake: float) -> str:
    """In Markdown."""
    lines = ["| stage | MiB at most | and Snakemake | asked for, MiB | ratio |", "|---|--:|--:|--:|--:|"]
    for stage in some:
        with_snakemake = f"{stage.peak + snakemake:.0f}"
        lines.append(
            f"| `{stage.name}` | {stage.peak} | {with_snakemake} | {stage.asked} | {stage.ratio(snakemake):.2f} |"
        )
    return "\n".join(lines)


def ratio(job: Job, asked: int) -> float:
    """Of the memory asked for to the memory that it was seen to have."""
    return asked / job.peak if job.peak else float("inf")


def _range(seconds: list[float]) -> str:
    low, high = min(seconds), max(seconds)
    return f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}"


def _job(
    id: str, state: str, comment: str, tres: str, cpus: str, memory: str, limit: str, *times: str, peak: float
) -> Job:
    submitted, started, ended = (None if t in ("N/A", "Unknown") else datetime.fromisoformat(t) for t in times)
    now = datetime.now()
    wait = ((started or ended or now) - submitted).total_seconds()
    wall = (min(ended or now, now) - started).total_seconds() if started else 0.0  # that of a running one is its limit
    gpus = int(tres.rpartition(":")[2]) if "gpu" in tres else 0
    name, megabytes = comment.removeprefix("rule_"), int(memory.removesuffix("M"))
    return Job(id, state, name, gpus, int(cpus), megabytes, limit, max(0.0, wait), max(0.0, wall), peak)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"SLURM: {what} is not there after {PATIENCE} s")
        time.sleep(0.1)


@contextlib.contextmanager
def slurm(gpus: int = 2, cpus: int = 4) -> Iterator[Slurm]:
    """A SLURM in a new folder, which is deleted afterwards. Raises AssertionError where `missing()` has a reason."""
    assert missing() is None, missing()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o755)
    try:
        with Slurm(folder, gpus, cpus) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=2, help="fake ones")
    parser.add_argument("--cpus", type=int, default=4, help="that it believes to have")
    options = parser.parse_args()
    if reason := missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), slurm(options.gpus, options.cpus) as running:
        print(f"SLURM is up: {running.folder}. Ctrl-C ends it.", flush=True)
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
