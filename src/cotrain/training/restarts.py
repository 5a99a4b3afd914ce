"""Restart files: a killed training goes on from its last one, and ends with the model of an undisturbed one.

Batches are a function of (seed, step). So the state of a training is its step, the tensors of its parts, and torch's
random generators.
"""

import contextlib
import hashlib
import io
import json
import signal
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, Protocol

import torch

from cotrain.files import atomic, contract
from cotrain.settings.effects import WITHOUT_EFFECT
from cotrain.training.loop import check_numbers
from cotrain.training.teams import Team

KIND = "cotrain-restart"


class Part(Protocol):
    """A part of a training that has a state: model, objectives, optimizer, scheduler."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> object: ...


def identity(made_by: dict, device: torch.device) -> dict[str, str]:
    """Hashes of the settings, inputs and code that a restart file must share with the training that goes on from it."""
    settings = {name: value for name, value in made_by["settings"].items() if name not in WITHOUT_EFFECT}
    settings["device"] = device.type
    return {
        "settings": _hash(settings),
        "inputs": _hash(made_by["inputs"]),
        "code": _hash((made_by["code"], made_by["definitions"])),
    }


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Restart:
    """The restart file of one training. As a context: SIGTERM waits for the step, which is then saved."""

    def __init__(
        self,
        path: Path | None,
        minutes: float | None,
        name: str,
        made_by: dict,
        team: Team,
        **parts: Part,
    ):
        """`parts` are what has a state, `model` among them. Without path or minutes there is no file.

        Of the processes of `team` the first writes, and all read.
        """
        self.path = path if minutes else None
        self.minutes = minutes
        self.name = f"train {name}".strip()
        self.team = team
        self.parts = parts
        self.device = next(parts["model"].parameters()).device
        self.identity = identity(made_by, self.device)
        self.random: dict[str, torch.Tensor] | None = None  # states of torch's generators, to go on from
        self.saved = time.monotonic()
        self.terminated = False

    def load(self) -> int:
        """Take over the state of the file if it fits. Returns how many steps are done."""
        content = self._read()
        if content is None:
            return 0
        for name, part in self.parts.items():
            part.load_state_dict(content[name])
        if len(content["random"]) == self.team.count:  # another number of processes has no generators to go on with
            self.random = content["random"][self.team.rank]
        self._print(f"goes on after step {content['step']}, from {self.path}")
        return content["step"]

    def __enter__(self) -> "Restart":
        if self.random:  # as late as this, because making a DataLoader draws a number
            torch.set_rng_state(self.random["cpu"])
            if self.device.type == "cuda" and "cuda" in self.random:
                torch.cuda.set_rng_state(self.random["cuda"], self.device)
        if self.path:
            self.handler_before = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(self, *_: object) -> None:
        if self.path:
            signal.signal(signal.SIGTERM, self.handler_before)

    def after_step(self, done: int) -> None:
        """Save when it is time; after SIGTERM save and end the process. BadInput if the weights are not finite."""
        if not self.path:
            return
        due = time.monotonic() - self.saved >= 60 * self.minutes
        terminated, due = self.team.any(self.terminated, self.terminated or due)
        if due:
            self._save(done)
        if terminated:
            self._print(f"stopped by SIGTERM after step {done}; called again, it goes on from {self.path}")
            raise SystemExit(128 + signal.SIGTERM)

    def remove(self) -> None:
        """Delete the file, once the model is saved."""
        if self.path and self.team.first:
            self.path.unlink(missing_ok=True)

    def _terminate(self, *_: object) -> None:
        self.terminated = True

    def _save(self, done: int) -> None:
        check_numbers(self.parts["model"], done)
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        random_of_all = self.team.gather(random)
        if self.team.first:
            self._write(done, random_of_all)
        self.team.gather(None)  # no process ends before the file is there
        self.saved = time.monotonic()

    def _write(self, done: int, random: list[dict[str, torch.Tensor]]) -> None:
        content = {
            "format": KIND,
            "version": contract.FORMAT_VERSION,
            "identity": self.identity,
            "step": done,
            "random": random,
        }
        for name, part in self.parts.items():
            content[name] = part.state_dict()
        buffer = io.BytesIO()
        torch.save(content, buffer)
        atomic.write_bytes(self.path, buffer.getvalue())

    def _read(self) -> dict | None:
        """The content of the file, or None if it is missing, damaged or of another training."""
        if not self.path:
            return None
        try:
            content = _checked(self.path)
            differences = [name for name, digest in self.identity.items() if content["identity"][name] != digest]
        except FileNotFoundError:
            return None
        except Exception:  # torch.load raises many kinds for a bad file
            self._print(f"{self.path} is ignored, it is damaged; starts at step 0")
            return None
        if differences:
            self._print(f"{self.path} is ignored, it is from other {' and '.join(differences)}; starts at step 0")
            return None
        return content

    def _print(self, message: str) -> None:
        if not self.team.first:
            return
        with contextlib.suppress(OSError):  # whoever reads the output may have been killed too
            print(f"{self.name}: {message}", file=sys.stderr, flush=True)


def _checked(path: Path) -> dict:
    """The content of a restart file. Raises ValueError, and whatever torch raises, for a damaged one."""
    with zipfile.ZipFile(path) as file:  # torch does not compare the checksums itself
        damaged = file.testzip()
    if damaged:
        raise ValueError(f"the checksum of {damaged} is wrong")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if (content["format"], content["version"]) != (KIND, contract.FORMAT_VERSION):
        raise ValueError("it is of another format")
    return content
