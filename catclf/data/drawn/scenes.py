"""Draw pictures of cats and of other things, for use where no photographs are at hand.

Background, palette, pattern, position, brightness and noise are drawn from the same
distributions for both classes, so that only shapes tell a cat from a non-cat.
"""

import cmath
import random
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from catclf.data.drawn.objects import (
    ACCENTS,
    COATS,
    INK,
    OTHERS,
    SNOW,
    Colour,
    Pen,
    cat,
    coat,
    distance,
    mix,
    vary,
)

SIDE = 64  # pixels along each edge of a finished picture
ZOOM = 3  # pictures are drawn this many times larger, then shrunk to smooth their edges


def _tone(rng: random.Random, away: Colour) -> Colour:
    """Choose a background colour that the subject's own colour stands out against.

    All but pale subjects are set against a lighter ground: were dark on light as frequent as
    light on dark, the outlines would cancel out in a linear classifier's weights.
    """
    pale = sum(away) > 600
    while True:
        tone = mix(rng.choice((*ACCENTS, *COATS)), INK if pale else SNOW, rng.uniform(0.3, 0.6))
        if distance(tone, away) > 130:
            return vary(rng, tone, 12)


def _background(rng: random.Random, away: Colour) -> Image.Image:
    size = (SIDE * ZOOM, SIDE * ZOOM)
    kind = rng.choice(("plain", "gradient", "room", "meadow", "blurred"))
    first, second = _tone(rng, away), _tone(rng, away)
    if kind == "plain":
        return Image.new("RGB", size, first)
    if kind in ("gradient", "blurred"):
        cells = 2 if kind == "gradient" else 5
        small = Image.new("RGB", (cells, cells))
        for y in range(cells):
            for x in range(cells):
                t = y * 0.7 + x * 0.3 if kind == "gradient" else rng.random()
                small.putpixel((x, y), mix(first, second, t))
        return small.resize(size, Image.Resampling.BICUBIC)
    horizon = rng.randint(SIDE * ZOOM // 2, SIDE * ZOOM * 4 // 5)
    if kind == "meadow":
        first, second = vary(rng, (176, 208, 232), 18), vary(rng, (122, 168, 92), 18)
    image = Image.new("RGB", size, first)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, horizon, *size), second)
    if kind == "room":
        pen.rectangle((0, horizon - 6, size[0], horizon), mix(first, SNOW, 0.5))
    else:
        for _ in range(40):
            x, y = rng.randrange(size[0]), rng.randint(horizon, size[1])
            pen.line((x, y, x + rng.randint(-4, 4), y - 8), mix(second, INK, 0.25), 2)
    return image


def _picture(seed: int, index: int) -> tuple[NDArray[np.uint8], int]:
    # Text seeds are hashed with SHA-512, so that they mean the same in every process.
    first_is_cat = random.Random(f"{seed}/pair/{index // 2}").random() < 0.5
    label = int(first_is_cat == (index % 2 == 0))
    rng = random.Random(f"{seed}/{index}")
    colours = coat(rng)
    image = _background(rng, colours.base)
    middle = SIDE * ZOOM / 2
    origin = complex(middle + rng.gauss(0, 5), middle + rng.gauss(0, 5))
    turn = cmath.rect(middle * rng.uniform(0.7, 0.85), rng.gauss(0, 0.08))
    gain, shift, spread = rng.uniform(0.9, 1.08), rng.uniform(-12, 12), rng.uniform(1, 7)
    pen = Pen(ImageDraw.Draw(image), origin, turn, rng.random() < 0.5)
    subject = cat if label else rng.choice(OTHERS)
    subject(pen, colours, rng)
    pixels = np.asarray(image.reduce(ZOOM), dtype=np.float64)
    noise = np.random.default_rng(rng.getrandbits(64)).normal(0.0, spread, pixels.shape)
    return np.clip(np.rint(pixels * gain + shift + noise), 0, 255).astype(np.uint8), label


def draw(n: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw n pictures, half of them of cats.

    Each consecutive pair holds one cat and one non-cat, in random order. A picture depends
    on the seed and on its own index alone: a shorter set is the start of a longer one.

    Parameters
    ----------
    n : int
        Number of pictures.
    seed : int, default 0
        Seed of the pictures; another seed gives other pictures.

    Returns
    -------
    images : ndarray of uint8, shape (n, 64, 64, 3)
        RGB pixels, 0 to 255.
    labels : ndarray of int64, shape (n,)
        1 for a cat, 0 for a non-cat.

    Raises
    ------
    ValueError
        If n is negative.
    """
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    images = np.empty((n, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.empty(n, dtype=np.int64)
    for index, (image, label) in enumerate(drawings(n, seed)):
        images[index], labels[index] = image, label
    return images, labels


def drawings(n: int, seed: int = 0) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Draw the same pictures one after another, each with its label."""
    return (_picture(seed, index) for index in range(n))
