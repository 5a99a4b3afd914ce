"""Measures a machine's rates for `plan`: times a few real commands on rendered scenes, at the sizes of a config."""

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

# A command's start is told apart from its steps or images by timing it twice, with few and with more.
FEW_STEPS, STEPS = 8, 40
FEW_SCENES, SCENES = 8, 24
LEAST = 1e-6  # a difference of two times that other work on the machine has touched may come out as nothing


class Command(NamedTuple):
    stage: str
    settings: dict
    paths: dict[str, Path]  # by flag


def measure(plan: Plan) -> Rates:
    """Rates for a config, without its prior, class balance and ego mask, which cost little.

    Raises BadInput if a command refuses its input.
    """
    with tempfile.TemporaryDirectory(prefix="cotrain-plan-") as temporary:
        bench = _Bench(plan, Path(temporary))
        commands = bench.commands()
        seconds = {}
        for name in progress(commands, "plan, calibration", "command"):
            seconds[name] = _timed(commands[name], wall_time=bench.has_gpu)
        rates = bench.times(seconds) | bench.sizes()
    positive = {name: max(rate, LEAST) for name, rate in rates.items()}
    return Rates(machine=bench.machine, **positive)


class _Bench:
    """The commands to time in a folder, and what their times and files tell."""

    def __init__(self, plan: Plan, folder: Path):
        self.plan, self.folder = plan, folder
        self.cycle = selftrain.rounds(plan.config)[0].path
        self.has_gpu = bool(plan.gpus())
        self.source = folder / "source.csv"
        self.target = folder / "target.csv"
        self.few = folder / "few.csv"
        self.model = folder / "model.pt"
        self.predictions = folder / "predictions.h5"
        self.pseudolabels = folder / "pseudolabels.h5"
        self.thresholds = folder / "thresholds.csv"

    @property
    def machine(self) -> str:
        timed = "GPU, wall time" if self.has_gpu else "CPU, processor time"
        return f"calibration on {platform.node()} ({timed})"

    # ---- commands ---------------------------------------------------------------------------------------------

    def commands(self) -> dict[str, Command]:
        """The commands by name, each after those whose files it reads."""
        data = self.plan.config.data
        return {
            "render source": self._render("source", "rendered", data.source.size),
            "render target": self._render("target", "camera", data.target.size),
            "source index": self._index("source", SCENES, self.source),
            "index": self._index("target", SCENES, self.target),
            "few": self._index("target", FEW_SCENES, self.few),
            "warm": self._train_source(FEW_STEPS),  # reads the libraries from disk, for those that follow
            "source, few": self._train_source(FEW_STEPS),
            "source": self._train_source(STEPS),
            "infer, few": self._infer(self.few),
            "infer": self._infer(self.target),
            "threshold": self._threshold(),
            "mixed, few": self._train_mixed(FEW_STEPS),
            "mixed": self._train_mixed(STEPS),
            "evaluate": self._evaluate(),
        }

    def _render(self, name: str, look: str, size: tuple[int, int]) -> Command:
        settings = {"look": look, "count": SCENES, "size": size}
        return Command("render", settings, {"out": self.folder / name})

    def _index(self, name: str, limit: int, out: Path) -> Command:
        settings = {"images": "images/{id}.png", "labels": "labels/{id}.png", "limit": limit}
        return Command("index", settings, {"root": self.folder / name, "out": out})

    def _train_source(self, steps: int) -> Command:
        settings = self._train_settings(SOURCE, steps)
        return Command("train", settings, {"source": self.source, "out": self.model})

    def _train_mixed(self, steps: int) -> Command:
        settings = self._train_settings(self.cycle, steps)
        paths = {
            "source": self.source,
            "init": self.model,
            "target": self.target,
            "pseudolabels": self.pseudolabels,
            "thresholds": self.thresholds,
            "out": self.folder / "mixed.pt",
        }
        return Command("train", settings, paths)

    def _infer(self, images: Path) -> Command:
        settings = self._settings("infer", self.cycle)
        settings["ego_mask"] = None
        return Command("infer", settings, {"model": self.model, "images": images, "out": self.predictions})

    def _threshold(self) -> Command:
        """All pixels get a pseudo-label, so that a training finds some."""
        settings = self._settings("threshold", self.cycle)
        settings |= {"portion": 1.0, "confidence_min": 0.0, "confidence_max": 0.0}
        paths = {"predictions": self.predictions, "out": self.pseudolabels, "table": self.thresholds}
        return Command("threshold", settings, paths)

    def _evaluate(self) -> Command:
        config = self.plan.config
        domain = config.data.validation or config.data.target
        settings = {
            "labels": self._labels(),
            "size": domain.size,
            "batch": config.inference.batch,
            "threads": config.inference.threads,
            "device": config.device,
            **config.evaluation.model_dump(mode="json"),
        }
        paths = {"model": self.model, "images": self.source, "out": self.folder / "metrics.json"}
        return Command("evaluate", settings, paths)

    def _settings(self, stage: str, round_name: str) -> dict:
        return json.loads(self.plan.settings(stage, round_name))

    def _train_settings(self, round_name: str, steps: int) -> dict:
        settings = self._settings("train", round_name)
        settings["course"] |= {"steps": steps, "epochs": None}
        settings |= {"source": self._labels(), "class_balance": None, "gpus": 1}
        return settings

    def _labels(self) -> dict:
        """Any classes for those of the scenes: what is learnt does not matter."""
        classes = self.plan.domains.classes
        values = {str(value): value % len(classes) for value in range(256)}
        return {"classes": classes, "values": values}

    # ---- rates ------------------------------------------------------------------------------------------------

    def times(self, seconds: dict[str, float]) -> dict[str, float]:
        """Rates in seconds, from the seconds of each command."""
        small = seconds["index"]
        steps = STEPS - FEW_STEPS
        infer = (seconds["infer"] - seconds["infer, few"]) / (SCENES - FEW_SCENES)
        network = seconds["infer, few"] - FEW_SCENES * infer
        render = seconds["render source"] + seconds["render target"] - 2 * small
        return {
            "small": small,
            "network": network,
            "scene": render / (2 * SCENES),
            "map": (seconds["threshold"] - small) / SCENES,
            "source_step": (seconds["source"] - seconds["source, few"]) / steps,
            "mixed_step": (seconds["mixed"] - seconds["mixed, few"]) / steps,
            "infer": infer,
            "evaluate": (seconds["evaluate"] - network) / SCENES,
        }

    def sizes(self) -> dict[str, float]:
        """Rates in bytes, from the files that the commands wrote."""
        model = _size(self.model)
        return {
            "scene_bytes": _size(self.folder / "target") / SCENES,
            "prediction_bytes": _size(self.predictions) / SCENES,
            "label_bytes": _size(self.pseudolabels) / SCENES,
            "model_bytes": model,
            "restart_bytes": model * self._states(),
        }

    def _states(self) -> int:
        """Tensors of a parameter's size in a restart file: the parameter, and the optimizer's."""
        return 3 if self.plan.config.training.optimizer.name == "adamw" else 2


def _timed(command: Command, wall_time: bool) -> float:
    """Runs a command; its seconds of wall time, or of processor time, which other work does not lengthen."""
    words = [sys.executable, "-m", "cotrain.cli", command.stage, "--settings", json.dumps(command.settings)]
    for flag, path in command.paths.items():
        words += [f"--{flag}", str(path)]
    processor_start = _processor_seconds()
    start = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise BadInput(*(f"calibration, {command.stage}: {fault}" for fault in _faults(done.stderr)))
    if wall_time:
        return seconds
    return (_processor_seconds() - processor_start) / command.settings.get("threads", 1)


def _faults(stderr: str) -> list[str]:
    """What a command that failed says is wrong; its last line if it does not say."""
    lines = stderr.splitlines()
    faults = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return faults or lines[-1:]


def _processor_seconds() -> float:
    """Of all commands so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
