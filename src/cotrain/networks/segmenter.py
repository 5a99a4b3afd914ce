"""A segmentation network with its input conventions: image → logits."""

import torch
from torch import nn
from torch.nn import functional as F

from cotrain.settings import architectures
from cotrain.settings.model import Model

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Segmenter(nn.Module):
    """An architecture with its input conventions: sRGB bytes in, logits of the same height and width out."""

    def __init__(self, network: nn.Module, classes: tuple[str, ...], settings: Model):
        super().__init__()
        self.network, self.classes, self.settings = network, classes, settings
        self.made_by: dict = {}  # of a loaded model: its provenance
        needs = architectures.needs(settings.architecture)
        stride = getattr(self.encoder, "output_stride", 1)
        self.multiple, self.side = settings.multiple or stride * needs.strides, needs.side
        for name, values in zip(("mean", "std"), _normalisation(settings.encoder), strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1) * 255, persistent=False)

    @property
    def encoder(self) -> nn.Module | None:
        """The part that is pretrained, by the libraries' names for it."""
        return getattr(self.network, "encoder", getattr(self.network, "backbone", None))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images (B, 3, H, W) uint8, any size (padded here to what the architecture needs) → logits (B, C, H, W)."""
        height, width = images.shape[-2:]
        x = (images.float() - self.mean) / self.std
        x = F.pad(x, (0, self._missing(width), 0, self._missing(height)), mode="replicate")
        logits = self.network(x.contiguous(memory_format=torch.channels_last))
        if isinstance(logits, dict):  # torchvision's
            logits = logits["out"]
        return logits[..., :height, :width]

    def _missing(self, length: int) -> int:
        """Pixels that a side is too short by."""
        return max(length + -length % self.multiple, self.side) - length


def _normalisation(encoder: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in [0, 1], of the images that the encoder was pretrained on."""
    import timm

    timms = encoder is not None and encoder.startswith(architectures.TIMM)
    known = timms and timm.models.get_pretrained_cfg(timm_name(encoder), allow_unregistered=True)
    return (known.mean, known.std) if known else (IMAGENET_MEAN, IMAGENET_STD)


def timm_name(encoder: str) -> str:
    return encoder.removeprefix(architectures.TIMM)
