"""Toycity: procedural street scenes with exact labels, in two looks, for trials without a download."""

from random import Random

import numpy as np
from PIL import Image, ImageFilter

from cotrain.base.errors import BadInput
from cotrain.toycity import frontage, ground, kerbside, optics, textures, traffic
from cotrain.toycity.camera import Camera
from cotrain.toycity.canvas import CLASSES, ID, Scene
from cotrain.toycity.layout import SIDES, random_street
from cotrain.toycity.looks import LOOKS

__all__ = ["CLASSES", "contact_sheet", "render"]

COLORS = (  # the Cityscapes colours of CLASSES
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (102, 102, 156),
    (190, 153, 153),
    (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0),
    (107, 142, 35),
    (152, 251, 152),
    (70, 130, 180),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (0, 0, 70),
    (0, 60, 100),
    (119, 11, 32),
)
GROUND = (ID["road"], ID["sidewalk"], ID["terrain"])


def render(seed: int, index: int, look: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw image `index` of the data set `seed`.

    Args: look is 'rendered' or 'camera' (the two show different streets); height and width in pixels.
    Returns: image (height, width, 3) uint8 sRGB, label (height, width) uint8: index in `CLASSES`.
    Raises: BadInput if the look is unknown.
    """
    if look not in LOOKS:
        raise BadInput(f"toycity has no look {look!r}: use one of {', '.join(LOOKS)}")
    scene = new_scene(Random(f"{seed}/{index}/{look}"), look, height, width)
    fill_scene(scene)
    scene.draw()
    return develop(scene)


def new_scene(rng: Random, look: str, height: int, width: int) -> Scene:
    """Empty scene with a random camera and sun."""
    mean_side = (height * width) ** 0.5
    camera = Camera(
        focal=rng.uniform(0.8, 1.2) * mean_side,
        center=width * (0.5 + rng.gauss(0, 0.07)),
        horizon=height * rng.uniform(0.43, 0.57),
        height=rng.uniform(1.2, 1.75),
        bend=rng.choice((0, 0, 1, 1)) * rng.gauss(0, 0.004),
        roll=rng.gauss(0, 0.01),
    )
    contrast = rng.uniform(*LOOKS[look].sun)
    sun = [1 - contrast * rng.random() for _ in range(3)]
    sunny_side = rng.randrange(2)
    sun[sunny_side] = 1
    return Scene(
        rng=rng,
        look=LOOKS[look],
        camera=camera,
        height=height,
        width=width,
        sun=tuple(sun),
    )


def fill_scene(scene: Scene) -> None:
    """Paint the ground of a random street and hand everything that stands on it to the scene."""
    street = random_street(scene.rng, scene.look, scene.left_hand)
    ground.paint_ground(scene, street)
    ground.paint_markings(scene, street)
    frontage.add_background(scene, street)
    for side in SIDES:
        frontage.add_frontage(scene, street, side)
        kerbside.add_furniture(scene, street, side)
        kerbside.add_parked(scene, street, side)
    traffic.add_traffic(scene, street)
    traffic.add_people(scene, street)


def develop(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a painted scene: texture, shadows and, for the look `camera`, its optics."""
    rng = scene.rng
    label, strength, depth = decode(np.asarray(scene.surface))
    is_ground = np.isin(label, GROUND)
    ground_xz = scene.camera.ground(scene.height, scene.width)
    factor = textures.texture(
        rng,
        scene.look,
        strength,
        foliage=label == ID["vegetation"],
        ground=is_ground,
        ground_xz=ground_xz,
    )
    darkness = rng.uniform(*scene.look.shadow)
    factor *= 1 - darkness * soft_shadow(scene) * is_ground
    light = np.asarray(scene.image.reduce(2), np.float32)
    light = light * factor[..., None]
    if scene.look.has_optics:
        depth = np.where(is_ground, ground_xz[1], depth)
        depth[label == ID["sky"]] = np.inf
        light = optics.photograph(rng, light, depth)
    image = np.clip(light, 0, 255).astype(np.uint8)
    return image, label


def decode(surface: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label uint8, amplitude of the texture and depth in m (both float32), each (height, width), from `Scene.code`."""
    label = surface & 255
    percent = (surface >> 8) & 255
    log_depth = (surface >> 16) / 20
    return (
        label.astype(np.uint8),
        percent.astype(np.float32) / 100,
        np.exp(log_depth, dtype=np.float32),
    )


def soft_shadow(scene: Scene) -> np.ndarray:
    """Cast shadows (height, width) float32 in 0..1 with blurred edges."""
    penumbra = ImageFilter.GaussianBlur(scene.height / 150)
    blurred = scene.shadow.filter(penumbra)
    return np.asarray(blurred, np.float32) / 255


def contact_sheet(
    seed: int,
    looks: tuple[str, ...],
    rows: int,
    columns: int,
    height: int,
    width: int,
) -> Image.Image:
    """Sheet of images beside their coloured labels: `rows` rows for each look, `columns` scenes in a row."""
    size = (2 * width * columns, height * rows * len(looks))
    sheet = Image.new("RGB", size)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(COLORS)] = COLORS
    for place in range(rows * columns * len(looks)):
        row, column = divmod(place, columns)
        look = looks[row // rows]
        image, label = render(seed, place, look, height, width)
        pair = np.concatenate([image, palette[label]], axis=1)
        corner = (2 * width * column, height * row)
        sheet.paste(Image.fromarray(pair), corner)
    return sheet
