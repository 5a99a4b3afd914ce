"""Which image files keep every pixel as it was saved, as labels must: others change classes along their borders."""

from pathlib import Path

from PIL import Image

# Pillow's names of the compressions of TIFF that are lossless; others are made for photographs.
LOSSLESS_TIFF = {
    "raw",
    "tiff_raw_16",
    "tiff_ccitt",
    "group3",
    "group4",
    "packbits",
    "tiff_lzw",
    "tiff_deflate",
    "tiff_adobe_deflate",
    "lzma",
    "zstd",
}
LOSSY_WEBP = {b"VP8 ", b"ANMF"}  # chunks with an image in the lossy format, or with frames of an animation


def lossy_format(path: Path, image: Image.Image) -> str | None:
    """The format of an open image if it may have changed pixels, in words; None if it keeps them."""
    if image.format in ("PNG", "BMP", "PPM"):
        return None
    if image.format == "TIFF":
        compression = image.info.get("compression")
        return None if compression in LOSSLESS_TIFF else f"TIFF with {compression} compression"
    if image.format == "WEBP":
        return None if LOSSY_WEBP.isdisjoint(_webp_chunks(path)) else "lossy WebP"
    if image.format == "JPEG2000":  # it may be lossless, but no head says so for sure
        return "JPEG 2000"
    return "JPEG"  # Pillow calls it MPO where it holds several pictures


def _webp_chunks(path: Path) -> list[bytes]:
    """The kinds of the chunks of a WebP file, in order."""
    kinds = []
    with path.open("rb") as file:
        file.seek(len("RIFF....WEBP"))
        while True:
            head = file.read(8)
            if len(head) < 8:
                return kinds
            kinds.append(head[:4])
            length = int.from_bytes(head[4:], "little")
            file.seek(length + length % 2, 1)  # a chunk of odd length is padded
