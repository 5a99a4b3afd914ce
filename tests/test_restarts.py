"""A killed training goes on from its restart file and ends with the bytes of an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from conftest import CLASSES, VOID, write_index, write_pseudolabels, write_thresholds

from cotrain.files import provenance
from cotrain.training import loop, restarts
from cotrain.training.objectives.segmentation import Segmentation

SIZE = (32, 48)
OFTEN = 1e-9  # minutes: after every step
KILLED_AT = 4
STEPS = 7


def settings(**changes) -> dict:
    """With everything that is random: crops, flips, jitter, the collage, rare crops, dropout."""
    return {
        "name": "selftrain/01",
        "source": {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2}},
        "source_size": SIZE,
        "target_size": SIZE,
        "model": {
            "architecture": "FPN",
            "encoder": "tu-mobilenetv3_small_050",
            "weights": None,
            "options": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32, "decoder_dropout": 0.5},
        },
        "augmentation": {"crop": SIZE, "zoom": (0.75, 1.5), "jitter": 0.2},
        "batch": 4,
        "target_share": 0.5,
        "collage_share": 0.5,
        "rare_crops": 0.5,
        "rare_share": 0.5,
        "optimizer": {"name": "adamw"},
        "course": {"steps": STEPS, "learning_rate": 0.01, "schedule": "poly"},
        "restart_minutes": OFTEN,
    } | changes


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    images = {i: rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8) for i in "abcde"}
    labels = {i: rng.integers(0, 3, SIZE).astype(np.uint8) for i in "abcde"}
    confidence, label = np.full((5, *SIZE), 60000, np.uint16), np.stack([*labels.values()])
    return {
        "source": write_index(tmp_path / "source" / "index.csv", images, labels),
        "target": write_index(tmp_path / "target" / "index.csv", images),
        "pseudolabels": write_pseudolabels(tmp_path / "labels.h5", [*"abcde"], label, confidence),
        "thresholds": write_thresholds(tmp_path / "thresholds.csv", [0.5, 0.6, 0.7]),
    }


@pytest.fixture
def interrupted(cotrain, paths, tmp_path, monkeypatch):
    """`interrupted(settings)` ends a training in step KILLED_AT; gives the restart file it leaves."""

    def call(options: dict):
        loss, steps = Segmentation.loss, []

        def end(*arguments):
            steps.append(1)
            if len(steps) > KILLED_AT:
                raise KeyboardInterrupt
            return loss(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Segmentation, "loss", end)
            restart = tmp_path / ".restart" / "01.pt"
            assert cotrain("train", options, **paths, out=tmp_path / "killed.pt", restart=restart).code == 130
        assert not (tmp_path / "killed.pt").exists() and restart.exists()
        return restart

    return call


@pytest.fixture
def model(cotrain, paths, tmp_path):
    """`model(settings, restart=…)`: bytes of the model that a training ends with, and what it said."""

    def call(options: dict, **restart) -> tuple[bytes, str]:
        result = cotrain("train", options, **paths, **restart, out=tmp_path / "model.pt")
        assert result.code == 0, result.err
        return (tmp_path / "model.pt").read_bytes(), result.err

    return call


def course(schedule: str) -> dict:
    return {"course": {"steps": STEPS, "learning_rate": 0.01, "schedule": schedule}}


@pytest.mark.parametrize(
    ("schedule", "optimizer"), [("poly", "adamw"), ("one_cycle", "adamw"), ("step", "sgd"), ("constant", "sgd")]
)
def test_continued_training_gives_the_bytes_of_an_undisturbed_one(interrupted, model, schedule, optimizer):
    options = settings(**course(schedule), optimizer={"name": optimizer})
    restart = interrupted(options)
    continued, said = model(options, restart=restart)
    assert f"goes on after step {KILLED_AT}, from {restart}" in said
    assert continued == model(options)[0]
    assert not restart.exists()


def test_other_threads_may_go_on(interrupted, model):
    assert "goes on after step" in model(settings(threads=2), restart=interrupted(settings()))[1]


def test_restart_file_of_other_settings_is_ignored(interrupted, model):
    restart = interrupted(settings())
    other = settings(**course("constant"))
    found, said = model(other, restart=restart)
    assert f"train selftrain/01: {restart} is ignored, it is from other settings; starts at step 0" in said
    assert found == model(other)[0]


def test_restart_file_of_other_inputs_is_ignored(interrupted, model, paths):
    restart = interrupted(settings())
    write_thresholds(paths["thresholds"], [0.7, 0.6, 0.5])
    found, said = model(settings(), restart=restart)
    assert "is ignored, it is from other inputs; starts at step 0" in said and found == model(settings())[0]


def test_restart_file_of_other_code_is_ignored(interrupted, model, monkeypatch):
    restart = interrupted(settings())
    monkeypatch.setattr(provenance, "manifest", lambda stage: {"training.train": "edited"})
    assert "is ignored, it is from other code; starts at step 0" in model(settings(), restart=restart)[1]


class Code:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a restart file ran')",))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    """In the middle of the largest tensor."""
    with zipfile.ZipFile(path) as file:
        largest = max(file.infolist(), key=lambda member: member.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + largest.file_size // 2] ^= 64
    path.write_bytes(content)


def pickle_code(path):
    torch.save({"format": restarts.KIND, "step": Code()}, path)


def other_version(path):
    torch.save(torch.load(path, weights_only=True) | {"version": 99}, path)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, pickle_code, other_version])
def test_damaged_restart_file_is_ignored(interrupted, model, damage):
    restart = interrupted(settings())
    damage(restart)
    found, said = model(settings(), restart=restart)
    assert f"{restart} is ignored, it is damaged; starts at step 0" in said and said.count("ignored") == 1
    assert found == model(settings())[0]


def test_without_an_interval_there_is_no_restart_file(cotrain, paths, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "check_numbers", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    off, restart = settings(restart_minutes=None), tmp_path / "restart.pt"
    assert cotrain("train", off, **paths, out=tmp_path / "m.pt", restart=restart).code == 130
    assert not restart.exists()


def test_loss_that_is_no_number_stops_the_training_and_the_last_good_state_is_kept(
    cotrain, model, paths, tmp_path, monkeypatch
):
    loss, steps, restart = Segmentation.loss, [], tmp_path / ".restart" / "01.pt"

    def broken_after_three(*arguments):
        steps.append(1)
        return {name: value * (float("nan") if len(steps) > 3 else 1) for name, value in loss(*arguments).items()}

    with monkeypatch.context() as patch:
        patch.setattr(Segmentation, "loss", broken_after_three)
        result = cotrain("train", settings(), **paths, out=tmp_path / "m.pt", restart=restart)
    assert result.code == 2 and not (tmp_path / "m.pt").exists()
    assert "error: training diverged: weights not finite at step 4; lower course.learning_rate" in result.err
    continued, said = model(settings(), restart=restart)
    assert "goes on after step 3" in said and continued == model(settings())[0]


def test_weights_that_the_last_step_broke_are_not_saved(cotrain, paths, tmp_path, monkeypatch):
    step = torch.optim.AdamW.step

    def broken(self, *arguments):
        step(self, *arguments)
        self.param_groups[0]["params"][0].data[0] = float("inf")

    monkeypatch.setattr(torch.optim.AdamW, "step", broken)
    one = settings(course={"steps": 1, "learning_rate": 0.01, "schedule": "constant"}, restart_minutes=5)
    result = cotrain("train", one, **paths, out=tmp_path / "m.pt")
    assert result.code == 2 and "training diverged: weights not finite at step 1" in result.err
    assert not (tmp_path / "m.pt").exists()


def test_loss_that_is_no_number_names_the_config_keys(cotrain, paths, tmp_path, monkeypatch):
    infinite = lambda self, batch, outputs: {"segmentation": outputs.logits.sum() * float("inf")}  # noqa: E731
    monkeypatch.setattr(Segmentation, "loss", infinite)
    result = cotrain("train", settings(), **paths, out=tmp_path / "m.pt")
    line = result.err.splitlines()[-1]
    assert result.code == 2 and line.startswith("error: training diverged: loss not finite at step 0; lower ")
    assert all(f"training.{key}" in line for key in ("source", "cycle", "final"))


def test_without_any_pseudolabel_the_training_stops_with_what_to_try(refused, paths, tmp_path):
    void = np.full((5, *SIZE), VOID, np.uint8)
    paths["pseudolabels"] = write_pseudolabels(tmp_path / "none.h5", [*"abcde"], void, np.zeros_like(void, np.uint16))
    line = refused("train", settings(), **paths, out=tmp_path / "m.pt", restart=tmp_path / "restart.pt")
    assert "no image has a pseudo-label; lower" in line and "confidence_min" in line


# ---- real processes ---------------------------------------------------------------------------------------------


def started(options: dict, paths: dict, out, restart) -> subprocess.Popen:
    files = paths | {"out": out, "restart": restart}
    flags = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    command = [sys.executable, "-m", "cotrain", "train", *flags, "--settings", json.dumps(options)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def signalled_once_there_is(restart, process: subprocess.Popen, number: int) -> tuple[int, str]:
    while not restart.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(number)
    said = process.communicate(timeout=600)[1]
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_process_called_again_gives_the_same_bytes(paths, tmp_path, number):
    """The undisturbed training runs in a process of its own too, with the same threads."""
    options = settings(course={"steps": 150, "learning_rate": 0.01, "schedule": "one_cycle"})
    restart, out = tmp_path / ".restart" / "01.pt", tmp_path / "model.pt"
    code, said = signalled_once_there_is(restart, started(options, paths, out, restart), number)
    assert restart.exists() and not out.exists()
    if number == signal.SIGTERM:
        assert code == 143 and "stopped by SIGTERM after step" in said and "Traceback" not in said
        assert [path.name for path in restart.parent.iterdir()] == [restart.name]
    else:
        assert code == -signal.SIGKILL
    again = started(options, paths, out, restart)
    said = again.communicate(timeout=600)[1]
    assert again.returncode == 0 and "goes on after step" in said
    assert [path.name for path in restart.parent.iterdir()] == []  # neither the file nor what the killed one left
    undisturbed = tmp_path / "undisturbed.pt"
    assert started(options, paths, undisturbed, tmp_path / "other.pt").wait(600) == 0
    assert out.read_bytes() == undisturbed.read_bytes()
