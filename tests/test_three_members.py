"""Real Snakemake: three architectures train themselves, then teach each other for two cycles."""

import json
import os
import subprocess

import h5py
import hdf5plugin  # noqa: F401 (registers the filters)
import numpy as np
import pandas as pd
import pytest
import torch
import warm
from workflow_runs import PROJECT, SNAKEFILE

OVERLAY = PROJECT / "tests" / "three_members.yaml"
MEMBERS = (1, 2, 3)
VOID = 255


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    (folder / "config.yaml").write_text((PROJECT / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with warm.programs(folder) as (programs, _):
        command = [programs / "snakemake", *SNAKEFILE, "--cores", "2", "--configfile", OVERLAY]
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800, check=False
        )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder / "results" / "three"


def read(path) -> dict[str, np.ndarray]:
    """Label maps of a file of pseudo-labels by image id."""
    with h5py.File(path) as file:
        return dict(zip(file["image_id"].asstr()[:], file["label"][:], strict=True))


def made_from(results, file: str) -> dict[str, list[str]]:
    path = results / file
    made = json.loads(path.with_name(f".{path.name}.provenance.json").read_text())
    inputs = made["provenance"]["inputs"]
    return {
        role: [entry["path"].removeprefix("results/three/") for entry in entries] for role, entries in inputs.items()
    }


def test_each_member_keeps_its_architecture(results):
    for number, architecture in zip(MEMBERS, ("FPN", "Segformer", "Unet"), strict=True):
        for cycle in ("01", "02"):
            content = torch.load(results / f"cotrain/{cycle}/{number}/model.pt", weights_only=True)
            assert content["model"]["architecture"] == architecture
    assert made_from(results, "final/predictions.h5")["model"] == [f"cotrain/02/{m}/model.pt" for m in MEMBERS]


def test_void_pixels_are_filled_with_what_most_other_members_say(results):
    plain = [read(results / f"cotrain/01/{m}/pseudolabels.h5") for m in MEMBERS]
    for own, member in enumerate(MEMBERS):
        combined = read(results / f"cotrain/01/{member}/combined.h5")
        for image_id, label in combined.items():
            before = plain[own][image_id]
            others = np.stack([maps[image_id] for i, maps in enumerate(plain) if i != own])
            assert (label[before != VOID] == before[before != VOID]).all()
            filled = before == VOID
            assert ((label == VOID) == (filled & (others == VOID).all(axis=0))).all()
            agreed = filled & (others[0] == others[1])
            assert (label[agreed] == others[0][agreed]).all()


def test_each_image_comes_with_the_labels_of_the_member_that_sent_it(results):
    sent = {m: read(results / f"cotrain/01/{m}/combined.h5") for m in MEMBERS}
    senders = set()
    for member in MEMBERS:
        selected = pd.read_csv(results / f"cotrain/01/{member}/selected.csv", dtype={"image_id": str})
        labels = read(results / f"cotrain/01/{member}/labels.h5")
        assert (
            0 < len(selected) <= 4 and selected["image_id"].is_unique and sorted(labels) == sorted(selected["image_id"])
        )
        for image_id, sender in zip(selected["image_id"], selected["model"], strict=True):
            assert sender != member and (labels[image_id] == sent[sender][image_id]).all()
            senders.add(sender)
    assert len(senders) > 1
