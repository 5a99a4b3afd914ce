"""A fault campaign: `python tools/faults.py --trials 60 --seed 1`.

Each trial copies a finished run of a tiny workflow, deletes some of its files, lets Snakemake make them again, and
disturbs it at a random moment: signals to Snakemake or a stage, a full disk, photographs that are gone, damaged files.
Then a plain `snakemake` must succeed, and every file of the results must have the bytes of an undisturbed run.
"""

import argparse
import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

import warm

PROJECT = Path(__file__).parents[1]
NOT_RESULTS = {"logs", "tensorboard", ".tickets", ".lock"} | {
    "report.html",
    ".report.html.provenance.json",
}  # which tells times
FREE_MB = (0.02, 1.5)  # left on the full disk
PATIENCE = 900  # seconds for one Snakemake


# ---- a run ------------------------------------------------------------------------------------------------------


class Place:
    """A folder in which Snakemake works on the tiny workflow, in processes forked from `server`."""

    def __init__(self, folder: Path, programs: Path, server: int, rng: random.Random):
        self.folder, self.programs, self.server, self.rng = folder, programs, server, rng
        self.said = folder / "snakemake.log"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(self, cores: int = 2) -> subprocess.Popen:
        """Plain `snakemake`."""
        command = ["snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--cores", str(cores), "--configfile"]
        environment = os.environ | {"PATH": f"{self.programs}:{os.environ['PATH']}"}
        with self.said.open("w") as log:
            overlay = str(PROJECT / "tests" / "faults.yaml")
            return subprocess.Popen(
                [self.programs / "snakemake", *command[1:], overlay],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def run(self, cores: int = 2) -> int:
        return self.start(cores).wait(PATIENCE)

    def processes(self, *names: str) -> dict[int, str]:
        """Those of this moment that are named so, by id: `snakemake`, `cotrain`."""
        found = {}
        for pid in Path(f"/proc/{self.server}/task/{self.server}/children").read_text().split():
            with contextlib.suppress(OSError):  # it has ended
                found[int(pid)] = Path(f"/proc/{pid}/comm").read_text().strip()
        return {pid: name for pid, name in found.items() if name in names}

    def made(self) -> list[Path]:
        """Files and folders that rules make."""
        run = [p for p in (self.results / "tiny").rglob("[!.]*") if p.is_file() and "logs" not in p.parts]
        visible = [p for p in run if not any(part.startswith(".") for part in p.relative_to(self.results).parts)]
        return sorted([*visible, *(self.results / "shared" / "toycity").glob("[!.]*")])

    def forget(self) -> None:
        """Delete one to three of them."""
        for path in self.rng.sample(self.made(), self.rng.randint(1, 3)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def wait_for_orphans(self) -> None:
        """Stages whose Snakemake was killed end on their own."""
        while self.processes("cotrain", "snakemake"):
            time.sleep(0.02)


def contents(results: Path) -> dict[str, str]:
    """Hash of every file of the results, hidden ones included, by name."""
    files = (path for path in results.rglob("*") if path.is_file() and not NOT_RESULTS & {*path.parts})
    return {str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# ---- faults: each lets Snakemake work, and returns what struck, or None if it came too late ----------------------


def signals(number: signal.Signals, *victims: str, all_at_once: bool = False) -> Callable[[Place], str | None]:
    def fault(place: Place) -> str | None:
        place.forget()
        running = place.start()
        struck = None
        time.sleep(place.rng.uniform(0, 0.5))
        for _ in range(place.rng.randint(1, 12)):  # so many processes are let go by
            before = place.processes("cotrain").keys()
            while running.poll() is None and place.processes("cotrain").keys() <= before:
                time.sleep(0.002)
        deadline = time.monotonic() + PATIENCE
        while running.poll() is None and struck is None and time.monotonic() < deadline:
            time.sleep(place.rng.uniform(0, 0.3))
            if found := place.processes(*victims):
                hit = found if all_at_once else [place.rng.choice(sorted(found))]
                struck = " and ".join(sorted({found[pid] for pid in hit}))
                for pid in hit:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
        running.wait(PATIENCE)
        if struck and place.rng.random() < 0.3:
            struck += _damage_restart_file(place)
        return struck

    return fault


def _damage_restart_file(place: Place) -> str:
    for path in (place.results / "tiny" / ".restart").rglob("*.pt"):
        with contextlib.suppress(OSError):
            _truncate(path, place.rng)
            return f", then {path.name} truncated"
    return ""


def _truncate(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(max(1, path.stat().st_size)))


def full_disk(place: Place) -> str | None:
    """The place is a small tmpfs: it is filled up, and has room again afterwards."""
    place.forget()
    used = sum(path.stat().st_blocks * 512 for path in place.folder.rglob("*"))
    _resize(place.folder, used + place.rng.uniform(*FREE_MB) * 1e6)
    failed = place.run() != 0
    _resize(place.folder, 1e9)
    return "disk full" if failed else None


def _resize(folder: Path, size: float) -> None:
    subprocess.run(["mount", "-o", f"remount,size={int(size)}", folder], check=True)


def photographs_gone(place: Place) -> str | None:
    """As when a network disk is away for a while."""
    scenes = place.rng.choice(sorted((place.results / "shared" / "toycity").glob("[!.]*")))
    place.forget()
    if not scenes.exists():
        return None
    (scenes / "images").rename(place.folder / "away")
    failed = place.run() != 0
    if (scenes / "images").exists():  # rendered again
        shutil.rmtree(place.folder / "away")
        return None
    (place.folder / "away").rename(scenes / "images")
    return f"{scenes.name.split('-')[0]} photographs gone" if failed else None


def damaged_notes(place: Place) -> str | None:
    """What Snakemake, the tickets or the files beside results remember is cut short."""
    kinds = [".snakemake/metadata/**/*", "results/tiny/.tickets/**/*.json", "results/**/.*.provenance.json"]
    notes = sorted(p for kind in kinds for p in place.folder.glob(kind) if p.is_file())
    for path in place.rng.sample(notes, 3):
        _truncate(path, place.rng)
    place.forget()
    return "notes truncated"


def damaged_results(place: Place) -> str | None:
    """A file that other stages read is cut short. They must refuse it by name, and a person deletes what they name."""
    path = place.rng.choice(sorted(p for p in place.made() if p.suffix in (".h5", ".pt") and p.parent.name != "data"))
    _truncate(path, place.rng)
    name = str(path.relative_to(place.folder))
    if place.run() != 0:
        if not re.search(rf"error: {re.escape(name)}: .*(delete it|again)", place.said.read_text()):
            raise AssertionError(f"{name} was truncated, and no error names it:\n{place.said.read_text()[-3000:]}")
        path.unlink()
    return f"{path.suffix} truncated"


FAULTS = {
    "SIGKILL to a stage": signals(signal.SIGKILL, "cotrain"),
    "SIGTERM to a stage": signals(signal.SIGTERM, "cotrain"),
    "SIGKILL to Snakemake": signals(signal.SIGKILL, "snakemake"),
    "SIGTERM to Snakemake": signals(signal.SIGTERM, "snakemake"),
    "SIGKILL to all at once": signals(signal.SIGKILL, "cotrain", "snakemake", all_at_once=True),
    "SIGTERM to all at once": signals(signal.SIGTERM, "cotrain", "snakemake", all_at_once=True),
    "full disk": full_disk,
    "photographs gone for a while": photographs_gone,
    "notes of Snakemake and of ours truncated": damaged_notes,
    "results truncated": damaged_results,
}


# ---- the campaign -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def copied(finished: Path, folder: Path, small_disk: bool) -> Iterator[Path]:
    """A copy of a finished run, if asked for on a disk of its own."""
    folder.mkdir()
    if small_disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1G", "tmpfs", folder], check=True)
    try:
        shutil.copytree(finished, folder, symlinks=True, dirs_exist_ok=True)
        yield folder
    finally:
        if small_disk:
            subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(folder)


def can_mount(folder: Path) -> bool:
    place = folder / "mount"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, check=False).returncode == 0
    if mounted:
        subprocess.run(["umount", place], check=True)
    place.rmdir()
    return mounted


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


class Campaign:
    """Trials of faults against one finished run."""

    def __init__(self, folder: Path, seed: int, programs: Path, server: int):
        self.folder, self.seed, self.programs, self.server = folder, seed, programs, server
        self.resumed = 0
        self.finished = self.undisturbed("finished")
        self.expected = contents(self.finished / "results")

    def undisturbed(self, name: str, cores: int = 2) -> Path:
        """The folder of a whole run, with so many stages at the same time."""
        place = self.place(self.folder / name, 0)
        place.folder.mkdir()
        shutil.copy(PROJECT / "config.yaml", place.folder)
        if place.run(cores) != 0:
            raise AssertionError(f"the undisturbed run failed:\n{place.said.read_text()[-1500:]}")
        return place.folder

    def place(self, folder: Path, trial: int) -> Place:
        return Place(folder, self.programs, self.server, random.Random(f"{self.seed} {trial}"))

    def trial(self, number: int, fault: str) -> tuple[str, list[str]]:
        """What struck, and the files that then differ from the undisturbed run's; a miss is tried again."""
        with copied(self.finished, self.folder / f"trial {number}", fault == "full disk") as folder:
            place = self.place(folder, number)
            while (struck := FAULTS[fault](place)) is None:
                place.wait_for_orphans()
                place.run()
            code = place.run()
            place.wait_for_orphans()
            logs = (path.read_text(errors="replace") for path in (place.results / "tiny" / "logs").rglob("train.log"))
            self.resumed += sum("goes on after step" in log for log in logs)
            wrong = differences(self.expected, contents(place.results))
            if code or wrong:
                shutil.copytree(folder, self.folder / f"failed {number}", symlinks=True)
            return struck, [f"snakemake ended with {code}"] * (code != 0) + wrong


@contextlib.contextmanager
def campaign(folder: Path, seed: int) -> Iterator[Campaign]:
    with warm.programs(folder) as (programs, server):
        yield Campaign(folder, seed, programs, server)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="number of the first trial, to repeat one")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults "))
    names = [name for name in FAULTS if name != "full disk" or can_mount(folder)]
    if len(names) < len(FAULTS):
        print("full disk: skipped, mounting a small disk needs root")
    done, equal = Counter(), Counter()
    with campaign(folder, options.seed) as faults:
        for number in range(options.first, options.first + options.trials):
            fault = names[number % len(names)]
            struck, wrong = faults.trial(number, fault)
            done[fault] += 1
            equal[fault] += not wrong
            print(f"{number}: {fault} ({struck}): {wrong or 'equal'}", flush=True)
    print("\n| fault | trials | byte-equal after a plain `snakemake` |\n|---|--:|--:|")
    for fault in names:
        print(f"| {fault} | {done[fault]} | {equal[fault]} |")
    print(f"| **all** | {done.total()} | {equal.total()} |")
    print(f"\n{len(faults.expected)} files compared in each; {faults.resumed} trainings went on from a restart file.")
    if failed := done.total() - equal.total():
        print(f"{failed} failed; what they left is in {folder}")
    else:
        shutil.rmtree(folder)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
