"""From models and images to class probabilities, and from those to what predictions.h5 stores."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from cotrain.models import Segmenter
from cotrain.pseudolabels import SCALE, VOID

Probabilities = Callable[[torch.Tensor], torch.Tensor]  # images (B, 3, H, W) uint8 → (B, C, H, W) float32


def ensemble(models: Sequence[Segmenter], join: str = "mean") -> Probabilities:
    """Softmax probabilities of one model, or their mean or maximum over several."""
    device = next(models[0].parameters()).device
    for model in models:
        model.eval()

    def probabilities(images: torch.Tensor) -> torch.Tensor:
        images = images.to(device, non_blocking=True)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            each = torch.stack([model(images).float().softmax(dim=1) for model in models])
        return each.mean(dim=0) if join == "mean" else each.amax(dim=0)

    return probabilities


def most_probable(probabilities: torch.Tensor, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """The `keep` (K) most probable classes of each pixel, best first.

    probabilities (B, C, H, W) in [0, 1] → labels (B, K, H, W) uint8 and confidences (B, K, H, W) uint16,
    which are round(p·65535).
    """
    best, classes = probabilities.topk(keep, dim=1) if keep > 1 else probabilities.max(dim=1, keepdim=True)
    confidence = (best * SCALE).round().clamp(0, SCALE).to(torch.int32).cpu().numpy().astype(np.uint16)
    return classes.to(torch.uint8).cpu().numpy(), confidence


def confidence_histogram(label: np.ndarray, confidence: np.ndarray, classes: int) -> np.ndarray:
    """How many pixels of each class have each stored confidence: (C, 65536) int64; void pixels do not count.

    label uint8 and confidence uint16 of one shape.
    """
    known = label != VOID
    cells = label[known].astype(np.int64) * (SCALE + 1) + confidence[known]
    return np.bincount(cells, minlength=classes * (SCALE + 1)).reshape(classes, SCALE + 1)


def resized_labels(probabilities: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """Most probable class (H, W) uint8 of one image at another size. probabilities (C, h, w)."""
    if tuple(probabilities.shape[-2:]) != size:
        probabilities = F.interpolate(probabilities[None], size, mode="bilinear", align_corners=False)[0]
    return probabilities.argmax(dim=0).to(torch.uint8).cpu().numpy()
