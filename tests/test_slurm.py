"""The tiny workflow through profiles/slurm on a real SLURM, with what goes wrong on clusters."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import faults
import pytest
import slurm
from workflow_runs import PROJECT, SNAKEFILE

pytestmark = pytest.mark.skipif(slurm.missing() is not None, reason=str(slurm.missing()))
PATIENCE = 3600  # seconds for the workflow
TRAININGS = {"train"}
PROFILE = PROJECT / "profiles" / "slurm"
OVERLAY = PROJECT / "tests" / "faults.yaml"  # which writes a restart file after every step


class Workflow:
    """Snakemake at work through the profile, in a folder of its own."""

    def __init__(self, cluster: slurm.Slurm, folder: Path):
        self.cluster, self.folder = cluster, folder
        shutil.copy(PROJECT / "config.yaml", folder)
        command = [sys.executable, "-m", "snakemake", *SNAKEFILE, "--workflow-profile", PROFILE]
        # This SLURM accounts for nothing, and its jobs take seconds.
        command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
        command += ["--seconds-between-status-checks", "1", "--configfile", OVERLAY]
        self.said = folder / "snakemake.log"
        with self.said.open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)

    def until(self, condition: Callable[[list[slurm.Job]], object]) -> object:
        """What `condition` says of all jobs, as soon as it is not empty."""
        deadline = time.monotonic() + PATIENCE
        while not (found := condition(self.cluster.look())):
            assert self.process.poll() is None, self.said.read_text()[-3000:]
            assert time.monotonic() < deadline, self.said.read_text()[-3000:]
            time.sleep(0.5)
        return found

    def finish(self) -> list[slurm.Job]:
        """All jobs, once Snakemake has ended well."""
        while self.process.poll() is None:
            self.cluster.look()
            time.sleep(0.5)
        assert self.process.returncode == 0, self.said.read_text()[-5000:]
        return self.cluster.jobs()


@pytest.fixture(scope="module")
def cluster():
    with slurm.slurm() as running:
        yield running


@pytest.fixture(scope="module")
def disturbed(cluster, tmp_path_factory) -> tuple[Path, list[slurm.Job]]:
    """Results, and jobs, of a workflow that met a time limit, a drained node and a cancelled job."""
    folder = tmp_path_factory.mktemp("on slurm")
    workflow = Workflow(cluster, folder)
    try:
        workflow.until(lambda jobs: [job for job in jobs if job.kind == "data" and job.state == "COMPLETED"])
        _hang_in(folder / "results" / "tiny" / ".restart" / "source.pt", workflow)
        cluster.shorten(next(job for job in cluster.jobs() if job.comment == "train_wildcards_source"))

        workflow.until(lambda jobs: [job for job in jobs if job.kind == "infer" and job.state == "RUNNING"])
        cluster.drain()
        workflow.until(lambda jobs: any(job.state == "PENDING" for job in jobs))
        workflow.until(lambda jobs: all(job.state != "RUNNING" for job in jobs))
        cluster.resume()

        [running, *_] = workflow.until(lambda jobs: [j for j in jobs if _trains_a_cycle(j) and j.state == "RUNNING"])
        cluster.cancel(running)
        jobs = workflow.finish()
    finally:
        workflow.process.kill()
        workflow.process.wait()
    print(f"\n{slurm.table(jobs)}")
    print(f"\n{slurm.stage_table(slurm.stages(folder / 'results', PROFILE / 'config.yaml'), cluster.snakemake())}")
    return folder / "results", jobs


def _trains_a_cycle(job: slurm.Job) -> bool:
    return job.comment.startswith(("train_wildcards_selftrain", "train_wildcards_cotrain"))


def _hang_in(restart: Path, workflow: Workflow) -> None:
    """Stop the training that has just written its restart file, so that it is still there at its time limit."""
    while not restart.exists():
        assert workflow.process.poll() is None, workflow.said.read_text()[-3000:]
        time.sleep(0.02)
    [training] = [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if f"--restart\0{restart.relative_to(workflow.folder)}".encode() in _command_line(process)
    ]
    os.kill(training, signal.SIGSTOP)


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def test_results_have_the_bytes_of_a_workstation(disturbed, campaign):
    assert faults.differences(campaign.expected, faults.contents(disturbed[0])) == []


def test_a_training_at_its_time_limit_is_resubmitted_with_more_and_goes_on(disturbed):
    results, jobs = disturbed
    again = [job for job in jobs if job.comment == "train_wildcards_source"]
    assert [(job.state, job.limit) for job in again] == [("TIMEOUT", "1:00"), ("COMPLETED", "8:00:00")]
    assert again[1].memory == 2 * again[0].memory
    assert "goes on after step" in (results / "tiny" / "logs" / "source" / "train.log").read_text()


def test_a_cancelled_job_is_submitted_again(disturbed):
    [cancelled] = [job for job in disturbed[1] if job.state == "CANCELLED"]
    again = [job for job in disturbed[1] if job.comment == cancelled.comment]
    assert [job.state for job in again] == ["CANCELLED", "COMPLETED"]


def test_jobs_with_a_network_get_a_gpu_and_small_stages_are_one_job(disturbed):
    jobs = {job.comment: job for job in disturbed[1]}.values()
    count = {kind: sum(job.kind == kind for job in jobs) for kind in {job.kind for job in jobs}}
    networks = {"train": 7, "infer": 4, "evaluate": 8}
    assert count == networks | {"data": 1, "labels": 3, "report": 1}
    assert {job.kind for job in jobs if job.gpus == 1} == networks.keys()
    cpus = {job.comment: job.cpus for job in jobs if job.gpus}  # where it is submitted no GPU is seen, so no workers
    assert cpus == dict.fromkeys(cpus, 1) | {"train_wildcards_final": 2}
    assert all(job.gpus == 0 and job.cpus <= 2 for job in jobs if job.kind in slurm.GROUPS)


def test_stages_ask_for_about_the_memory_that_they_need(disturbed, cluster):
    stages = slurm.stages(disturbed[0], PROFILE / "config.yaml")
    assert {"render", "statistics", "train", "infer", "threshold", "plot", "report"} <= {stage.name for stage in stages}
    for stage in stages:
        assert 1 < stage.ratio(cluster.snakemake()) < 2, stage


def test_jobs_ask_for_about_the_memory_that_they_need(disturbed, cluster):
    """SLURM kills those that exceed it. A group asks for two stages, which may miss each other.

    SLURM looks once a second and may miss the peak of a short job, which a stage's last words tell.
    """
    peaks = {stage.name: stage.peak for stage in slurm.stages(disturbed[0], PROFILE / "config.yaml")}
    first = {job.comment: job.memory for job in reversed(disturbed[1])}
    for kind in {job.kind for job in disturbed[1]}:
        done = [job for job in disturbed[1] if job.kind == kind and job.state == "COMPLETED"]
        least = min(slurm.ratio(job, first[job.comment]) for job in done)
        if kind not in slurm.GROUPS:
            said = peaks["train" if kind in TRAININGS else kind] + cluster.snakemake()
            least = min(least, first[done[0].comment] / said)
        assert 1 < least < (2.5 if kind in slurm.GROUPS else 2), kind


def test_only_a_configuration_that_a_killed_test_left_is_taken_away(tmp_path, monkeypatch, cluster):
    assert slurm.missing() is not None and not slurm._left_behind()  # the one at work
    monkeypatch.setattr(slurm, "CONFIG", tmp_path / "slurm.conf")
    monkeypatch.setattr(slurm.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    assert slurm.missing() is None
    ours, theirs = (tmp_path / name / f"{slurm.PREFIX}23.02" for name in ("tmp", "opt"))
    for folder, expected in ((ours, True), (theirs, False)):
        folder.mkdir(parents=True)
        slurm.CONFIG.symlink_to(folder / "slurm.conf")  # dangling
        assert slurm._left_behind() == (slurm.missing() is None) == expected
        (folder / "slurmctld.pid").write_text(str(os.getpid()))  # of another program by now
        assert slurm._left_behind() == expected
        slurm.CONFIG.unlink()
    slurm.CONFIG.touch()
    assert slurm.missing() is not None
