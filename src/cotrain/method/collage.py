"""Which classes a collage pastes, and which are rare (Gómez et al. 2022, Sect. III-A; Zou et al. 2018, Sect. 5)."""

import numpy as np


def rare_classes(pixels: np.ndarray, share: float) -> np.ndarray:
    """Classes that make up less than `share` of the predicted pixels (Zou 2018, Sect. 5). pixels (C,) int."""
    limit = share * pixels.sum()
    return np.flatnonzero(pixels < limit)


def collage_order(thresholds: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """All classes from the least to the most confident: by ascending threshold C_T (Sect. III-A).

    Bounds and common thresholds make many of them equal. Of those, the class predicted for fewer pixels comes first,
    then the one of the lower number. thresholds (C,), predicted pixels (C,). Returns (C,).
    """
    return np.lexsort((predicted, thresholds))


def collage_classes(pixels: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """Classes of a source crop whose pixels are pasted over a target image (ClassMix-inspired collage, Sect. III-A).

    Of the m classes present, the `max(1, floor(share·m))` least confident ones. pixels (C,) of each class in the crop,
    order (C,) of `collage_order`, share is p_CM. Returns (n,) classes.
    """
    is_present = pixels[order] > 0
    present = order[is_present]
    count = max(1, int(share * len(present)))
    return present[:count]
