"""Real Snakemake: DeepLabV3+ and SegFormer each train themselves, then teach each other."""

import json
import os
import subprocess

import h5py
import hdf5plugin  # noqa: F401 (registers the filters)
import pandas as pd
import pytest
import torch
import warm
from workflow_runs import PROJECT, SNAKEFILE

OVERLAY = PROJECT / "tests" / "two_architectures.yaml"
FIRST = ("source_only", "source", "selftrain/01", "cotrain/01/1", "final", "upper_bound")
SECOND = ("source_2", "selftrain_2/01", "cotrain/01/2")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    (folder / "config.yaml").write_text((PROJECT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with warm.programs(folder) as (programs, _):
        command = [programs / "snakemake", *SNAKEFILE, "--cores", "2", "--configfile", OVERLAY]
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800, check=False
        )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder / "results" / "two"


def inputs(results, file: str) -> dict[str, list[str]]:
    """What a file was made from, by role, below the run's folder."""
    made = json.loads((results / file).with_name(f".{file.rpartition('/')[2]}.provenance.json").read_text())
    found = made["provenance"]["inputs"]
    return {role: [e["path"].removeprefix("results/two/") for e in entries] for role, entries in found.items()}


def test_each_model_keeps_its_architecture_to_the_end(results):
    for rounds, architecture in ((FIRST, "DeepLabV3Plus"), (SECOND, "Segformer")):
        for round in rounds:
            content = torch.load(results / round / "model.pt", weights_only=True)
            assert content["model"]["architecture"] == architecture, round
    assert inputs(results, "cotrain/01/1/model.pt")["init"] == ["selftrain/01/model.pt"]
    assert inputs(results, "cotrain/01/2/model.pt")["init"] == ["selftrain_2/01/model.pt"]


def test_each_architecture_trains_on_the_pseudolabels_of_the_other(results):
    for model, other in ((1, 2), (2, 1)):
        received = pd.read_csv(results / f"cotrain/01/{model}/selected.csv", dtype=str)["image_id"].tolist()
        assert 0 < len(received) <= 3
        with h5py.File(results / f"cotrain/01/{other}/combined.h5") as sent:
            maps = dict(zip(sent["image_id"].asstr()[:], sent["label"][:], strict=True))
        with h5py.File(results / f"cotrain/01/{model}/labels.h5") as labels:
            assert sorted(labels["image_id"].asstr()[:]) == sorted(received)
            for image_id, label in zip(labels["image_id"].asstr()[:], labels["label"][:], strict=True):
                assert (label == maps[image_id]).all()
    first, second = (results / f"cotrain/01/{m}/predictions.h5" for m in (1, 2))
    assert inputs(results, "cotrain/01/1/predictions.h5")["images"] == ["cotrain/01/candidates.csv"]
    with h5py.File(first) as a, h5py.File(second) as b:
        assert (a["image_id"][:] == b["image_id"][:]).all() and (a["label"][:] != b["label"][:]).any()


def test_both_architectures_are_scored_alone_and_as_one(results):
    pair = ["cotrain/01/1/model.pt", "cotrain/01/2/model.pt"]
    assert inputs(results, "final/predictions.h5")["model"] == pair  # labels_from: ensemble
    assert inputs(results, "evaluation/cotrain/01/both.json")["model"] == pair
    summary = pd.read_csv(results / "summary.csv")
    assert {*FIRST, *SECOND, "cotrain/01/both"} == set(summary["round"]) and summary["miou"].between(0, 1).all()
