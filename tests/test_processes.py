"""Several processes that share a training: the same as one, however many there are. On CPUs, with gloo."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CLASSES, write_index, write_pseudolabels, write_thresholds
from torch.nn.functional import binary_cross_entropy_with_logits

from cotrain.networks.heads import ImageClassifier, encoder_channels
from cotrain.settings.training import Train
from cotrain.stages import train
from cotrain.training import teams
from cotrain.training.objectives import OBJECTIVES
from cotrain.training.objectives.segmentation import Segmentation

SIZE = (64, 96)
STEPS = 5
CPU = torch.device("cpu")
NORMALISED_BY_IMAGE, NORMALISED_BY_BATCH = "tu-convnext_atto", "tu-mobilenetv3_small_050"


def settings(**changes) -> dict:
    """With all that a batch can hold; 5 images, so that two processes have 3 and 2. Without dropout."""
    return {
        "name": "selftrain/01",
        "source": {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2, "255": 255}},
        "source_size": SIZE,
        "target_size": SIZE,
        "model": {
            "architecture": "FPN",
            "encoder": NORMALISED_BY_IMAGE,
            "weights": None,
            "options": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32, "decoder_dropout": 0.0},
        },
        "augmentation": {"crop": SIZE, "zoom": (0.75, 1.5), "jitter": 0.2},
        "batch": 5,
        "target_share": 0.6,
        "collage_share": 0.5,
        "rare_crops": 0.5,
        "rare_share": 0.5,
        "course": {"steps": STEPS, "learning_rate": 0.01, "schedule": "poly"},
    } | changes


@pytest.fixture
def paths(tmp_path):
    """Images with blocks of classes; those of the source have more and more void, so that no two count alike."""
    rng = np.random.default_rng(0)
    images = {i: rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8) for i in "abcdef"}
    blocks = {i: rng.integers(0, 3, (8, 12)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1) for i in images}
    label = np.stack([*blocks.values()])
    for n, block in enumerate(blocks.values()):
        block[: 10 * n] = 255
    return {
        "source": write_index(tmp_path / "source" / "index.csv", images, blocks),
        "target": write_index(tmp_path / "target" / "index.csv", images),
        "pseudolabels": write_pseudolabels(tmp_path / "l.h5", [*images], label, np.full(label.shape, 60000, np.uint16)),
        "thresholds": write_thresholds(tmp_path / "thresholds.csv", [0.5, 0.6, 0.7]),
    }


# ---- the same as one process ------------------------------------------------------------------------------------


def told_losses(options: dict, paths: dict, out: Path, team: teams.Team) -> None:
    """The train stage, as one of `team`; each process writes down the loss of the whole batch of every step."""
    losses, of_a_part = [], Segmentation.loss

    def loss(*arguments):
        values = of_a_part(*arguments)
        losses.append(team.sum(values["segmentation"].item()))
        return values

    Segmentation.loss = loss
    made_by = {"settings": {}, "inputs": {}, "code": "", "definitions": {}}
    train._train(Train(**options), train.Inputs(**paths), train.Results(out, made_by), team)
    Segmentation.loss = of_a_part
    out.with_suffix(f".{team.rank}").write_text(json.dumps(losses))


@pytest.mark.parametrize("encoder", [NORMALISED_BY_IMAGE, NORMALISED_BY_BATCH])
def test_two_processes_have_the_losses_and_the_model_of_one(paths, tmp_path, encoder):
    options = settings()
    options["model"] |= {"encoder": encoder}
    states, losses = [], []
    for count in (1, 2):
        out = tmp_path / f"{count}.pt"
        teams.launch(partial(told_losses, options, paths, out), count, CPU)
        losses += [json.loads(out.with_suffix(f".{rank}").read_text()) for rank in range(count)]
        states.append(torch.load(out, weights_only=True)["state"])
    one, first, second = losses
    assert len(one) == STEPS and first == second
    assert np.ptp(one) > 0.1  # something was learnt, so that a wrong step would show
    np.testing.assert_allclose(first, one, rtol=1e-4)
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-2, atol=1e-3, msg=name)


class WeakLabels(Segmentation):
    """Cross-entropy, and a head that learns which classes the labels of an image have."""

    def __init__(self, model):
        model.attach("image_classes", ImageClassifier(encoder_channels(model.segmenter), len(CLASSES), 8))

    def loss(self, batch, outputs):
        present = [(batch.labels == c).flatten(1).any(dim=1) for c in range(len(CLASSES))]
        scores = outputs.heads["image_classes"]
        total = binary_cross_entropy_with_logits(scores, torch.stack(present, dim=1).float(), reduction="sum")
        return super().loss(batch, outputs) | {"weak labels": total / (len(CLASSES) * batch.image_count)}


def trained_with_a_head(options: dict, paths: dict, out: Path, team: teams.Team) -> None:
    OBJECTIVES["segmentation"] = WeakLabels
    made_by = {"settings": {}, "inputs": {}, "code": "", "definitions": {}}
    train._train(Train(**options), train.Inputs(**paths), train.Results(out, made_by), team)
    OBJECTIVES["segmentation"] = Segmentation


def test_two_processes_train_a_head_as_one_does(paths, tmp_path):
    states = []
    for count in (1, 2):
        out = tmp_path / f"{count}.pt"
        teams.launch(partial(trained_with_a_head, settings(), paths, out), count, CPU)
        content = torch.load(out, weights_only=True)
        states.append(content["state"] | content["heads"]["image_classes"])
    assert "hidden.weight" in states[0] and states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-2, atol=1e-3, msg=name)


# ---- the command ------------------------------------------------------------------------------------------------


def started(options: dict, paths: dict, **more: Path) -> subprocess.Popen:
    flags = [word for name, path in (paths | more).items() for word in (f"--{name}", str(path))]
    command = [sys.executable, "-m", "cotrain", "train", *flags, "--settings", json.dumps(options)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def ended(process: subprocess.Popen) -> tuple[int, str]:
    said = process.communicate(timeout=1200)[1]
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_two_killed_processes_called_again_give_the_bytes_of_two_undisturbed_ones(paths, tmp_path, number):
    """With dropout, so that each process must go on with its own generator. The signal reaches the parent alone."""
    options = settings(gpus=2, restart_minutes=1e-9)
    options["model"]["options"]["decoder_dropout"] = 0.5
    options["course"]["steps"] = 12
    restart, out = tmp_path / ".restart" / "01.pt", tmp_path / "model.pt"
    process = started(options, paths, out=out, restart=restart)
    while not restart.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    code, said = ended(process)
    assert not out.exists() and restart.exists() and "Traceback" not in said
    if number == signal.SIGTERM:
        assert code == 143 and said.count("stopped by SIGTERM after step") == 1
    code, said = ended(started(options, paths, out=out, restart=restart))
    assert code == 0 and said.count("goes on after step") == 1, said
    assert [path.name for path in restart.parent.iterdir()] == []
    code, said = ended(started(options, paths, out=tmp_path / "undisturbed.pt"))
    assert code == 0 and said.count("train selftrain/01: 0/12 steps") == 1 and "Warning" not in said, said
    assert out.read_bytes() == (tmp_path / "undisturbed.pt").read_bytes()


def test_image_that_one_process_cannot_read_is_one_line_of_all(paths, tmp_path):
    """Of a batch of two, the second process has the target image; the first waits for it no longer than a step."""
    for image in (tmp_path / "target" / "images").iterdir():
        image.write_bytes(image.read_bytes()[:200])
    options = settings(gpus=2, batch=2, target_share=0.5, collage_share=None, rare_crops=0.0)
    code, said = ended(started(options, paths, out=tmp_path / "model.pt"))
    faults = [line for line in said.splitlines() if line.startswith("error: ")]
    assert code == 2 and len(faults) == 1 and ".png: damaged" in faults[0], said
    assert "Traceback" not in said and not (tmp_path / "model.pt").exists()


def test_more_processes_than_images_in_a_batch_are_refused(refused, paths, tmp_path):
    message = refused("train", settings(gpus=6), **paths, out=tmp_path / "model.pt")
    assert message == "error: batch: 5 images for 6 gpus; give each at least one\n"


def test_parts_of_a_batch_are_the_batch():
    """In turn, so that each process gets source and target images alike."""
    parts = [teams.Team(rank, 3).share(range(8)) for rank in range(3)]
    assert sorted(i for part in parts for i in part) == list(range(8))
    assert list(parts[1]) == [1, 4, 7]
