"""Labels are read exactly as they were saved, or refused."""

import numpy as np
import pytest
from conftest import save
from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.data import indexing, labels
from cotrain.data.survey import survey
from cotrain.settings.datasets import Index, Layout

COLORS = [0x804080, 0x464646, 0x00008E]
CHOICE = np.random.default_rng(0).integers(0, 3, (24, 32))
PIXELS = {
    "ids": CHOICE.astype(np.uint8),
    "red": np.stack([CHOICE.astype(np.uint8), *[np.zeros_like(CHOICE, np.uint8)] * 2], axis=2),
    "colors": np.array([[c >> 16, c >> 8 & 255, c & 255] for c in COLORS], np.uint8)[CHOICE],
}
VALUES = {"ids": CHOICE, "red": CHOICE, "colors": np.array(COLORS)[CHOICE]}
EXIF = Image.Exif()
EXIF[271] = "a camera"
LOSSY = {
    "JPEG": ({"format": "JPEG", "quality": 100}, "JPEG"),
    "JPEG2000": ({"format": "JPEG2000", "irreversible": True}, "JPEG 2000"),
    "reversible JPEG2000": ({"format": "JPEG2000"}, "JPEG 2000"),
    "WEBP": ({"format": "WEBP", "quality": 90}, "lossy WebP"),
    "WEBP of several chunks": ({"format": "WEBP", "quality": 90, "exif": EXIF}, "lossy WebP"),
    "TIFF": ({"format": "TIFF", "compression": "jpeg"}, "TIFF with jpeg compression"),
    "several JPEGs": ({"format": "MPO", "save_all": True, "append_images": [Image.new("RGB", (32, 24))]}, "JPEG"),
}
LOSSLESS = {
    "PNG": {"format": "PNG"},
    "BMP": {"format": "BMP"},
    "PPM": {"format": "PPM"},
    "TIFF": {"format": "TIFF"},
    "TIFF of LZW": {"format": "TIFF", "compression": "tiff_lzw"},
    "TIFF of deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "WEBP": {"format": "WEBP", "lossless": True, "exact": True},
    "WEBP of several chunks": {"format": "WEBP", "lossless": True, "exif": EXIF},
}


def labelled(folder, encoding: str, options: dict, name: str = "a.png"):
    """A photograph with a label that is saved in a format, whatever its name says."""
    save(folder / "images" / "a.png", np.zeros((24, 32, 3), np.uint8))
    path = folder / "labels" / name
    path.parent.mkdir()
    with path.open("wb") as file:
        Image.fromarray(PIXELS[encoding]).save(file, **options)
    return path


@pytest.mark.parametrize("encoding", PIXELS)
@pytest.mark.parametrize("kind", LOSSY)
def test_label_in_a_lossy_format_is_refused_in_a_line_that_names_it(kind, encoding, tmp_path):
    options, words = LOSSY[kind]
    if options["format"] == "WEBP" and encoding == "ids":
        pytest.skip("WebP has no images of one channel")
    path = labelled(tmp_path, encoding, options)
    settings = Index(images="images/{id}.png", labels="labels/{id}.png", encoding=encoding)
    message = rf"labels/a\.png: its content is {words}, which changes label values; export it again as PNG$"
    with pytest.raises(BadInput, match=message):
        indexing.index(tmp_path, settings)
    with pytest.raises(BadInput, match=message):
        labels.read_values(path, encoding)
    found = survey(tmp_path, Layout(images="images/{id}.png", labels="labels/{id}.png", encoding=encoding), 1, "set")
    assert len(found.unreadable) == 1 and words in found.unreadable[0]
    assert found.pixels == {}  # no line for each wrong colour


@pytest.mark.parametrize("encoding", PIXELS)
@pytest.mark.parametrize("kind", LOSSLESS)
def test_label_in_a_lossless_format_is_read_exactly(kind, encoding, tmp_path):
    if kind.startswith("WEBP") and encoding == "ids":
        pytest.skip("WebP has no images of one channel")
    path = labelled(tmp_path, encoding, LOSSLESS[kind], "a.jpg")  # the name says nothing
    assert np.array_equal(labels.read_values(path, encoding), VALUES[encoding])


def test_mask_in_a_lossy_format_is_refused(tmp_path):
    """Beside its border, what was zero no longer is."""
    path = labelled(tmp_path, "ids", {"format": "JPEG"})
    with pytest.raises(BadInput, match="its content is JPEG"):
        labels.read_mask(path, (24, 32))
