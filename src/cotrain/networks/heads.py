"""Heads: further outputs of a network in training, computed from its encoder's last feature map.

An objective attaches the heads that it trains. Labels and scores come from the logits alone: a model file is loaded
without its heads, unless a training goes on with them.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from cotrain.base.errors import BadInput
from cotrain.networks.segmenter import PROBE_SIZE, Segmenter

HIDDEN = 512  # units between the pooled features and the classes


class Outputs(NamedTuple):
    """What a network in training says of a batch of images (B, 3, H, W)."""

    logits: torch.Tensor  # (B, C, H, W)
    heads: dict[str, torch.Tensor]  # by the name of the head


class HeadedSegmenter(nn.Module):
    """A segmenter with the heads that are trained with it, if any: images → `Outputs`."""

    def __init__(self, segmenter: Segmenter):
        super().__init__()
        self.segmenter = segmenter
        self.heads = nn.ModuleDict()

    def attach(self, name: str, head: nn.Module) -> None:
        """Add a head: feature map (B, channels, h, w) → a tensor. Call it before the optimizer is made."""
        device = next(self.segmenter.parameters()).device
        self.heads[name] = head.to(device, memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> Outputs:
        """images (B, 3, H, W) uint8 → logits, and the output of each head."""
        if not self.heads:
            return Outputs(self.segmenter(images), {})
        logits, features = with_features(self.segmenter, images)
        outputs = {name: head(features) for name, head in self.heads.items()}
        return Outputs(logits, outputs)


def with_features(segmenter: Segmenter, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (B, C, H, W), and the encoder's last feature map (B, channels, h, w)."""
    if segmenter.encoder is None:
        raise BadInput(
            f"model.architecture: {segmenter.settings.architecture} has no part named encoder or backbone, which a "
            "head needs; name that part so"
        )
    maps = []

    def keep(encoder: nn.Module, inputs: tuple, output: Any) -> None:
        maps.extend(_feature_maps(output))

    hook = segmenter.encoder.register_forward_hook(keep)
    try:
        logits = segmenter(images)
    finally:
        hook.remove()
    return logits, maps[-1]


def _feature_maps(output: Any) -> Iterator[torch.Tensor]:
    """The maps (B, channels, h, w) among what an encoder returns: a tensor, or lists and dictionaries of them."""
    if isinstance(output, torch.Tensor):
        if output.dim() == 4:
            yield output
    elif isinstance(output, dict):
        for part in output.values():
            yield from _feature_maps(part)
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _feature_maps(part)


def encoder_channels(segmenter: Segmenter) -> int:
    """Channels of the encoder's last feature map, found by running it."""
    device = next(segmenter.parameters()).device
    image = torch.zeros(1, 3, *PROBE_SIZE, dtype=torch.uint8, device=device)
    training = segmenter.training
    segmenter.eval()
    with torch.inference_mode():
        _, features = with_features(segmenter, image)
    segmenter.train(training)
    return features.shape[1]


class ImageClassifier(nn.Module):
    """Head that says which classes an image contains (Iqbal and Ali 2020, Sect. 4.1.2).

    Convolutions 1×1 and 3×3 of `width` channels, global average pooling, two fully connected layers; ReLU between all.
    """

    def __init__(self, channels: int, classes: int, width: int = 2048):
        """`channels` are those of the feature map, see `encoder_channels`."""
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, kernel_size=1)
        self.context = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.hidden = nn.Linear(width, HIDDEN)
        self.classes = nn.Linear(HIDDEN, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """features (B, channels, h, w) → scores (B, C), whose sigmoid is the probability of each class.

        The sigmoid is left to the loss: binary cross-entropy of scores is exact where that of probabilities is not.
        """
        x = self.reduce(features).relu()
        x = self.context(x).relu()
        x = x.mean(dim=(2, 3))
        x = self.hidden(x).relu()
        return self.classes(x)
