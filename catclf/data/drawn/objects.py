"""What the drawn set shows: cats, and what shares colours and shapes with them."""

import cmath
import math
import random
from collections.abc import Sequence
from typing import NamedTuple, Self

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


class Paint(NamedTuple):
    """Colours (RGB, 0 to 255) and pattern of an object: of fur, feathers, walls or leaves."""

    base: Colour
    dark: Colour
    light: Colour
    pattern: str


FURS: tuple[Colour, ...] = (
    (226, 140, 62),  # orange
    (142, 146, 156),  # grey
    (62, 56, 62),  # black
    (240, 236, 230),  # white
    (232, 206, 162),  # cream
    (152, 112, 76),  # brown
)
PATTERNS = ("plain", "tabby", "tabby", "patches", "bib")
ACCENTS: tuple[Colour, ...] = (
    (196, 62, 58), (62, 112, 186), (86, 156, 92), (236, 192, 72), (150, 96, 168), (84, 172, 178),
)  # fmt: skip
SKINS: tuple[Colour, ...] = ((246, 212, 184), (226, 178, 140), (178, 124, 88), (120, 80, 58))
EYES: tuple[Colour, ...] = ((150, 196, 78), (236, 190, 60), (112, 178, 216))
INK: Colour = (34, 28, 32)
SNOW: Colour = (252, 250, 246)
PINK: Colour = (232, 150, 150)
WOOD: Colour = (112, 80, 54)
CIRCLE: tuple[Point, ...] = tuple(
    (math.cos(k * math.tau / 28), math.sin(k * math.tau / 28)) for k in range(28)
)


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """Give the colour that is a share t of the way from a to b."""
    red, green, blue = (round(u + (v - u) * t) for u, v in zip(a, b, strict=True))
    return red, green, blue


def vary(rng: random.Random, colour: Colour, spread: int) -> Colour:
    """Change red, green and blue at random, each by `spread` at most."""
    red, green, blue = (min(255, max(0, v + rng.randint(-spread, spread))) for v in colour)
    return red, green, blue


def distance(a: Colour, b: Colour) -> int:
    """Add up by how much red, green and blue differ."""
    return sum(abs(u - v) for u, v in zip(a, b, strict=True))


class Pen:
    """Draw in a frame of its own, about -1 to 1 along both axes with y pointing down.

    A frame is origin + turn * z on complex z = x + iy, after a mirror image if flipped.
    """

    def __init__(
        self, canvas: ImageDraw.ImageDraw, origin: complex, turn: complex, flip: bool
    ) -> None:
        self.canvas, self.origin, self.turn, self.flip = canvas, origin, turn, flip

    def _map(self, x: float, y: float) -> complex:
        return self.origin + self.turn * complex(-x if self.flip else x, y)

    def at(self, x: float, y: float, scale: float = 1.0, tilt: float = 0.0) -> Self:
        """Return a pen whose frame is centred on (x, y), scaled and then tilted."""
        step = cmath.rect(scale, -tilt if self.flip else tilt)
        return type(self)(self.canvas, self._map(x, y), self.turn * step, self.flip)

    def shape(self, points: Sequence[Point], fill: Colour, edge: Colour | None = None) -> None:
        """Fill a polygon, outlined if an edge colour is given."""
        path = [(z.real, z.imag) for z in (self._map(x, y) for x, y in points)]
        self.canvas.polygon(path, fill, edge, 2 if edge else 1)

    def oval(
        self, at: Point, radii: Point, fill: Colour, edge: Colour | None = None, tilt: float = 0
    ) -> None:
        """Fill an ellipse, outlined if an edge colour is given."""
        frame = self.at(*at, tilt=tilt)
        frame.shape([(radii[0] * u, radii[1] * v) for u, v in CIRCLE], fill, edge)

    def pair(self, at: Point, radii: Point, fill: Colour, tilt: float = 0) -> None:
        """Fill two ellipses that mirror each other about x = 0."""
        self.oval(at, radii, fill, tilt=tilt)
        self.oval((-at[0], at[1]), radii, fill, tilt=-tilt)

    def curve(self, a: Point, b: Point, c: Point, colour: Colour, width: float) -> None:
        """Stroke a quadratic Bezier curve from a to c with round ends."""
        path = []
        for i in range(13):
            t = i / 12
            p, q, r = (1 - t) ** 2, 2 * t * (1 - t), t * t
            z = self._map(p * a[0] + q * b[0] + r * c[0], p * a[1] + q * b[1] + r * c[1])
            path.append((z.real, z.imag))
        pixels = max(1, round(width * abs(self.turn)))
        self.canvas.line(path, colour, pixels, joint="curve" if pixels > 4 else None)
        if pixels > 4:
            for x, y in (path[0], path[-1]):
                h = pixels / 2
                self.canvas.ellipse((x - h, y - h, x + h, y + h), colour)


def _cat_head(pen: Pen, paint: Paint, rng: random.Random) -> None:
    tip = rng.uniform(-1.3, -1.1)
    for s in (-1, 1):
        pen.shape([(s * 0.95, -0.15), (s * 0.82, tip), (s * 0.16, -0.7)], paint.base, paint.dark)
        pen.shape([(s * 0.82, -0.4), (s * 0.76, tip + 0.24), (s * 0.36, -0.66)], PINK)
        pen.shape([(s * 0.8, 0.1), (s * 1.1, 0.42), (s * 0.5, 0.72)], paint.base, paint.dark)
    pen.oval((0, 0), (1, 0.82), paint.base, paint.dark)
    if paint.pattern == "tabby":
        for x in (-0.3, 0.0, 0.3):
            pen.curve((x, -0.76), (x * 0.9, -0.6), (x * 0.7, -0.4), paint.dark, 0.1)
        for s in (-1, 1):
            for y in (0.06, 0.3):
                pen.curve(
                    (s * 0.97, y), (s * 0.85, y + 0.06), (s * 0.7, y + 0.04), paint.dark, 0.09
                )
    elif paint.pattern == "patches":
        pen.oval((0.42, -0.22), (0.42, 0.42), paint.dark)
    pen.pair((0.2, 0.38), (0.3, 0.24), paint.light)
    iris, wide = rng.choice(EYES), rng.uniform(0.06, 0.13)
    pen.pair((0.43, -0.06), (0.26, 0.22), INK, tilt=-0.25)
    pen.pair((0.43, -0.06), (0.22, 0.18), iris, tilt=-0.25)
    pen.pair((0.43, -0.06), (wide, 0.18), INK)
    for x in (-0.37, 0.49):
        pen.oval((x, -0.13), (0.05, 0.05), SNOW)
    pen.shape([(-0.14, 0.17), (0.14, 0.17), (0, 0.32)], (214, 112, 118), INK)
    hair = SNOW if sum(paint.base) < 420 else mix(paint.dark, INK, 0.4)
    for s in (-1, 1):
        pen.curve((0, 0.32), (s * 0.04, 0.52), (s * 0.26, 0.46), INK, 0.06)
        for y in (-0.1, 0.06, 0.22):
            pen.curve((s * 0.4, 0.38), (s * 0.8, 0.34 + y), (s * 1.35, 0.36 + 1.7 * y), hair, 0.035)


def _dog_head(pen: Pen, paint: Paint, rng: random.Random) -> None:
    pen.oval((0, -0.08), (0.84, 0.82), paint.base, paint.dark)
    if paint.pattern == "patches":
        pen.oval((0.36, -0.22), (0.34, 0.38), paint.dark)
    elif paint.pattern != "plain":
        pen.oval((0, -0.45), (0.16, 0.4), paint.light)
    flop, droop = rng.uniform(0.15, 0.4), rng.uniform(0.1, 0.25)
    ear = mix(paint.base, paint.dark, 0.75)
    for s in (-1, 1):
        pen.oval((s * 0.88, droop), (0.28, 0.64), ear, paint.dark, tilt=-s * flop)
    pen.oval((0, 0.4), (0.52, 0.42), paint.light, paint.dark)
    pen.pair((0.36, -0.16), (0.14, 0.16), INK)
    for x in (-0.32, 0.4):
        pen.oval((x, -0.21), (0.05, 0.05), SNOW)
    if rng.random() < 0.5:
        pen.oval((0.03, 0.74), (0.15, 0.24), (226, 108, 118), INK)
    for s in (-1, 1):
        pen.curve((0, 0.34), (s * 0.05, 0.66), (s * 0.36, 0.52), INK, 0.06)
    pen.oval((0, 0.2), (0.22, 0.15), INK)
    pen.oval((-0.06, 0.15), (0.06, 0.03), (150, 146, 150))


def _close_up(pen: Pen, paint: Paint, rng: random.Random, cat: bool) -> None:
    pen.oval((0, 1.25), (0.75, 0.6), paint.base, paint.dark)
    if rng.random() < 0.4:
        pen.curve((-0.55, 0.78), (0, 1.1), (0.55, 0.78), rng.choice(ACCENTS), 0.16)
    (_cat_head if cat else _dog_head)(pen.at(0, 0.05, 0.84), paint, rng)


def _sitting(pen: Pen, paint: Paint, rng: random.Random, cat: bool) -> None:
    bend, tip = ((1.35, 0.9), (0.92, 0.0)) if cat else ((0.85, 0.8), (1.0, 0.5))
    wave = rng.uniform(-0.2, 0.2)
    for tone, width in ((paint.dark, 0.24), (paint.base, 0.19)):
        pen.curve((0.4, 0.86), bend, (tip[0], tip[1] + wave), tone, width)
    pen.oval((0, 0.62), (0.62, 0.48), paint.base, paint.dark)
    pen.oval((0, 0.3), (0.45, 0.62), paint.base)
    if paint.pattern == "tabby":
        for y in (0.3, 0.5, 0.7):
            for s in (-1, 1):
                pen.curve((s * 0.5, y), (s * 0.4, y + 0.06), (s * 0.28, y), paint.dark, 0.06)
    if paint.pattern != "plain":
        pen.oval((0, 0.42), (0.24, 0.36), paint.light)
    for x in (-0.18, 0.18):
        pen.oval((x, 0.78), (0.13, 0.3), paint.base, paint.dark)
        pen.oval((x, 1.02), (0.18, 0.1), paint.light, paint.dark)
    if rng.random() < 0.4:
        pen.curve((-0.36, 0.1), (0, 0.36), (0.36, 0.1), rng.choice(ACCENTS), 0.12)
    (_cat_head if cat else _dog_head)(pen.at(0, -0.36, 0.62, wave * 0.8), paint, rng)


def _side_view(pen: Pen, paint: Paint, rng: random.Random, cat: bool) -> None:
    lying, wave = rng.random() < 0.5, rng.uniform(-0.2, 0.2)
    y = 0.42 if lying else 0.18
    bend, tip = ((1.45, 0.6), (1.0, 0.82)) if lying else ((1.3, 0.0), (1.08, wave - 0.75))
    thick = 0.2 if cat else 0.14
    for tone, width in ((paint.dark, thick + 0.05), (paint.base, thick)):
        pen.curve((0.72, y), bend, tip, tone, width)
    for k, x in enumerate(() if lying else (-0.45, -0.2, 0.42, 0.66)):
        tone = paint.base if k % 2 else mix(paint.base, paint.dark, 0.5)
        pen.oval((x, 0.68), (0.12, 0.36), tone, paint.dark)
        pen.oval((x - 0.04, 0.98), (0.15, 0.08), paint.light, paint.dark)
    pen.oval((0.12, y), (0.84, 0.42), paint.base, paint.dark)
    if paint.pattern == "tabby":
        for x in (0.05, 0.28, 0.51):
            pen.curve((x, y - 0.38), (x + 0.1, y - 0.2), (x, y), paint.dark, 0.09)
    elif paint.pattern == "patches":
        pen.oval((0.4, y - 0.08), (0.26, 0.2), paint.dark)
    if lying:
        pen.oval((0.6, 0.6), (0.34, 0.26), paint.base, paint.dark)
        for x in (-0.62, -0.3):
            pen.oval((x, 0.8), (0.26, 0.11), paint.light, paint.dark)
    (_cat_head if cat else _dog_head)(pen.at(-0.48, y - 0.42, 0.56, wave * 0.8), paint, rng)


POSES = (_close_up, _close_up, _close_up, _sitting, _sitting, _side_view, _side_view)


def draw_cat(pen: Pen, paint: Paint, rng: random.Random) -> None:
    """Draw a cat in a random pose."""
    rng.choice(POSES)(pen, paint, rng, True)


def _dog(pen: Pen, paint: Paint, rng: random.Random) -> None:
    rng.choice(POSES)(pen, paint, rng, False)


def _bird(pen: Pen, paint: Paint, rng: random.Random) -> None:
    for x in (-0.1, 0.14):
        pen.curve((x, 0.6), (x, 0.8), (x - 0.06, 0.98), WOOD, 0.06)
    pen.curve((-1.1, 1.02), (0, 0.94), (1.1, 1.04), WOOD, 0.12)
    pen.shape([(0.5, 0.1), (1.25, rng.uniform(0.1, 0.5)), (1.1, 0.7), (0.4, 0.5)], paint.dark)
    pen.shape([(-0.78, -0.5), (-1.25, -0.32), (-0.74, -0.2)], (240, 172, 60), INK)
    pen.oval((0.05, 0.2), (0.72, 0.54), paint.base, paint.dark, tilt=0.35)
    pen.oval((-0.46, -0.36), (0.42, 0.4), paint.base, paint.dark)
    pen.oval((-0.24, 0.3), (0.4, 0.34), paint.light, tilt=0.5)
    pen.oval((-0.42, -0.2), (0.34, 0.22), paint.base)
    pen.oval((0.3, 0.18), (0.46, 0.28), mix(paint.base, paint.dark, 0.6), paint.dark, tilt=0.4)
    pen.oval((-0.58, -0.42), (0.11, 0.11), INK)
    pen.oval((-0.61, -0.45), (0.04, 0.04), SNOW)


def _fish(pen: Pen, paint: Paint, rng: random.Random) -> None:
    fin = mix(paint.base, paint.dark, 0.5)
    pen.shape([(0.5, 0), (1.15, -0.58), (0.98, 0), (1.15, 0.58)], fin, paint.dark)
    pen.shape([(-0.35, -0.45), (0.15, -0.95), (0.45, -0.35)], fin, paint.dark)
    pen.shape([(-0.1, 0.45), (0.2, 0.85), (0.36, 0.35)], fin, paint.dark)
    pen.oval((-0.15, 0), (0.9, 0.6), paint.base, paint.dark)
    pen.oval((-0.2, 0.26), (0.6, 0.26), paint.light)
    for x in (-0.15, 0.12, 0.39):
        pen.curve((x, -0.36), (x + 0.22, 0), (x, 0.36), paint.dark, 0.06)
    pen.oval((-0.62, -0.12), (0.19, 0.19), SNOW, INK)
    pen.oval((-0.64, -0.12), (0.1, 0.1), INK)
    pen.curve((-1.02, 0.14), (-0.9, 0.26), (-0.76, 0.2), INK, 0.06)
    for k in range(3):
        pen.oval((-1.1 + 0.08 * k, -0.3 - 0.3 * k), (0.08, 0.08), SNOW, (150, 190, 214))


def _house(pen: Pen, paint: Paint, rng: random.Random) -> None:
    roof, door = rng.choice(ACCENTS), rng.choice(ACCENTS)
    if rng.random() < 0.5:
        roof = mix(paint.base, INK, 0.5)
    pen.shape([(0.4, -1.0), (0.66, -1.0), (0.66, -0.3), (0.4, -0.3)], WOOD, INK)
    pen.shape([(-0.8, -0.2), (0.8, -0.2), (0.8, 0.95), (-0.8, 0.95)], paint.base, paint.dark)
    pen.shape([(-1.02, -0.15), (0, rng.uniform(-1.1, -0.9)), (1.02, -0.15)], roof, INK)
    pen.shape([(-0.18, 0.4), (0.18, 0.4), (0.18, 0.95), (-0.18, 0.95)], door, INK)
    for x in (-0.5, 0.5):
        pane = [(x - 0.17, 0.08), (x + 0.17, 0.08), (x + 0.17, 0.42), (x - 0.17, 0.42)]
        pen.shape(pane, (252, 232, 160), INK)
        pen.curve((x, 0.08), (x, 0.2), (x, 0.42), INK, 0.04)


def _car(pen: Pen, paint: Paint, rng: random.Random) -> None:
    cabin = rng.uniform(-0.7, -0.55)
    glass = (186, 214, 228)
    pen.shape([(-0.7, 0), (-0.42, cabin), (0.4, cabin), (0.78, 0)], paint.base, paint.dark)
    pen.shape([(-0.52, 0), (-0.32, cabin + 0.12), (-0.03, cabin + 0.12), (-0.03, 0)], glass, INK)
    pen.shape([(0.09, 0), (0.09, cabin + 0.12), (0.34, cabin + 0.12), (0.58, 0)], glass, INK)
    body = [(-1.1, 0.1), (-1.0, -0.06), (1.0, -0.04), (1.14, 0.14), (1.12, 0.56), (-1.12, 0.56)]
    pen.shape(body, paint.base, paint.dark)
    pen.curve((-1.1, 0.32), (0, 0.3), (1.1, 0.32), paint.dark, 0.05)
    pen.oval((-1.02, 0.16), (0.09, 0.09), (252, 226, 130), INK)
    for x in (-0.6, 0.62):
        pen.oval((x, 0.58), (0.3, 0.3), INK)
        pen.oval((x, 0.58), (0.15, 0.15), (190, 190, 196))


def _tree(pen: Pen, paint: Paint, rng: random.Random) -> None:
    pen.shape([(-0.14, 0.1), (0.14, 0.1), (0.24, 1.05), (-0.24, 1.05)], WOOD, INK)
    if rng.random() < 0.5:
        for y, w in ((0.5, 0.85), (0.05, 0.68), (-0.38, 0.5)):
            pen.shape([(-w, y), (0, y - 0.75), (w, y)], paint.base, paint.dark)
        return
    blobs = [(-0.48, 0.02), (0.48, 0.0), (-0.3, -0.5), (0.34, -0.48), (0, -0.15)]
    for x, y in blobs:
        pen.oval((x + rng.uniform(-0.08, 0.08), y), (0.5, 0.45), paint.base, paint.dark)
    for x, y in blobs:
        pen.oval((x, y + 0.02), (0.36, 0.32), paint.base)
        pen.oval((x - 0.1, y - 0.1), (0.12, 0.08), paint.light)


def _ball(pen: Pen, paint: Paint, rng: random.Random) -> None:
    pen.oval((0, 0), (0.95, 0.95), paint.base, paint.dark)
    trim = rng.choice((paint.dark, paint.light))
    if rng.random() < 0.5:
        for s in (-1, 1):
            pen.curve((s * 0.62, -0.68), (s * 0.05, 0), (s * 0.62, 0.68), trim, 0.1)
    else:
        for x, y in (*CIRCLE[::6], (0, 0)):
            pen.oval((0.62 * x, 0.62 * y), (0.2, 0.2), trim)
    pen.oval((-0.38, -0.45), (0.2, 0.13), mix(paint.base, SNOW, 0.7), tilt=-0.7)


def _person(pen: Pen, paint: Paint, rng: random.Random) -> None:
    hair, long = paint.base, rng.random() < 0.5
    skin = rng.choice([tone for tone in SKINS if distance(tone, hair) > 100])
    edge = mix(skin, WOOD, 0.6)
    pen.oval((0, -0.2), (0.84, 0.86), hair, paint.dark)
    if long:
        pen.shape([(-0.84, -0.2), (0.84, -0.2), (0.9, 0.85), (-0.9, 0.85)], hair, paint.dark)
    pen.shape([(-0.22, 0.5), (0.22, 0.5), (0.26, 1.0), (-0.26, 1.0)], skin)
    pen.oval((0, 1.35), (0.95, 0.52), rng.choice((*ACCENTS, *FURS)), INK)
    pen.pair((0.68, 0.06), (0.12, 0.18), skin)
    pen.oval((0, 0.05), (0.66, 0.76), skin, edge)
    pen.shape([(-0.66, -0.12), (-0.55, -0.6), (0, -0.85), (0.55, -0.6), (0.66, -0.12),
               (0.3, -0.42), (-0.25, -0.45)], hair)  # fmt: skip
    pen.pair((0.27, 0.0), (0.13, 0.09), SNOW)
    pen.pair((0.27, 0.0), (0.07, 0.08), INK)
    pen.curve((0, 0.05), (0.1, 0.26), (-0.02, 0.27), edge, 0.05)
    pen.curve((-0.25, 0.44), (0, rng.uniform(0.5, 0.66)), (0.25, 0.44), (176, 62, 66), 0.08)
    for s in (-1, 1):
        pen.curve((s * 0.4, -0.18), (s * 0.27, -0.26), (s * 0.14, -0.18), paint.dark, 0.07)


OTHERS = (_dog, _dog, _dog, _bird, _fish, _house, _car, _tree, _ball, _person)
"""What draws each object that is no cat, as frequent as it is named."""


def mix_paint(rng: random.Random) -> Paint:
    """Choose random colours and a pattern."""
    base = vary(rng, rng.choice(FURS), 12)
    dark = mix(base, INK, 0.45 if sum(base) > 300 else 0.7)
    return Paint(base, dark, mix(base, SNOW, rng.uniform(0.4, 0.85)), rng.choice(PATTERNS))
