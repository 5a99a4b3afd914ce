"""Real Snakemake on a tiny toycity: the files of the contract, reruns, and who may see target labels."""

import fcntl
import json
import re
import subprocess
import sys

import h5py
import hdf5plugin  # noqa: F401 (registers the filters)
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PROJECT
from workflow_runs import SNAKEFILE, TINY, snakemake

CLASSES = 11
CYCLES = ("01", "02")


def test_second_run_does_nothing(run, results, dry_run):
    assert dry_run(run).names == []


def label_files() -> list[str]:
    names = [f"selftrain/{c}/{name}.h5" for c in CYCLES for name in ("pseudolabels", "labels")]
    cotrained = [f"cotrain/{c}/{m}" for c in CYCLES for m in (1, 2)]
    names += [f"{r}/{name}.h5" for r in cotrained for name in ("pseudolabels", "combined", "labels")]
    return [*names, "final/pseudolabels.h5"]


@pytest.mark.parametrize("name", label_files())
def test_label_files_keep_the_contract(results, name):
    with h5py.File(results / name) as file:
        count, height, width = file["label"].shape
        assert file.attrs["format"] == b"cotrain-pseudolabels" and file.attrs["version"] == 1
        assert len(json.loads(file.attrs["classes"])) == CLASSES
        assert {"stage", "settings", "inputs", "code"} <= json.loads(file.attrs["provenance"]).keys()
        assert (height, width) == (64, 96) and file["label"].dtype == np.uint8
        assert file["label"].chunks == (1, height, width)
        assert file["confidence"].shape == (count,) and file["confidence"].dtype == np.float32
        assert file["class_confidence"].shape == (count, CLASSES) and file["class_confidence"].dtype == np.float32
        assert file["class_pixels"].shape == (count, CLASSES) and file["class_pixels"].dtype == np.int64
        assert len(set(file["image_id"].asstr()[:])) == count == len(file["round"])
        for i in range(count):
            pixels = np.bincount(file["label"][i].ravel(), minlength=256)
            assert (pixels[:CLASSES] == file["class_pixels"][i]).all()
            assert pixels[CLASSES:255].sum() == 0


@pytest.mark.parametrize("round", ["selftrain/01", "cotrain/02/1", "final"])
def test_predictions_keep_the_contract(results, round):
    with h5py.File(results / round / "predictions.h5") as file:
        count, keep, height, width = file["label"].shape
        assert (keep, height, width) == (1, 64, 96) and file["label"].dtype == np.uint8
        assert file["confidence"].shape == file["label"].shape and file["confidence"].dtype == np.uint16
        cells = file["label"][:, 0].astype(int) * 65536 + file["confidence"][:, 0]
        histogram = np.bincount(cells.ravel(), minlength=CLASSES * 65536).reshape(CLASSES, 65536)
        assert (file["histogram"][:] == histogram).all()
    assert count == (10 if round == "final" else 6)


def test_exchange_crosses_over(results):
    """Model 1 trains on images with model 2's pseudo-labels, and the reverse."""
    for receiver, sender in (("1", "2"), ("2", "1")):
        selected = pd.read_csv(results / "cotrain/01" / receiver / "selected.csv", dtype={"image_id": str})
        with (
            h5py.File(results / "cotrain/01" / sender / "combined.h5") as sent,
            h5py.File(results / "cotrain/01" / receiver / "labels.h5") as received,
        ):
            position = {image: i for i, image in enumerate(sent["image_id"].asstr()[:])}
            assert set(received["image_id"].asstr()[:]) == set(selected["image_id"])
            for i, image in enumerate(received["image_id"].asstr()[:]):
                assert (received["label"][i] == sent["label"][position[image]]).all()


def test_both_models_see_the_same_candidates(results):
    for cycle in CYCLES:
        ids = [
            h5py.File(results / f"cotrain/{cycle}/{m}/predictions.h5")["image_id"].asstr()[:].tolist() for m in (1, 2)
        ]
        assert ids[0] == ids[1]


def test_models_are_tensors_and_plain_settings(results):
    content = torch.load(results / "final/model.pt", weights_only=True)
    assert content["format"] == "cotrain-model" and content["version"] == 1 and len(content["classes"]) == CLASSES


def test_summary_has_a_row_for_every_model(results):
    summary = pd.read_csv(results / "summary.csv")
    cotrained = [f"cotrain/{c}/{m}" for c in CYCLES for m in (1, 2)]
    rounds = [
        "source_only",
        "source",
        *(f"selftrain/{c}" for c in CYCLES),
        *cotrained,
        "cotrain/02/both",
        "final",
        "upper_bound",
    ]
    assert summary["round"].tolist() == rounds
    assert summary.set_index("round")["gap_closed"][["source_only", "upper_bound"]].tolist() == [0, 1]
    assert (results / "figures/overview.png").stat().st_size > 10_000


def test_deleting_one_file_remakes_it_and_what_follows(run, results, dry_run):
    file = results / "final/pseudolabels.h5"
    kept = file.read_bytes()
    file.unlink()
    expected = [
        ("evaluate", "final/evaluate"),
        ("measure", "final/measure"),
        ("plot", "plot"),
        ("report", "report"),
        ("summarize", "summarize"),
    ]
    assert dry_run(run).names == sorted([*expected, ("threshold", "final/threshold"), ("train", "final/train")])
    file.write_bytes(kept)

    file = results / "selftrain/02/selected.csv"
    kept = file.read_bytes()
    file.unlink()
    plan = dry_run(run)
    assert ("train", "selftrain/01/train") not in plan.names
    assert {"select", "fuse", "train selftrain", "infer", "exchange", "train final"} <= plan.kinds
    assert not plan.kinds & {"render", "index", "color", "draw", "train source", "train upper_bound"}
    file.write_bytes(kept)


def test_remade_file_has_the_same_bytes(run, results):
    names = ["final/pseudolabels.h5", "final/thresholds.csv", "final/model.pt", "summary.csv"]
    before = {name: (results / name).read_bytes() for name in names}
    (results / "final/thresholds.csv").unlink()
    result = snakemake(run)
    assert result.returncode == 0, result.stderr[-3000:]
    assert {name: (results / name).read_bytes() for name in names} == before


def test_ablation_shares_the_files_that_it_can(run, dry_run):
    jobs = dry_run(run, None, "ablation").names
    assert [log for rule, log in jobs if rule == "train"] == ["mixbatch/01/train", "mixbatch/02/train"]
    assert "draw" not in {rule for rule, _ in jobs}


def test_target_labels_are_out_of_reach_of_adaptation(tmp_path):
    """No job that the adapted model depends on reads or makes a table with target labels."""
    result = snakemake(tmp_path, "-n", "--forceall", "results/tiny/final/model.pt")
    assert result.returncode == 0 and "data/target.csv" in result.stdout + result.stderr
    assert "target_labelled" not in result.stdout + result.stderr


def test_target_table_of_the_run_has_no_labels(results):
    assert (pd.read_csv(results / "data/target.csv", keep_default_na=False)["label"] == "").all()


def test_papers_plan_has_the_right_jobs(tmp_path):
    preset = PROJECT / "workflow/presets/paper_schedule.yaml"
    result = snakemake(tmp_path, "-n", overlays=(preset,))
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout + result.stderr, re.MULTILINE))
    # 10 self-training cycles, 5 cycles of 2 models, and the last training
    expected = {"draw": 15, "infer": 21, "threshold": 21, "select": 10, "fuse": 20, "train": 24, "measure": 21}
    expected |= {
        "combine": 5,
        "exchange": 5,
        "evaluate": 25,
    }
    assert {rule: int(counts[rule]) for rule in expected} == expected


def test_defaults_are_the_same_in_every_folder(tmp_path):
    """config.yaml beside the Snakefile counts where there is none, and one that is there goes on top of it."""
    commands = {}
    for name, text in {"none": None, "some": "seed: 7\n"}.items():
        folder = tmp_path / name
        folder.mkdir()
        if text:
            (folder / "config.yaml").write_text(text)
        arguments = [*SNAKEFILE, "-n", "-p", "--cores", "1", "--configfile", str(TINY)]
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        commands[name] = result.stdout
        assert '"architecture": "FPN"' in result.stdout and '"name": "adamw"' in result.stdout
    seeds = [set(re.findall(r'"seed": (\d+)', text)) for text in commands.values()]
    assert seeds[0] != seeds[1]


def test_second_snakemake_in_a_run_is_refused_and_a_dead_ones_lock_is_not(tmp_path):
    target = "results/tiny/data/source.csv"
    (tmp_path / "results" / "tiny").mkdir(parents=True)
    dead = tmp_path / ".snakemake" / "locks" / "0.output.lock"
    dead.parent.mkdir(parents=True)
    dead.write_text(f"{target}\n")
    with (tmp_path / "results" / "tiny" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = snakemake(tmp_path, target)
        assert result.returncode == 2 and "Traceback" not in result.stderr
        assert "error: results/tiny: another Snakemake is at work in this folder" in result.stderr
        assert not (tmp_path / target).exists()
    assert snakemake(tmp_path, target).returncode == 0


def test_cbst_with_prior_and_patches_inside_cotraining(tmp_path):
    """Policies and inference know nothing of procedures: no paper has tried this one."""
    result = snakemake(tmp_path, overlays=(TINY, PROJECT / "tests" / "method.yaml"))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    run = tmp_path / "results" / "method"
    assert (run / "figures/prior.png").stat().st_size > 10_000 and not (run / "final").exists()
    rounds = ["source_only", "source", "selftrain/01", "cotrain/01/1", "cotrain/01/2", "cotrain/01/both"]
    assert pd.read_csv(run / "summary.csv")["round"].tolist() == rounds
    for round in ("selftrain/01", "cotrain/01/2"):
        with h5py.File(run / round / "predictions.h5") as file:
            assert file["label"].shape[1:] == (3, 64, 96)
            potentials = file["confidence"][:, 0].astype(float)
        assert potentials.mean() < 0.6 * 65535  # times the prior
        with h5py.File(run / round / "pseudolabels.h5") as file:
            assert file["undecided"].shape == file["image_id"].shape and (file["label"][:] != 255).any()
    with h5py.File(run / "selftrain/01/labels.h5") as file:
        assert len(file["image_id"]) == 10  # the whole target set


def test_config_faults_are_all_reported_at_once(tmp_path):
    overlay = tmp_path / "typo.yaml"
    overlay.write_text("selftrain: {cycels: 3}\nmix: {target_share: 2}\n")
    result = snakemake(tmp_path, "-n", overlays=(overlay,))
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "selftrain.cycels: unknown key; did you mean cycles?" in result.stderr
    assert "mix.target_share" in result.stderr


def test_failing_stage_leaves_no_output(tmp_path):
    overlay = tmp_path / "greedy.yaml"
    overlay.write_text("selftrain: {candidates: 11, selected: 3}\n")
    result = snakemake(tmp_path, "results/tiny/selftrain/01/candidates.csv", overlays=(TINY, overlay))
    assert result.returncode != 0
    assert "11 candidates are wanted (N) of 10 images" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert not list((tmp_path / "results/tiny").rglob("*candidates.csv*"))
