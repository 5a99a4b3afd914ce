"""The formats of docs/formats.md as data: datasets of HDF5 files, columns of tables, ranges."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    pass

FORMAT_VERSION = 1
LIBVER = ("v110", "v110")  # the first version of HDF5's format in which all but the data have checksums
RANGES = {  # of columns
    **dict.fromkeys(("height", "width"), (1, 10**6)),
    **dict.fromkeys(("portion", "threshold", "confidence"), (0, 1)),
    "class": (0, 254),
    "pixels": (0, 2**62),
}
MAX_ITEMS = 2**30  # read at once
# dataset: dimensions, type. C and B are the classes and the bins of confidence, other letters what they are first.
DATASETS = {
    "predictions": {
        "image_id": ("N", str),
        "label": ("NKHW", np.uint8),
        "confidence": ("NKHW", np.uint16),
        "histogram": ("CB", np.int64),
    },
    "pseudolabels": {
        "image_id": ("N", str),
        "round": ("N", str),
        "label": ("NHW", np.uint8),
        "confidence": ("N", np.float32),
        "class_confidence": ("NC", np.float32),
        "class_pixels": ("NC", np.int64),
    },
    "statistics": {"image_id": ("N", str), "class_pixels": ("NC", np.int64)},
    "pictures": {"image_id": ("N", str)},
}
TABLES = {
    "index": {"image_id": str, "image": str, "label": str, "height": int, "width": int},
    "color": {"image_id": str, "target_id": str}
    | {f"{domain}_{moment}_{channel}": float for domain in ("source", "target") for moment in ("mean", "std")
       for channel in "lab"},
    "thresholds": {"class": int, "name": str, "pixels": int, "portion": float, "threshold": float},
    "selected": {"image_id": str, "confidence": float, "reason": str},
}  # fmt: skip
