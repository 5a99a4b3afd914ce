"""Restart files: a training that was killed goes on from its last one, and ends with the model of an undisturbed one.

Batches are a function of (seed, step), so that the step, the tensors and torch's generators are all the state there is.
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
from typing import Any

import torch

from cotrain.files import atomic, contract
from cotrain.reruns.tickets import WITHOUT_EFFECT
from cotrain.training import loop
from cotrain.training.teams import Team

KIND = "cotrain-restart"


def identity(made_by: dict, device: torch.device) -> dict[str, str]:
    """Hashes of the settings, inputs and code that a restart file must share with the training that goes on from it."""
    settings = {name: value for name, value in made_by["settings"].items() if name not in WITHOUT_EFFECT}
    parts = {
        "settings": settings | {"device": device.type},
        "inputs": made_by["inputs"],
        "code": (made_by["code"], made_by["definitions"]),
    }
    return {name: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest() for name, part in parts.items()}


class Restart:
    """The restart file of one training. As a context: SIGTERM waits for the step, which is then saved."""

    def __init__(self, path: Path | None, minutes: float | None, name: str, made_by: dict, team: Team, **parts: Any):
        """`parts` have a state to keep: model, optimizer, scheduler. Without path or minutes there is no file.

        Of the processes of `team` the first writes, and all read.
        """
        self.path, self.minutes, self.team = path if minutes else None, minutes, team
        self.name, self.parts, self.random = f"train {name}".strip(), parts, None
        self.device = next(parts["model"].parameters()).device
        self.identity = identity(made_by, self.device)
        self.saved, self.terminated = time.monotonic(), False

    def load(self) -> int:
        """Take over the state of the file, if there is one that fits; how many steps were done."""
        content = self._fitting()
        if content is None:
            return 0
        for name, part in self.parts.items():
            part.load_state_dict(content[name])
        if len(content["random"]) == self.team.count:  # of other processes there is nothing to go on with
            self.random = content["random"][self.team.rank]
        self._say(f"goes on after step {content['step']}, from {self.path}")
        return content["step"]

    def __enter__(self) -> "Restart":
        if self.random:  # as late as this, because making a DataLoader draws a number
            torch.set_rng_state(self.random["cpu"])
            if self.device.type == "cuda" and "cuda" in self.random:
                torch.cuda.set_rng_state(self.random["cuda"], self.device)
        if self.path:
            self.before = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(self, *_: object) -> None:
        if self.path:
            signal.signal(signal.SIGTERM, self.before)

    def after_step(self, done: int) -> None:
        """Save when it is time; or when SIGTERM came, and end the process. BadInput if the weights are no numbers."""
        if not self.path:
            return
        due = time.monotonic() - self.saved >= 60 * self.minutes
        terminated, due = self.team.any(self.terminated, self.terminated or due)
        if due:
            self._save(done)
        if terminated:
            self._say(f"stopped by SIGTERM after step {done}; called again, it goes on from {self.path}")
            raise SystemExit(128 + signal.SIGTERM)

    def remove(self) -> None:
        """Once the model is saved."""
        if self.path and self.team.first:
            self.path.unlink(missing_ok=True)

    def _terminate(self, *_: object) -> None:
        self.terminated = True

    def _save(self, done: int) -> None:
        loop.check_numbers(self.parts["model"], done)
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        states = self.team.gather(random)
        if self.team.first:
            self._write({"step": done, "random": states} | {n: part.state_dict() for n, part in self.parts.items()})
        self.team.gather(None)  # no process ends before the file is there
        self.saved = time.monotonic()

    def _write(self, content: dict) -> None:
        head = {"format": KIND, "version": contract.FORMAT_VERSION, "identity": self.identity}
        buffer = io.BytesIO()
        torch.save(head | content, buffer)
        atomic.write_bytes(self.path, buffer.getvalue())

    def _fitting(self) -> dict | None:
        if not self.path:
            return None
        try:
            with zipfile.ZipFile(self.path) as file:  # torch does not compare the checksums itself
                if file.testzip():
                    raise ValueError
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            if (content["format"], content["version"]) != (KIND, contract.FORMAT_VERSION):
                raise ValueError
            other = [name for name, digest in self.identity.items() if content["identity"][name] != digest]
        except FileNotFoundError:
            return None
        except Exception:  # torch.load raises many kinds for a bad file
            other = ["damaged"]
        if other:
            why = "it is damaged" if other == ["damaged"] else f"it is from other {' and '.join(other)}"
            self._say(f"{self.path} is ignored, {why}; starts at step 0")
            return None
        return content

    def _say(self, what: str) -> None:
        if not self.team.first:
            return
        with contextlib.suppress(OSError):  # whoever read our words may have been killed too
            print(f"{self.name}: {what}", file=sys.stderr, flush=True)
