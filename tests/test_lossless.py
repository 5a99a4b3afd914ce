"""Labels are read exactly as they were saved, or refused."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from conftest import save
from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.data import images, indexing, labels
from cotrain.data.survey import survey
from cotrain.settings.datasets import Coding, Index, Layout

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


# ---- samples of other than 8 bits -------------------------------------------------------------------------------


def packed(samples: list[list[int]], bits: int) -> bytes:
    """Rows of samples of fewer than 8 bits, each row padded to whole bytes."""
    rows = []
    for row in samples:
        text = "".join(f"{sample:0{bits}b}" for sample in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return b"".join(rows)


def png(samples: list[list[int]], bits: int) -> bytes:
    rows = [b"\0" + packed([row], bits) for row in samples]
    head = struct.pack(">IIBBBBB", len(samples[0]), len(samples), bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    texts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
             for kind, data in chunks]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(texts)


def tiff(samples: list[list[int]], bits: int, white_is_zero: bool = False) -> bytes:
    data = packed(samples, bits)
    data += b"\0" * (len(data) % 2)
    height, width = len(samples), len(samples[0])
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: int(not white_is_zero), 273: 8, 277: 1, 278: height}
    tags[279] = len(data)
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory


def bmp(samples: list[list[int]], greys: list[int]) -> bytes:
    """4 bits per pixel, with a palette of greys."""
    rows = [packed([row], 4) for row in reversed(samples)]
    data = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    colors = b"".join(bytes([grey, grey, grey, 0]) for grey in greys)
    start = 54 + len(colors)
    head = struct.pack("<IiiHHIIiiII", 40, len(samples[0]), len(samples), 1, 4, 0, len(data), 0, 0, len(greys), 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + colors + data


def pgm(samples: list[list[int]], highest: int, plain: bool) -> bytes:
    values = [sample for row in samples for sample in row]
    head = f"P{2 if plain else 5} {len(samples[0])} {len(samples)} {highest}\n".encode()
    if plain:
        return head + " ".join(map(str, values)).encode()
    return head + b"".join(value.to_bytes(1 + (highest > 255), "big") for value in values)


SAMPLES = {2: [[0, 1, 2], [3, 3, 1]], 4: [[0, 1, 2], [15, 7, 1]], 8: [[0, 1, 2], [255, 18, 1]]}


@pytest.mark.parametrize("size", [None, (4, 6)])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("write", [png, tiff])
def test_ids_of_fewer_than_8_bits_are_read_exactly(write, bits, size, tmp_path):
    (tmp_path / "a.png").write_bytes(write(SAMPLES[bits], bits))
    found = labels.read_values(tmp_path / "a.png", "ids", size)
    repeats = 2 if size else 1
    assert np.array_equal(found, np.array(SAMPLES[bits]).repeat(repeats, 0).repeat(repeats, 1))
    coding = Coding(values=dict.fromkeys(np.unique(SAMPLES[bits]).tolist(), 1))
    assert (labels.read_label(tmp_path / "a.png", coding) == 1).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_of_a_small_palette_are_read_exactly(bits, tmp_path):
    samples = np.array(SAMPLES[bits] if bits > 1 else [[0, 1, 1]], np.uint8)
    image = Image.fromarray(samples)
    image.putpalette([level for index in range(2**bits) for level in (255 - index, 7, index)])
    image.save(tmp_path / "a.png", bits=bits)
    assert np.array_equal(labels.read_values(tmp_path / "a.png", "ids"), samples)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("highest", [255, 65535])
def test_pgm_of_8_or_16_bits_is_read_exactly(highest, plain, tmp_path):
    (tmp_path / "a.png").write_bytes(pgm(SAMPLES[8], highest, plain))
    assert labels.read_values(tmp_path / "a.png", "ids").tolist() == SAMPLES[8]


def test_bmp_of_4_bits_is_read_by_the_indices_of_its_palette(tmp_path):
    (tmp_path / "a.png").write_bytes(bmp(SAMPLES[4], [17 * i for i in range(16)]))
    assert labels.read_values(tmp_path / "a.png", "ids").tolist() == SAMPLES[4]


@pytest.mark.parametrize(
    "content",
    [
        pgm(SAMPLES[4], 15, plain=False),
        pgm(SAMPLES[4], 18, plain=True),
        pgm(SAMPLES[4], 300, plain=False),
        tiff(SAMPLES[4], 4, white_is_zero=True),
        tiff(SAMPLES[8], 8, white_is_zero=True),
        bmp(SAMPLES[4], list(range(16))),
    ],
    ids=["PGM to 15", "PGM to 18", "PGM to 300", "TIFF, 4 bits, white is 0", "TIFF, white is 0", "BMP, grey is index"],
)
def test_ids_that_would_be_read_as_others_are_refused(content, tmp_path):
    save(tmp_path / "images" / "a.png", np.zeros((2, 3, 3), np.uint8))
    path = tmp_path / "labels" / "a.png"
    path.parent.mkdir()
    path.write_bytes(content)
    message = r"a\.png: its samples would be read as other values; write it with 8 or 16 bits per channel$"
    with pytest.raises(BadInput, match=message):
        labels.read_values(path, "ids")
    with pytest.raises(BadInput, match=message):
        indexing.index(tmp_path, Index(images="images/{id}.png", labels="labels/{id}.png"))


def test_colours_of_16_bits_are_refused(tmp_path):
    """Pillow would keep the upper 8 bits of each channel."""
    cv2.imwrite(str(tmp_path / "a.png"), PIXELS["colors"].astype(np.uint16))
    with pytest.raises(BadInput, match=r"a\.png: its samples would be read as other values"):
        labels.read_values(tmp_path / "a.png", "colors")


def test_photograph_of_any_depth_is_still_a_photograph(tmp_path):
    (tmp_path / "a.png").write_bytes(png(SAMPLES[4], 4))
    assert images.read_image(tmp_path / "a.png")[..., 0].tolist() == [[0, 17, 34], [255, 119, 17]]
