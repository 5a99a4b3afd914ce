"""Pictures of the page: small, and as data URIs, so that the page needs no other file."""

import base64
import io
from functools import cache

import numpy as np
from PIL import Image

from cotrain.data.colors import Color
from cotrain.method.labelmaps import SCALE, VOID

STRIPE_COLORS = ((0, 0, 0), (235, 235, 235))  # of void
STRIPE_WIDTH = 3  # pixels, across the page


def fitted(size: tuple[int, int], width: int) -> tuple[int, int]:
    """Height and width of a picture of `size` (height, width) that is at most `width` wide."""
    scale = min(1.0, width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def photograph(image: np.ndarray) -> str:
    """sRGB (H, W, 3) uint8 as the data URI of a WebP."""
    return _data_uri(Image.fromarray(image), "webp", quality=75, method=4)


def class_map(label: np.ndarray, colors: list[Color], size: tuple[int, int]) -> str:
    """Classes (H, W) uint8, resized to `size` (height, width), as the data URI of a PNG in the colours of the classes.

    Void pixels are striped, so that they look like no class.
    """
    height, width = size
    rows = np.arange(height) * label.shape[0] // height
    columns = np.arange(width) * label.shape[1] // width
    small = label[np.ix_(rows, columns)]
    diagonals = np.add.outer(np.arange(height), np.arange(width))
    stripes = len(colors) + diagonals // STRIPE_WIDTH % len(STRIPE_COLORS)
    stripes = np.minimum(stripes, 255)
    indices = np.where(small == VOID, stripes, small).astype(np.uint8)
    image = Image.fromarray(indices)
    palette = np.array([*colors, *STRIPE_COLORS])
    image.putpalette(palette.ravel().tolist())
    return _data_uri(image, "png", optimize=True)


def confidence_map(confidence: np.ndarray, size: tuple[int, int]) -> str:
    """Confidences (H, W) uint16, round(p·65535), resized to `size`, as the data URI of a WebP; 0 violet, 1 yellow."""
    grey = (confidence // (SCALE // 255)).astype(np.uint8)
    small = Image.fromarray(grey).resize(size[::-1], Image.Resampling.BOX)
    shades = _viridis()[np.asarray(small)]
    return _data_uri(Image.fromarray(shades), "webp", quality=60, method=4)


@cache
def _viridis() -> np.ndarray:
    """sRGB (256, 3) uint8 of confidences from 0 to 1."""
    from matplotlib import colormaps

    colors = colormaps["viridis"](np.arange(256))
    return np.rint(colors[:, :3] * 255).astype(np.uint8)


def _data_uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{kind};base64,{text}"
