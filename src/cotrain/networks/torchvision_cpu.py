"""Lets `import torchvision` succeed beside a CPU build of torch: import this module before torchvision.

torchvision's PyPI wheel is linked to CUDA. Without CUDA libraries its compiled operators do not load, and the import
then fails on two operators it describes in Python. Declaring their schemas makes the parts written in Python
(transforms, models) usable. Where the operators load, nothing is declared.

It also imports torchvision and timm without torch's compiler, which takes another 1.1 s of processor time and is not
used here: they ask it only to mark functions that it should leave alone. And it has them build networks without
filling what has no storage (on the device `meta`), for which torch imports a library of symbolic mathematics, 0.4 s.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import torch
from torch.overrides import TorchFunctionMode

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _compiled_operators_load() -> bool:
    package = Path(importlib.util.find_spec("torchvision").origin).parent
    try:
        torch.ops.load_library(package / "_C.so")
    except OSError:
        return False
    return True


if not _compiled_operators_load():
    _library = torch.library.Library("torchvision", "DEF")  # the schemas live as long as this object
    for _schema in _SCHEMAS:
        _library.define(_schema)


COMPILER = ("torch._dynamo", "torch._dynamo.utils")


class _StandIn(ModuleType):
    """Answers for the compiler while it is not imported; what it does not know is the real one's to answer."""

    @staticmethod
    def disable(function: Callable | None = None, *_: object, **__: object) -> Callable:
        return function or (lambda marked: marked)

    @staticmethod
    def is_compile_supported(device: str) -> bool:
        from torch._dynamo.utils import is_compile_supported

        return is_compile_supported(device)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        _dismiss()
        return getattr(importlib.import_module(self.__name__), name)


def _dismiss() -> None:
    for name in COMPILER:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Within it, what would import the compiler only to be left alone by it does not."""
    if COMPILER[0] not in sys.modules:
        sys.modules.update({name: _StandIn(name) for name in COMPILER})
    try:
        yield
    finally:
        _dismiss()


class MetaUnfilled(TorchFunctionMode):
    """Within it, filling a tensor of the device `meta` with random numbers does nothing, as it has none to hold."""

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> object:
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in ("normal_", "uniform_"):
            filled = args[0] if args else kwargs.get("tensor")
            if isinstance(filled, torch.Tensor) and filled.is_meta:
                return filled
        return function(*args, **kwargs)


with without_compiler():
    for _name in ("torchvision", "timm"):
        importlib.import_module(_name)
