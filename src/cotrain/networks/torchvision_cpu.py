"""Lets `import torchvision` succeed beside a CPU build of torch: import this module before torchvision.

torchvision's PyPI wheel is linked to CUDA. Without CUDA libraries its compiled operators do not load, and the import
then fails on two operators that torchvision describes in Python. Declaring their schemas makes the parts written in
Python (transforms, models) usable. Where the operators load, nothing is declared, as a second declaration would end the
process.

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

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def missing_schemas(package: Path) -> list[str]:
    """Schemas to declare: of the operators that no compiled library in torchvision's folder registers."""
    if _compiled_operators_load(package):
        return []
    return [schema for schema in SCHEMAS if not _is_registered(schema)]


def _compiled_operators_load(package: Path) -> bool:
    """Loads them if they can be. The library is `_C.so`, and from torchvision 0.29 on `_C_stable.so`."""
    for library in sorted(package.glob("_C*.so")):
        with contextlib.suppress(OSError):
            torch.ops.load_library(library)
            return True
    return False


def _is_registered(schema: str) -> bool:
    name, _, _ = schema.partition("(")
    return hasattr(torch.ops.torchvision, name)


_missing = missing_schemas(Path(importlib.util.find_spec("torchvision").origin).parent)
if _missing:
    _library = torch.library.Library("torchvision", "FRAGMENT")  # the schemas live as long as this object
    for _schema in _missing:
        _library.define(_schema)


COMPILER = ("torch._dynamo", "torch._dynamo.utils")


class _StandIn(ModuleType):
    """Stands for the compiler until something is asked of it that only the real one knows; then that is imported."""

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
    """Within it, importing torchvision, timm or their networks does not import the compiler."""
    if COMPILER[0] not in sys.modules:
        sys.modules.update({name: _StandIn(name) for name in COMPILER})
    try:
        yield
    finally:
        _dismiss()


class MetaUnfilled(TorchFunctionMode):
    """Within it, random numbers for a tensor on the device `meta`, which has no storage, are not computed."""

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> object:
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in ("normal_", "uniform_"):
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                return tensor
        return function(*args, **kwargs)


with without_compiler():
    for _name in ("torchvision", "timm"):
        importlib.import_module(_name)
