"""The formats of docs/formats.md as data: datasets of HDF5 files, columns of tables, ranges."""

import numpy as np

FORMAT_VERSION = 1
LIBVER = ("v110", "v110")  # the first version of HDF5's format in which all but the data have checksums
RANGES = {  # of columns
    "height": (1, 10**6),
    "width": (1, 10**6),
    "portion": (0, 1),
    "threshold": (0, 1),
    "confidence": (0, 1),
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
MOMENTS = (  # of the CIELAB channels of a source image and of its target image, in the order of the columns
    *("source_mean_l", "source_mean_a", "source_mean_b"),
    *("source_std_l", "source_std_a", "source_std_b"),
    *("target_mean_l", "target_mean_a", "target_mean_b"),
    *("target_std_l", "target_std_a", "target_std_b"),
)
TABLES = {
    "index": {"image_id": str, "image": str, "label": str, "height": int, "width": int},
    "color": {"image_id": str, "target_id": str, **dict.fromkeys(MOMENTS, float)},
    "thresholds": {"class": int, "name": str, "pixels": int, "portion": float, "threshold": float},
    "selected": {"image_id": str, "confidence": float, "reason": str},
    "received": {"image_id": str, "confidence": float, "reason": str, "model": int},  # selected, of several senders
}
