"""The terms of a training's loss: their weighted sum, their state across a kill, and what TensorBoard shows of them."""

import copy
import math
from typing import get_args

import numpy as np
import pytest
import torch
from conftest import CLASSES, VOID
from test_logbook import scalars
from test_restarts import KILLED_AT, interrupted, paths, settings  # noqa: F401  (fixtures)
from test_restarts import model as made_model  # noqa: F401  (fixture)
from torch import nn
from torch.nn import functional as F

from cotrain.networks.heads import HeadedSegmenter, ImageClassifier, Outputs, encoder_channels
from cotrain.networks.segmenter import Segmenter
from cotrain.reruns import tickets
from cotrain.settings.model import Model
from cotrain.settings.stages import completed
from cotrain.settings.training import ObjectiveName, ObjectiveWeight
from cotrain.training import loop, objectives
from cotrain.training.batches import Batch, batch_of
from cotrain.training.objectives.objective import Stateless
from cotrain.training.objectives.segmentation import Segmentation

LINEAR = Model(architecture="streets:linear", encoder=None, weights=None)


def linear(seed: int = 0) -> Segmenter:
    """The smallest network: each pixel on its own."""
    torch.manual_seed(seed)
    return Segmenter(nn.Conv2d(3, len(CLASSES), 1), CLASSES, LINEAR)


def batches(count: int) -> list[Batch]:
    rng = np.random.default_rng(1)
    made = []
    for step in range(count):
        images = torch.from_numpy(rng.integers(0, 256, (4, 3, 8, 10), dtype=np.uint8))
        labels = torch.from_numpy(rng.choice([0, 1, 2, VOID], (4, 8, 10)).astype(np.uint8))
        made.append(batch_of(step, images, labels, [False, False, True, True]))
    return made


def trained(terms: objectives.Objectives, model: HeadedSegmenter, report=lambda *_: None) -> dict[str, torch.Tensor]:
    """Weights after three steps of plain gradient descent."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    loop.train(model, terms, batches(3), optimizer, scheduler, report, lambda done: None)
    return model.segmenter.state_dict()


# ---- segmentation -----------------------------------------------------------------------------------------------


def test_there_is_a_class_for_each_name_of_the_settings():
    assert objectives.OBJECTIVES.keys() == set(get_args(ObjectiveName))


def test_segmentation_is_the_mean_cross_entropy_of_the_labelled_pixels():
    (batch,) = batches(1)
    logits = torch.randn(4, 3, 8, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    losses = []
    for image, y, x in np.ndindex(4, 8, 10):
        c = int(batch.labels[image, y, x])
        if c != VOID:
            scores = logits[image, :, y, x].tolist()
            losses.append(math.log(sum(map(math.exp, scores))) - scores[c])
    values = Segmentation(None).loss(batch, Outputs(logits, {}))
    assert values.keys() == {"segmentation"}
    assert values["segmentation"].item() == pytest.approx(np.mean(losses), rel=1e-5)
    shared = batch._replace(labelled_pixels=2 * len(losses))  # as if another process had as many
    half = Segmentation(None).loss(shared, Outputs(logits, {}))["segmentation"]
    assert half.item() == pytest.approx(np.mean(losses) / 2, rel=1e-5)


def test_batch_without_a_label_has_no_loss():
    (batch,) = batches(1)
    void = batch_of(0, batch.images, torch.full_like(batch.labels, VOID))
    assert Segmentation(None).loss(void, Outputs(torch.randn(4, 3, 8, 10), {}))["segmentation"] == 0


def test_segmentation_alone_trains_as_a_loop_without_objectives_to_the_bit():
    by_hand = linear().train()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.5)
    for batch in batches(3):
        total = F.cross_entropy(by_hand(batch.images), batch.labels.long(), ignore_index=VOID, reduction="sum")
        optimizer.zero_grad()
        (total / int((batch.labels != VOID).sum())).backward()
        optimizer.step()
    model = HeadedSegmenter(linear())
    state = trained(objectives.Objectives([ObjectiveWeight(name="segmentation")], model), model)
    assert all(torch.equal(state[name], tensor) for name, tensor in by_hand.state_dict().items())
    assert not torch.equal(state["network.weight"], linear().state_dict()["network.weight"])


# ---- several objectives -----------------------------------------------------------------------------------------


class Penalty(Stateless):
    """Two terms that gradients of are easily told: of the logits of source and of target images."""

    def loss(self, batch: Batch, outputs: Outputs) -> dict[str, torch.Tensor]:
        squares = outputs.logits.square().mean(dim=(1, 2, 3))
        return {"source": squares[~batch.from_target].sum(), "target": squares[batch.from_target].sum()}


def two(model: HeadedSegmenter, monkeypatch, weights: tuple[float, float]) -> objectives.Objectives:
    """Segmentation and the penalty, with their weights."""
    monkeypatch.setitem(objectives.OBJECTIVES, "penalty", Penalty)
    chosen = [
        ObjectiveWeight(name="segmentation", weight=weights[0]),
        ObjectiveWeight.model_construct(name="penalty", weight=weights[1]),
    ]
    return objectives.Objectives(chosen, model)


def test_loss_is_the_weighted_sum_of_all_values(monkeypatch):
    by_hand = linear().train()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.5)
    expected = []
    for batch in batches(3):
        logits = by_hand(batch.images)
        segmentation = F.cross_entropy(logits, batch.labels.long(), ignore_index=VOID)
        squares = logits.square().mean(dim=(1, 2, 3))
        loss = 0.7 * segmentation + 0.02 * squares.sum()
        expected.append((loss.item(), segmentation.item(), squares[:2].sum().item(), squares[2:].sum().item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    reported = []

    def report(batch, outputs, loss, values):
        reported.append((loss, *values.items()))

    model = HeadedSegmenter(linear())
    state = trained(two(model, monkeypatch, (0.7, 0.02)), model, report)
    for name, tensor in by_hand.state_dict().items():
        torch.testing.assert_close(state[name], tensor)
    ((loss, *values),) = reported  # of the first step
    assert [name for name, _ in values] == ["segmentation", "source", "target"]
    assert (loss, *(value for _, value in values)) == pytest.approx(expected[0], rel=1e-5)


def test_twice_the_weight_is_twice_the_gradient():
    states = []
    for weight, rate in ((1, 0.5), (2, 0.25)):
        model = HeadedSegmenter(linear())
        terms = objectives.Objectives([ObjectiveWeight(name="segmentation", weight=weight)], model)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
        loop.train(model, terms, batches(3), optimizer, scheduler, lambda *_: None, lambda done: None)
        states.append(model.segmenter.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])  # powers of two are exact


# ---- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([], "objectives: "),
        ([{"name": "segmentation"}, {"name": "segmentation"}], "objectives: segmentation occurs twice"),
        ([{"name": "segmentation", "weight": 0}], "objectives.0.weight: "),
        ([{"name": "beauty"}], "objectives.0.name: "),
    ],
)
def test_objectives_that_make_no_sense_are_refused(refused, paths, tmp_path, chosen, message):  # noqa: F811
    assert message in refused("train", settings(objectives=chosen), **paths, out=tmp_path / "m.pt")


def test_model_made_before_there_were_objectives_is_not_out_of_date():
    now = completed("train", settings())
    before = {name: value for name, value in now.items() if name != "objectives"}
    made = {"stage": "train", "settings": before}
    assert tickets.changed_settings(made, tickets.Wanted(now, {}, [], {})) == []
    other = completed("train", settings(objectives=[{"name": "segmentation", "weight": 0.5}]))
    (reason,) = tickets.changed_settings(made, tickets.Wanted(other, {}, [], {}))
    assert reason.startswith("objectives: ")


# ---- state ------------------------------------------------------------------------------------------------------


class MeanTeacher(Segmentation):
    """Cross-entropy, and consistency with averaged weights (Brehm et al. 2022, Eq. 12): the average is the state."""

    def __init__(self, model: HeadedSegmenter):
        self.teacher = copy.deepcopy(model.segmenter).eval().requires_grad_(False)
        self.steps = 0

    def loss(self, batch: Batch, outputs: Outputs) -> dict[str, torch.Tensor]:
        teacher = self.teacher(batch.images).softmax(dim=1)
        difference = (outputs.logits.softmax(dim=1) - teacher).square().sum(dim=1)
        pixels = batch.image_count * difference[0].numel()
        return super().loss(batch, outputs) | {"consistency": difference.sum() / pixels}

    def after_step(self, model: HeadedSegmenter) -> None:
        keep = min(1 - 1 / (self.steps + 1), 0.9)
        students = model.segmenter.state_dict()
        for name, tensor in self.teacher.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(students[name], 1 - keep)
        self.steps += 1

    def state(self) -> dict:
        return {"steps": self.steps, "teacher": self.teacher.state_dict()}

    def load_state(self, state: dict) -> None:
        self.steps = state["steps"]
        self.teacher.load_state_dict(state["teacher"])


class ForgetfulTeacher(MeanTeacher):
    """Starts anew after a kill."""

    def load_state(self, state: dict) -> None:
        pass


def test_averaged_weights_of_a_killed_training_go_on_to_the_same_bytes(interrupted, made_model, monkeypatch):  # noqa: F811
    plain, _ = made_model(settings())
    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", MeanTeacher)
    restart = interrupted(settings())
    content = torch.load(restart, weights_only=True)
    assert content["objectives"]["segmentation"]["steps"] == KILLED_AT
    assert not torch.equal(
        content["objectives"]["segmentation"]["teacher"]["network.segmentation_head.0.weight"],
        content["model"]["segmenter.network.segmentation_head.0.weight"],
    )
    before = restart.read_bytes()
    continued, said = made_model(settings(), restart=restart)
    assert f"goes on after step {KILLED_AT}" in said
    undisturbed, _ = made_model(settings())
    assert continued == undisturbed != plain
    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", ForgetfulTeacher)
    restart.write_bytes(before)
    assert made_model(settings(), restart=restart)[0] != undisturbed


# ---- heads of objectives ----------------------------------------------------------------------------------------


class WeakLabels(Segmentation):
    """Cross-entropy, and a head that learns which classes the labels of an image have."""

    width = 16

    def __init__(self, model: HeadedSegmenter):
        channels = encoder_channels(model.segmenter)
        model.attach("image_classes", ImageClassifier(channels, len(CLASSES), self.width))

    def loss(self, batch: Batch, outputs: Outputs) -> dict[str, torch.Tensor]:
        present = [(batch.labels == c).flatten(1).any(dim=1) for c in range(len(CLASSES))]
        weak_labels = torch.stack(present, dim=1).float()
        scores = outputs.heads["image_classes"].float()
        total = F.binary_cross_entropy_with_logits(scores, weak_labels, reduction="sum")
        return super().loss(batch, outputs) | {"weak labels": total / (len(CLASSES) * batch.image_count)}


class WiderWeakLabels(WeakLabels):
    width = 24


def test_killed_training_with_a_head_goes_on_to_the_same_bytes(interrupted, made_model, monkeypatch):  # noqa: F811
    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", WeakLabels)
    continued, said = made_model(settings(), restart=interrupted(settings()))
    assert f"goes on after step {KILLED_AT}" in said
    assert continued == made_model(settings())[0]


def test_training_goes_on_with_the_heads_of_its_first_model(cotrain, paths, tmp_path, monkeypatch):  # noqa: F811
    def train(name: str, **more) -> dict:
        out = tmp_path / f"{name}.pt"
        result = cotrain("train", settings(), **paths, **more, out=out)
        assert result.code == 0, result.err
        return torch.load(out, weights_only=True)

    started = {}

    class Remembered(WeakLabels):
        def loss(self, batch, outputs):
            if not started:
                started.update(self.model.heads["image_classes"].state_dict())
                started.update((name, tensor.clone()) for name, tensor in started.items())
            return super().loss(batch, outputs)

        def __init__(self, model):
            super().__init__(model)
            self.model = model

    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", WeakLabels)
    first = train("first")
    assert first["heads"].keys() == {"image_classes"}
    assert not any("heads" in name for name in first["state"])
    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", Remembered)
    second = train("second", init=tmp_path / "first.pt")
    saved = first["heads"]["image_classes"]
    assert all(torch.equal(started[name], saved[name]) for name in saved)
    assert not torch.equal(second["heads"]["image_classes"]["hidden.weight"], saved["hidden.weight"])

    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", Segmentation)
    dropped = train("dropped", init=tmp_path / "first.pt")
    del first["heads"]
    torch.save(first, tmp_path / "headless.pt")
    headless = train("headless_too", init=tmp_path / "headless.pt")
    assert "heads" not in dropped
    assert all(torch.equal(tensor, headless["state"][name]) for name, tensor in dropped["state"].items())


def test_head_of_another_width_is_refused(cotrain, refused, paths, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", WeakLabels)
    assert cotrain("train", settings(), **paths, out=tmp_path / "first.pt").code == 0
    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", WiderWeakLabels)
    line = refused("train", settings(), **paths, init=tmp_path / "first.pt", out=tmp_path / "second.pt")
    assert "first.pt: its head image_classes is not the one of these settings" in line


# ---- TensorBoard ------------------------------------------------------------------------------------------------


def test_each_of_several_values_is_a_curve_of_its_own(made_model, tmp_path, monkeypatch):  # noqa: F811
    made_model(settings(), tensorboard=tmp_path / "one")
    monkeypatch.setitem(objectives.OBJECTIVES, "segmentation", WeakLabels)
    made_model(settings(), tensorboard=tmp_path / "two")
    with pytest.raises(KeyError):
        scalars(tmp_path / "one", "loss/segmentation")
    parts = [scalars(tmp_path / "two", f"loss/{name}") for name in ("segmentation", "weak labels")]
    loss = scalars(tmp_path / "two", "loss")
    assert loss.keys() == {0}
    assert loss[0] == pytest.approx(sum(part[0] for part in parts), rel=1e-6)
