"""Lets `import torchvision` succeed beside a CPU build of torch: import this module before torchvision.

torchvision's PyPI wheel is linked to CUDA. Without CUDA libraries its compiled operators do not load, and the import
then fails on two operators it describes in Python. Declaring their schemas makes the parts written in Python
(transforms, models) usable. Where the operators load, nothing is declared.
"""

import importlib.util
from pathlib import Path

import torch

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
