"""With `inference.keep_predictions: false`: real Snakemake, and a run whose predictions are gone."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from faults import contents
from reruns_table import nested
from workflow_runs import SNAKEFILE, TINY, merged, snakemake

from cotrain.cli import main
from cotrain.files import hashes
from cotrain.files.sidecars import dropped, kept, made_files, sidecar

OFF = {"inference": {"keep_predictions": False}}
CYCLES = ("01", "02")
ROUNDS = [*(f"selftrain/{c}" for c in CYCLES), *(f"cotrain/{c}/{m}" for c in CYCLES for m in (1, 2)), "final"]
FINAL = "results/tiny/final/predictions.h5"


def overlays(folder: Path, edit: dict | None = None) -> tuple[Path, ...]:
    """Config files of a run without predictions, and with an edit."""
    path = folder / "off.yaml"
    path.write_text(yaml.safe_dump(merged(OFF, edit or {})))
    return TINY, path


def make(folder: Path, *targets: str, edit: dict | None = None) -> str:
    """Call snakemake; what it printed."""
    result = snakemake(folder, *targets, overlays=overlays(folder, edit))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def lean(tmp_path_factory) -> Path:
    """The folder of a finished run without predictions; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("a lean run")
    said = make(folder)
    assert said.count("Removing temporary output") == len(ROUNDS)
    return folder


@pytest.fixture
def copy(lean, tmp_path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(lean, folder)
    return folder


@pytest.fixture
def planned(dry_run):
    """What is planned in a folder after an edit, given by dotted keys."""
    return lambda folder, edit=None: dry_run(folder, merged(OFF, nested(edit or {})))


def results_of(folder: Path) -> dict[str, str]:
    """Hashes of all that a run made but for predictions; the report, which tells of times, is none of it."""
    found = contents(folder / "results")
    return {name: text for name, text in found.items() if not name.endswith("/predictions.h5")}


# ---- a finished run ---------------------------------------------------------------------------------------------


def test_predictions_are_gone_what_they_were_is_known_and_a_second_run_does_nothing(lean, planned):
    files = [lean / "results/tiny" / round / "predictions.h5" for round in ROUNDS]
    assert list(lean.rglob("predictions.h5")) == []
    assert all(map(dropped, files)) and all(kept(path)["sha256"] for path in files)
    assert planned(lean) == ([], [])


def test_other_results_have_the_bytes_of_a_run_that_keeps_them(run, lean):
    expected = results_of(run)
    assert len(expected) > 100 and results_of(lean) == expected
    for round in ROUNDS:  # and the predictions had
        assert kept(lean / "results/tiny" / round / "predictions.h5")["sha256"] == hashes.sha256(
            run / "results/tiny" / round / "predictions.h5"
        )


def test_report_has_all_but_them_and_says_so(run, lean):
    pages = [(folder / "results/tiny/report.html").read_text(encoding="utf-8") for folder in (run, lean)]
    assert ["confidence for self-training 1" in page for page in pages] == [True, False]
    assert ["these files were not kept" in page for page in pages] == [False, True]
    names = [re.findall(r'<section id="(\w+)"|<caption>(.*?)</caption>|"(pseudo-label for .*?)"', p) for p in pages]
    assert names[0] == names[1] and len(names[0]) > 20


def test_no_later_cycle_finds_predictions_of_an_earlier_one(lean):
    """Snakemake removes a round's before the training that follows has ended, so before the next round's are made."""
    said = (lean / ".snakemake/log").glob("*.log")
    text = max((path.read_text() for path in said), key=len)
    events = re.findall(
        r"(?:Removing temporary output|^ +output:) results/tiny/(\S+?)/(predictions\.h5|model\.pt)", text, re.M
    )
    alive, most = set(), 0
    for round, name in events:
        if name == "predictions.h5":
            alive ^= {round}  # made, then removed
            most = max(most, len(alive))
    assert alive == set() and 2 <= most <= 3


# ---- edits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["inference.scales", "inference.batch", "final.ensemble"])
def test_edit_that_reaches_the_inference_makes_it_again_with_what_follows(lean, planned, key):
    value = {"inference.scales": [0.5, 1.0], "inference.batch": 4, "final.ensemble": "max"}[key]
    rounds = ["final"] if key == "final.ensemble" else ROUNDS
    plan = planned(lean, {key: value})
    assert {("infer", f"{r}/infer") for r in rounds} == {name for name in plan.names if name[0] == "infer"}
    assert {("threshold", f"{r}/threshold") for r in rounds} <= set(plan.names)
    assert ("train", "final/train") in plan.names and "train source" not in plan.kinds
    assert plan.words and all(f" first: {key}: " in words for words in plan.words)
    assert planned(lean) == ([], [])


def test_edit_that_reaches_only_the_thresholds_makes_their_predictions_again(lean, planned):
    plan = planned(lean, {"cotrain.thresholds.confidence_max": 0.8})
    made = {log.rpartition("/")[0] for rule, log in plan.names if rule == "infer"}
    assert made == {log.rpartition("/")[0] for rule, log in plan.names if rule == "threshold"} == {*ROUNDS[2:]}
    assert not {log for _, log in plan.names if log.startswith("selftrain")}
    assert all("threshold" in words for words in plan.words) and plan.words


def test_edits_that_reach_no_predictions_make_none_again(lean, planned):
    plan = planned(lean, {"training.final.steps": 4, "report.images": 3})
    assert plan.first == ["train final", "train upper_bound"]
    assert not {"infer", "threshold", "draw"} & {rule for rule, _ in plan.names}
    assert planned(lean, {"inference.shards": 3, "inference.threads": 2}) == ([], [])


def test_edit_made_on_dropped_files_is_what_a_run_with_them_makes_and_can_be_put_back(run, copy, tmp_path, planned):
    target, edit = "results/tiny/selftrain/01/pseudolabels.h5", {"inference": {"scales": [0.5, 1.0]}}
    before = (copy / target).read_bytes()
    make(copy, target, edit=edit)
    other = tmp_path / "with them"
    shutil.copytree(run, other)
    result = snakemake(other, target, overlays=overlays(other, merged(edit, {"inference": {"keep_predictions": True}})))
    assert result.returncode == 0, result.stderr
    assert (copy / target).read_bytes() == (other / target).read_bytes() != before
    assert not list((copy / "results/tiny/selftrain").rglob("predictions.h5"))
    assert ("infer", "selftrain/01/infer") in planned(copy).names
    make(copy, target)
    assert (copy / target).read_bytes() == before and planned(copy) == ([], [])


# ---- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 3])
def test_deleted_pseudolabels_are_made_again_from_predictions_made_again(copy, planned, shards):
    before, file, edit = results_of(copy), copy / "results/tiny/final/pseudolabels.h5", {"inference.shards": shards}
    file.unlink()
    plan = planned(copy, edit)
    names = plan.names
    inferred = [("infer", "final/infer")]
    if shards > 1:
        inferred = [*(("infer_shard", f"final/{n}-of-3/infer") for n in (1, 2, 3)), ("merge", "final/merge")]
    assert [name for name in names if name[0] in ("infer", "infer_shard", "merge")] == inferred
    assert {kind for kind in plan.kinds if kind.startswith("train")} == {"train final"}
    make(copy, edit=nested(edit))
    assert results_of(copy) == before and not list(copy.rglob("predictions.h5"))
    assert planned(copy, edit) == ([], []) == planned(copy)
    again = planned(copy, edit | {"final.ensemble": "max"})
    assert [name for name in again.names if name[0] in ("infer", "infer_shard", "merge")] == inferred


def test_results_beside_a_fresh_clone_are_up_to_date(lean, tmp_path, planned):
    shutil.copytree(lean / "results", tmp_path / "results")
    files = [path for path in made_files(tmp_path / "results") if path.exists()]
    for at, file in enumerate(random.Random(1).sample(files, len(files))):
        os.utime(file, (1_700_000_000 + at,) * 2)
    assert planned(tmp_path) == ([], [])
    (tmp_path / "results/tiny/selftrain/01/model.pt").touch()
    (tmp_path / "results/tiny/cotrain/01/candidates.csv").touch()
    assert planned(tmp_path) == ([], [])


def test_without_the_file_beside_them_nothing_is_taken_for_granted(copy, planned):
    sidecar(copy / FINAL).unlink()
    plan = planned(copy)
    assert plan.first == ["infer"] and ("threshold", "final/threshold") in plan.names
    assert plan.words == [f"out of date, threshold final first: {FINAL} is not as it was read"]


def test_killed_run_goes_on(copy, planned):
    """Killed while predictions are made, and while they are read; what it leaves is used."""
    before = results_of(copy)
    (copy / "results/tiny/final/pseudolabels.h5").unlink()
    for wanted in ("results/tiny/final/.predictions.h5.*.tmp", "results/tiny/final/.pseudolabels.h5.*.tmp"):
        _kill_when_there(copy, wanted)
    assert (copy / FINAL).exists()
    assert "infer" not in {rule for rule, _ in planned(copy).names}
    make(copy)
    assert results_of(copy) == before and not list(copy.rglob("predictions.h5"))
    assert planned(copy) == ([], [])


def _kill_when_there(folder: Path, pattern: str) -> None:
    command = [sys.executable, "-m", "snakemake", *SNAKEFILE, "--cores", "1", "--configfile"]
    command += map(str, overlays(folder))
    process = subprocess.Popen(
        command, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 600
    while not list(folder.glob(pattern)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# ---- switching --------------------------------------------------------------------------------------------------


def test_switched_on_all_predictions_are_made_again_with_what_follows(run, copy, dry_run):
    names = dry_run(copy).names
    assert len([rule for rule, _ in names if rule == "infer"]) == len(ROUNDS)
    result = snakemake(copy, FINAL, overlays=(TINY,))
    assert result.returncode == 0 and re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.M) == [
        ("infer", "1"), ("total", "1"),
    ]  # fmt: skip
    assert (copy / FINAL).read_bytes() == (run / FINAL).read_bytes()


def test_switched_off_only_the_report_runs_and_temporary_files_can_be_removed(run, tmp_path, planned):
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    plan = planned(folder)
    assert plan.names == [("report", "report")]
    assert plan.words == ["out of date, report first: inference.keep_predictions: true → false"]
    make(folder, "--delete-temp-output")
    assert not list(folder.rglob("predictions.h5")) and planned(folder).names == [("report", "report")]
    make(folder)
    assert planned(folder) == ([], [])


def test_deleted_predictions_are_made_again_where_they_are_kept(run, tmp_path, dry_run):
    """As any file; a job that was killed leaves the file beside them too."""
    folder = tmp_path / "copy"
    shutil.copytree(run, folder)
    (folder / FINAL).unlink()
    assert {("infer", "final/infer"), ("threshold", "final/threshold")} <= set(dry_run(folder).names)


# ---- what tells of files ----------------------------------------------------------------------------------------


def test_verify_and_explain_know_of_dropped_files(lean, monkeypatch, capsys):
    monkeypatch.chdir(lean)
    assert main(["verify", "results/tiny"]) == 0 and capsys.readouterr().out.startswith("OK: ")
    assert main(["explain", "results/tiny/final/model.pt"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"predictions: results/tiny/final/predictions\.h5  \w{16}  by infer  dropped\n", out)
    assert "GONE" not in out and "CHANGED" not in out
    assert main(["explain", FINAL]) == 0
    assert re.match(rf"{FINAL}  \w{{16}}  dropped\nmade by infer of ", capsys.readouterr().out)
    assert main(["explain", "--diff", "results/tiny/selftrain/01/predictions.h5", FINAL]) == 0
    assert 'setting ensemble: "mean"' not in capsys.readouterr().out


def test_verify_finds_labels_of_other_predictions_than_were_made_last(copy, monkeypatch, capsys):
    monkeypatch.chdir(copy)
    beside = sidecar(Path(FINAL))
    beside.write_text(beside.read_text().replace(kept(Path(FINAL))["sha256"], "0" * 64))
    assert main(["verify", "results/tiny"]) == 2
    assert f"final/pseudolabels.h5: was made from other files: {FINAL} is changed since" in capsys.readouterr().err
