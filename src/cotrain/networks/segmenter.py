"""A segmentation network with its input conventions: image → logits."""

import torch
from torch import nn
from torch.nn import functional as F

from cotrain.settings import architectures
from cotrain.settings.model import Model

PROBE_SIZE = (33, 49)  # height and width at which every new network is tried
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Segmenter(nn.Module):
    """An architecture with its input conventions: sRGB bytes in, logits of the same height and width out."""

    def __init__(self, network: nn.Module, classes: tuple[str, ...], settings: Model):
        super().__init__()
        self.network = network
        self.classes = classes
        self.settings = settings
        self.made_by: dict = {}  # of a loaded model: its provenance
        stride = getattr(self.encoder, "output_stride", 1)
        needs = architectures.needs(settings.architecture)
        self.multiple = settings.multiple or stride * needs.strides
        self.side = needs.side
        mean, std = _normalisation(settings.encoder)
        self.register_buffer("mean", _per_channel(mean), persistent=False)
        self.register_buffer("std", _per_channel(std), persistent=False)

    @property
    def encoder(self) -> nn.Module | None:
        """The part that is pretrained: what the libraries name `encoder` or `backbone`."""
        for name in ("encoder", "backbone"):
            if hasattr(self.network, name):
                return getattr(self.network, name)
        return None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images (B, 3, H, W) uint8, any size (padded here to what the architecture needs) → logits (B, C, H, W)."""
        height, width = images.shape[-2:]
        x = (images.float() - self.mean) / self.std
        right = self._missing(width)
        bottom = self._missing(height)
        x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        logits = self.network(x)
        if isinstance(logits, dict):  # torchvision's
            logits = logits["out"]
        return logits[..., :height, :width]

    def _missing(self, length: int) -> int:
        """Pixels by which a side is too short."""
        padded = max(length + -length % self.multiple, self.side)
        return padded - length


def _per_channel(values: tuple[float, ...]) -> torch.Tensor:
    """Values in [0, 1] → (3, 1, 1), of bytes."""
    return torch.tensor(values).view(3, 1, 1) * 255


def _normalisation(encoder: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in [0, 1], of the images that the encoder was pretrained on."""
    if encoder is not None and encoder.startswith(architectures.TIMM):
        import timm

        pretrained = timm.models.get_pretrained_cfg(timm_name(encoder), allow_unregistered=True)
        if pretrained:
            return pretrained.mean, pretrained.std
    return IMAGENET_MEAN, IMAGENET_STD


def timm_name(encoder: str) -> str:
    """timm's name of an encoder, which segmentation-models-pytorch begins with `tu-`."""
    return encoder.removeprefix(architectures.TIMM)
