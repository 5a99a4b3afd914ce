"""Measures what pieces of work take on this machine: a few real commands on rendered scenes, at a config's sizes."""

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.procedure import selftrain
from cotrain.procedure.costs import Rates
from cotrain.procedure.plan import Plan
from cotrain.procedure.rounds import SOURCE

SCENES = 24
FEW = 8  # steps, or scenes, of the shorter of two commands, from which what a start takes is told apart
STEPS = 40


class Run(NamedTuple):
    command: str
    settings: dict
    paths: dict[str, Path | list[Path]]


def measure(plan: Plan) -> Rates:
    """Rates for a config, without its prior, class balance and ego mask, which cost little.

    BadInput if a command refuses its input.
    """
    with tempfile.TemporaryDirectory(prefix="cotrain-plan-") as folder:
        return _Bench(plan, Path(folder)).rates()


class _Bench:
    def __init__(self, plan: Plan, folder: Path):
        self.plan, self.folder, self.seconds = plan, folder, {}
        self.cycle = selftrain.rounds(plan.config)[0].path

    def rates(self) -> Rates:
        runs = self._runs()
        for name in progress(runs, "plan, calibration", "command"):
            self.seconds[name] = self._timed(runs[name])
        steps, took, images = STEPS - FEW, self.seconds, SCENES - FEW
        mixed = (took["mixed"] - took["mixed, few"]) / steps
        infer = (took["infer"] - took["infer, few"]) / images
        small, start = took["index"], took["infer, few"] - FEW * infer
        measured = {
            "small": small,
            "network": start,
            "scene": (took["render source"] + took["render target"] - 2 * small) / (2 * SCENES),
            "map": (took["threshold"] - small) / SCENES,
            "source_step": (took["source"] - took["source, few"]) / steps,
            "mixed_step": mixed,
            "infer": infer,
            "evaluate": (took["evaluate"] - start) / SCENES,
            "scene_bytes": _size(self.folder / "target") / SCENES,
            "prediction_bytes": _size(self.folder / "predictions.h5") / SCENES,
            "label_bytes": _size(self.folder / "pseudolabels.h5") / SCENES,
            "model_bytes": _size(self.folder / "model.pt"),
            "restart_bytes": _size(self.folder / "model.pt") * self._states(),
        }
        # A difference of two times that other work on the machine has touched may come out as nothing.
        return Rates(machine=self._machine(), **{name: max(value, 1e-6) for name, value in measured.items()})

    def _states(self) -> int:
        """Tensors of a parameter's size in a restart file: the parameter, and the optimizer's."""
        return 3 if self.plan.config.training.optimizer.name == "adamw" else 2

    def _machine(self) -> str:
        what = "GPU, wall time" if self.plan.gpus() else "CPU, processor time"
        return f"calibration on {platform.node()} ({what})"

    def _runs(self) -> dict[str, Run]:
        """The commands by name, each after those whose files it reads."""
        folder, data = self.folder, self.plan.config.data
        source, target = folder / "source.csv", folder / "target.csv"
        model, predictions, labels = (folder / name for name in ("model.pt", "predictions.h5", "pseudolabels.h5"))
        infer = {"model": model, "images": target, "out": predictions}
        mixed = {"init": model, "target": target, "pseudolabels": labels, "thresholds": folder / "thresholds.csv"}
        one = {"source": source, "out": model}
        again = one | mixed | {"out": folder / "again.pt"}
        few = folder / "few.csv"
        return {
            "render source": self._render("source", "rendered", data.source.size),
            "render target": self._render("target", "camera", data.target.size),
            "source index": self._index("source", SCENES),
            "index": self._index("target", SCENES),
            "few": self._index("target", FEW, few),
            "warm": Run("train", self._train(SOURCE, FEW), one),  # reads the libraries from disk, for those that follow
            "source, few": Run("train", self._train(SOURCE, FEW), one),
            "source": Run("train", self._train(SOURCE, STEPS), one),
            "infer, few": Run("infer", self._infer(), infer | {"images": few}),
            "infer": Run("infer", self._infer(), infer),
            "threshold": Run("threshold", self._threshold(), {
                "predictions": predictions, "out": labels, "table": folder / "thresholds.csv",
            }),
            "mixed, few": Run("train", self._train(self.cycle, FEW), again),
            "mixed": Run("train", self._train(self.cycle, STEPS), again),
            "evaluate": Run("evaluate", self._evaluate(), {
                "model": model, "images": source, "out": folder / "metrics.json",
            }),
        }  # fmt: skip

    def _render(self, name: str, look: str, size: tuple[int, int]) -> Run:
        return Run("render", {"look": look, "count": SCENES, "size": size}, {"out": self.folder / name})

    def _index(self, name: str, limit: int, out: Path | None = None) -> Run:
        settings = {"images": "images/{id}.png", "labels": "labels/{id}.png", "limit": limit}
        return Run("index", settings, {"root": self.folder / name, "out": out or self.folder / f"{name}.csv"})

    def _labels(self) -> dict:
        """Any classes for those of the scenes: what is learnt does not matter."""
        classes = self.plan.domains.classes
        return {"classes": classes, "values": {str(i): i % len(classes) for i in range(256)}}

    def _train(self, round: str, steps: int) -> dict:
        settings = json.loads(self.plan.settings("train", round))
        course = settings["course"] | {"steps": steps, "epochs": None}
        return settings | {"source": self._labels(), "course": course, "class_balance": None, "gpus": 1}

    def _infer(self) -> dict:
        return json.loads(self.plan.settings("infer", self.cycle)) | {"ego_mask": None}

    def _threshold(self) -> dict:
        """All pixels get a pseudo-label, so that a training finds some."""
        settings = json.loads(self.plan.settings("threshold", self.cycle))
        return settings | {"portion": 1.0, "confidence_min": 0.0, "confidence_max": 0.0}

    def _evaluate(self) -> dict:
        inference, config = self.plan.config.inference, self.plan.config
        settings = {"labels": self._labels(), "size": (config.data.validation or config.data.target).size}
        settings |= {"batch": inference.batch, "threads": inference.threads, "device": config.device}
        return settings | config.evaluation.model_dump(mode="json")

    def _timed(self, run: Run) -> float:
        """Seconds of a command: of a GPU's wall time; of processor time on CPUs, which other work does not lengthen."""
        command = [sys.executable, "-m", "cotrain.cli", run.command, "--settings", json.dumps(run.settings)]
        command += [word for name, path in run.paths.items() for word in (f"--{name}", str(path))]
        before, start = _processor_seconds(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.perf_counter() - start
        if done.returncode:
            faults = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]
            raise BadInput(*(f"calibration, {run.command}: {line}" for line in faults or done.stderr.splitlines()[-1:]))
        return took if self.plan.gpus() else (_processor_seconds() - before) / run.settings.get("threads", 1)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size
