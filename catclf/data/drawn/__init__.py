"""Draw pictures of cats and of other things, for use where no photographs are at hand.

Background, palette, pattern, position, brightness and noise are drawn from the same
distributions for both classes, so that only shapes tell a cat from a non-cat.
"""

from __future__ import annotations

import cmath
import random
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from catclf.data.drawn import objects
from catclf.data.drawn.objects import INK, SNOW, Colour, Pen, distance, mix, vary

SIDE = 64
"""Height and width of a picture, in pixels."""
ZOOM = 3
"""Pictures are drawn so many times larger, then shrunk, which smooths their edges."""
LARGE = SIDE * ZOOM


def _choose_tone(rng: random.Random, away: Colour) -> Colour:
    """Choose a colour of the background that the object's own, `away`, stands out against.

    All but pale objects are set against a lighter ground: were dark on light as frequent as
    light on dark, the outlines would cancel out in a linear classifier's weights.
    """
    pale = sum(away) > 600
    while True:
        tone = mix(
            rng.choice((*objects.ACCENTS, *objects.FURS)),
            INK if pale else SNOW,
            rng.uniform(0.3, 0.6),
        )
        if distance(tone, away) > 130:
            return vary(rng, tone, 12)


def _draw_background(rng: random.Random, away: Colour) -> Image.Image:
    kind = rng.choice(("plain", "gradient", "room", "meadow", "blurred"))
    first, second = _choose_tone(rng, away), _choose_tone(rng, away)
    if kind == "plain":
        return Image.new("RGB", (LARGE, LARGE), first)
    if kind in ("gradient", "blurred"):
        cells = 2 if kind == "gradient" else 5
        small = Image.new("RGB", (cells, cells))
        for y in range(cells):
            for x in range(cells):
                t = y * 0.7 + x * 0.3 if kind == "gradient" else rng.random()
                small.putpixel((x, y), mix(first, second, t))
        return small.resize((LARGE, LARGE), Image.Resampling.BICUBIC)
    horizon = rng.randint(LARGE // 2, LARGE * 4 // 5)
    if kind == "meadow":
        first, second = vary(rng, (176, 208, 232), 18), vary(rng, (122, 168, 92), 18)
    image = Image.new("RGB", (LARGE, LARGE), first)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, horizon, LARGE, LARGE), second)
    if kind == "room":
        pen.rectangle((0, horizon - 6, LARGE, horizon), mix(first, SNOW, 0.5))
    else:
        for _ in range(40):
            x, y = rng.randrange(LARGE), rng.randint(horizon, LARGE)
            pen.line((x, y, x + rng.randint(-4, 4), y - 8), mix(second, INK, 0.25), 2)
    return image


def _draw_picture(seed: int, index: int) -> tuple[NDArray[np.uint8], int]:
    # Text seeds are hashed with SHA-512, so that they mean the same in every process.
    first_is_cat = random.Random(f"{seed}/pair/{index // 2}").random() < 0.5
    label = int(first_is_cat == (index % 2 == 0))
    rng = random.Random(f"{seed}/{index}")
    paint = objects.mix_paint(rng)
    image = _draw_background(rng, paint.base)
    middle = LARGE / 2
    origin = complex(middle + rng.gauss(0, 5), middle + rng.gauss(0, 5))
    turn = cmath.rect(middle * rng.uniform(0.7, 0.85), rng.gauss(0, 0.08))
    gain, shift, spread = rng.uniform(0.9, 1.08), rng.uniform(-12, 12), rng.uniform(1, 7)
    pen = Pen(ImageDraw.Draw(image), origin, turn, rng.random() < 0.5)
    draw_object = objects.draw_cat if label else rng.choice(objects.OTHERS)
    draw_object(pen, paint, rng)
    pixels = np.asarray(image.reduce(ZOOM), dtype=np.float64)
    noise = np.random.default_rng(rng.getrandbits(64)).normal(0.0, spread, pixels.shape)
    return np.clip(np.rint(pixels * gain + shift + noise), 0, 255).astype(np.uint8), label


def draw(n: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw n pictures, half of them of cats: images uint8 (n, 64, 64, 3) and labels int64 (n,).

    Each consecutive pair holds one cat, label 1, and one non-cat, 0, in random order. A picture
    depends on the seed and on its own index alone: a shorter set is the start of a longer one.

    Raises
    ------
    ValueError
        If n is negative.
    """
    images, labels = np.empty((n, SIDE, SIDE, 3), np.uint8), np.empty(n, np.int64)
    for index, (image, label) in enumerate(drawings(n, seed)):
        images[index], labels[index] = image, label
    return images, labels


def drawings(n: int, seed: int = 0) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Draw the same pictures one after another, each with its label."""
    return (_draw_picture(seed, index) for index in range(n))
