"""Pictures of the report: small, and as text that a page holds within itself."""

import base64
import io
from functools import cache

import numpy as np
from PIL import Image

from cotrain.data.colors import Color
from cotrain.method.labelmaps import SCALE, VOID

STRIPES = ((0, 0, 0), (235, 235, 235))  # of void


def fitted(size: tuple[int, int], width: int) -> tuple[int, int]:
    """Height and width of a picture of `size` that is at most `width` wide."""
    scale = min(1.0, width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def photograph(image: np.ndarray) -> str:
    """sRGB (H, W, 3) uint8 as a data URI."""
    return _uri(Image.fromarray(image), "webp", quality=75, method=4)


def class_map(label: np.ndarray, colors: list[Color], size: tuple[int, int]) -> str:
    """Classes (H, W) uint8, resized to `size` (height, width), as the data URI of a PNG with their colours.

    Void pixels are striped, so that they look like no class.
    """
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, label.shape, strict=True))
    small = label[np.ix_(rows, columns)]
    stripes = len(colors) + np.add.outer(np.arange(size[0]), np.arange(size[1])) // 3 % 2
    stripes = np.minimum(stripes, 255)
    image = Image.fromarray(np.where(small == VOID, stripes, small).astype(np.uint8))
    image.putpalette([part for color in (*colors, *STRIPES) for part in color])
    return _uri(image, "png", optimize=True)


def confidence_map(confidence: np.ndarray, size: tuple[int, int]) -> str:
    """Stored confidences (H, W) uint16, resized to `size`, as a data URI; 0 is violet, 1 is yellow."""
    grey = Image.fromarray((confidence // (SCALE // 255)).astype(np.uint8))
    small = np.asarray(grey.resize(size[::-1], Image.Resampling.BOX))
    return _uri(Image.fromarray(_shades()[small]), "webp", quality=60, method=4)


@cache
def _shades() -> np.ndarray:
    """sRGB (256, 3) uint8 of confidences from 0 to 1."""
    from matplotlib import colormaps

    return np.rint(colormaps["viridis"](np.arange(256))[:, :3] * 255).astype(np.uint8)


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
