"""Images and labels that are damaged, of a kind that could be misread, or made to fill the memory; and odd folders."""

import os
import struct
import zlib

import numpy as np
from box import SIZE, collector, cut, flip, save_as, write

CASES, case = collector()
PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


# ---- damaged ----------------------------------------------------------------------------------------------------


@case("a.png: damaged image", "replace or remove it")
def bit_flipped_in_a_label_image(box):
    flip(box.label, box.label.stat().st_size // 2)
    return box.statistics()


@case("a.png: damaged image")
def bit_flipped_in_a_checksum_at_the_end(box):
    flip(box.label, box.label.stat().st_size - 14)
    return box.statistics()


@case("a.png: damaged image")
def png_cut_short(box):
    cut(box.photograph, 0.6)
    return box.color()


@case("a.png: damaged image")
def jpeg_cut_short(box):
    save_as(box.photograph, np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8), format="JPEG")
    cut(box.photograph, 0.6)
    return box.color()


@case("a.png: not a readable image (PNG, JPEG, TIFF", "replace or remove it")
def text_named_png(box):
    write(box.photograph, "no image")
    return box.list_images()


@case("a.png: not a readable image")
def empty_image(box):
    write(box.photograph, "")
    return box.list_images()


@case("a.png: not a readable image")
def postscript_which_would_be_executed(box):
    lines = ["%!PS-Adobe-3.0 EPSF-3.0", "%%BoundingBox: 0 0 32 24", "%%EndComments", "(pwned) (w) file closefile"]
    write(box.photograph, "\n".join([*lines, "%%EOF", ""]))
    return box.color()


@case("a.png: no such image", "run the index stage again")
def image_that_is_gone(box):
    box.photograph.unlink()
    return box.color()


# ---- bombs ------------------------------------------------------------------------------------------------------


@case("a.png: 60000×60000 pixels, the limit is 100,000,000", "scale it down")
def image_of_3600_megapixels_is_refused_by_its_head(box):
    write(box.photograph, header(60000, 60000) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
    return box.list_images()


@case("a.png: 10001×10000 pixels, the limit is 100,000,000")
def label_of_100_megapixels(box):
    write(box.label, header(10001, 10000) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
    return box.statistics()


@case("a.png: not a readable image")
def bomb_in_a_text_chunk(box):
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    write(box.photograph, header(4, 4) + text + chunk(b"IDAT", zlib.compress(bytes(20))) + chunk(b"IEND", b""))
    return box.list_images()


@case("a.png: damaged image")
def pixels_that_end_early(box):
    write(box.photograph, header(9000, 9000) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
    return box.color()


# ---- of a kind that could be misread ----------------------------------------------------------------------------


@case("a.png: damaged image", "grey values from 0 to 70000, expected 0 to 65535")
def photograph_of_more_than_sixteen_bits(box):
    save_as(box.photograph, np.linspace(0, 70000, 24 * 32, dtype=np.int32).reshape(SIZE), format="TIFF")
    return box.color()


@case("a.png: pixels of mode F, expected 8 or 16 bits per channel", "convert it")
def photograph_of_floating_point(box):
    save_as(box.photograph, np.full(SIZE, 0.5, np.float32), format="TIFF")
    return box.color()


@case("a.png: pixels of mode RGB, expected one channel of ids", "convert it")
def label_of_colours(box):
    save_as(box.label, np.zeros((*SIZE, 3), np.uint8))
    return box.list_images()


@case("a.png: pixels of mode 1, expected one channel of ids")
def label_of_one_bit(box):
    save_as(box.label, np.zeros(SIZE, bool))
    return box.statistics()


@case("a.png: its content is JPEG, which changes label values", "export it again as PNG")
def label_that_is_a_jpeg(box):
    save_as(box.label, np.zeros(SIZE, np.uint8), format="JPEG")
    return box.statistics()


@case("a.png: label value 9 is unknown", "add it to `values`")
def label_of_an_unknown_value(box):
    save_as(box.label, np.full(SIZE, 9, np.uint8))
    return box.statistics()


@case("a.png: label values from -5 to -5, expected 0 to 65535")
def negative_label(box):
    save_as(box.label, np.full(SIZE, -5, np.int32), format="TIFF")
    return box.statistics()


@case("a.png: size 12×8 differs from its image's 32×24", "fix or remove the pair")
def label_of_another_size(box):
    save_as(box.label, np.zeros((8, 12), np.uint8))
    return box.list_images()


@case("a.png: size 32×24 differs from its image's 24×32")
def photograph_that_its_camera_turned_and_its_label_not(box):
    from PIL import Image

    image = Image.fromarray(np.zeros((*SIZE, 3), np.uint8))
    image.getexif()[274] = 6
    image.save(box.photograph, format="JPEG", exif=image.getexif())
    return box.list_images()


# ---- folders ----------------------------------------------------------------------------------------------------


@case("nowhere: no such folder", "COTRAIN_DATA")
def folder_that_does_not_exist(box):
    return box.command("index", {"images": "{id}.png"}, root=box / "nowhere")


@case("no image matches pictures/{id}.png", "check the folder")
def folder_without_images_of_the_pattern(box):
    return box.list_images(images="pictures/{id}.png")


@case("a.png: it has no label", "add the file or remove the image")
def image_without_its_label(box):
    box.label.unlink()
    return box.list_images()


@case("loop.png: not a readable image")
def link_to_itself_among_the_images(box):
    (box.photograph.parent / "loop.png").symlink_to("loop.png")
    return box.list_images()


@case("no image matches loop/{id}.jpg")
def links_between_folders_that_go_in_circles(box):
    loop = box.index.parent / "loop"
    loop.mkdir()
    for name in ("a", "b"):
        (loop / name).symlink_to(loop, target_is_directory=True)
    return box.list_images(images="loop/{id}.jpg")


@case("pipe.png: not a readable image")
def pipe_that_nobody_writes_to(box):
    os.mkfifo(box.photograph.parent / "pipe.png")
    return box.list_images()


@case("x.png: not a readable image")
def folder_named_like_an_image(box):
    (box.photograph.parent / "x.png").mkdir()
    return box.list_images()


@case("image_id 'city/a\\nb' is no plain relative path", "rename the image")
def image_whose_name_has_a_line_break(box):
    box.photograph.rename(box.photograph.with_name("a\nb.png"))
    return box.list_images()


@case("is no plain relative path", "rename the image")
def image_whose_name_is_no_text(box):
    box.photograph.rename(box.photograph.with_name(os.fsdecode(b"Z\xfcrich.png")))
    return box.list_images()


@case("--settings: images: the path must stay below its folder", lines=1)
def pattern_that_climbs_out_of_the_folder(box):
    return box.list_images(images="../{id}.png", labels=None)


@case("--settings: images: the path must stay below its folder")
def pattern_that_is_absolute(box):
    return box.list_images(images="/etc/{id}", labels=None)


@case("--settings: labels: the label path must contain {id}")
def one_label_for_all_images(box):
    return box.list_images(labels="labels/city/a.png")
