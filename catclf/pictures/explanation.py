"""What a model weighs, and what each region of a photo adds, in numbers and as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catclf.common.text import wrap
from catclf.errors import ParameterError
from catclf.features.conv import Conv
from catclf.features.feature_map import cells
from catclf.features.patches import SIDE, Patches
from catclf.features.pixels import Pixels
from catclf.logistic import Array, sigmoid
from catclf.model import Model
from catclf.pictures.png import cut, enlarged, width_of, write

REGIONS = 8
"""The coarse grid has so many regions, each way, at most."""


@dataclass(frozen=True)
class Explanation:
    """The log-odds of an image, log(P / (1 − P)) of class 1, and what adds up to them; all in nats.

    Attributes
    ----------
    bias : float
        What is there whatever the image shows.
    shares : float64 (height, width)
        What each position adds, row by row from the top; above 0 it speaks for class 1. As many
        positions as the feature map has; together they cover the image.
    """

    log_odds: float
    bias: float
    shares: Array

    @property
    def positive(self) -> float:
        """The sum of the shares above 0."""
        return float(self.shares[self.shares > 0].sum())

    @property
    def negative(self) -> float:
        """The sum of the shares below 0."""
        return float(self.shares[self.shares < 0].sum())

    @property
    def total(self) -> float:
        """Bias and shares together: the log-odds, to rounding."""
        return self.bias + self.positive + self.negative

    @property
    def regions(self) -> Array:
        """The shares added up in 8 × 8 regions, or fewer where the features know fewer places."""
        height, width = self.shares.shape
        rows = np.add.reduceat(self.shares, cells(height, min(REGIONS, height)), axis=0)
        regions: Array = np.add.reduceat(rows, cells(width, min(REGIONS, width)), axis=1)
        return regions


def explain(model: Model, image: NDArray[np.uint8]) -> Explanation:
    """Divide the log-odds of an image uint8 (height, width, 3) among its regions and the bias.

    With temperature T they are Z/T = b/T + Σ shares/T, where the feature map's shares add up to
    wᵀx: the terms of the sum wᵀx, each given to where its feature comes from.

    Raises
    ------
    DataError
        If the image is of another type or shape.
    ModelError
        If its score is not finite, or its features know nothing of places.
    """
    T = model.temperature
    log_odds = float(model.scores(image[None])[0, 0]) / T
    return Explanation(log_odds, model.b / T, model.features.shares(image, model.w) / T)


Colours = NDArray[np.uint8]

FOR, AGAINST = (213, 94, 0), (0, 114, 178)
"""What speaks for a cat is orange, what speaks against it blue, as the colour-blind see them, too.

The colours are of Okabe & Ito 2008.
"""
PHOTO = 576
"""The longer side of a photo that is explained has so many pixels."""
WIDTH = 1440
"""Every picture is so many pixels wide; it is meant to be shown at half that size."""
WORDS = 400
"""So many of a dictionary's patches are shown at most."""

_LEFT = _GAP = 32  # beside the panels, and between them
_TOP, _LINE, _TITLE, _TEXT = 172, 40, 40, 29
_LOWEST = 320  # a scale is no shorter
_NAME = 300  # room for the name of a class
_GREY = "#6b6b6b"


def tint(values: Array, limit: float, ground: Array | float = 255.0) -> Colours:
    """Colour values (height, width) that are above 0 orange, those below blue.

    At 0 the ground, grey (height, width) or a number, is seen, and none of it from ±limit on.
    """
    strength = np.clip(np.abs(values) / (limit or 1.0), 0, 1)[:, :, None]
    colour = np.where(values[:, :, None] > 0, FOR, AGAINST)
    under = np.broadcast_to(ground, values.shape)[:, :, None]
    mixed: Colours = np.rint(strength * colour + (1 - strength) * under).astype(np.uint8)
    return mixed


def heat_map(
    photo: Colours, explanation: Explanation, label: str, name: str, file: str
) -> Image.Image:
    """Draw a photo, uint8 (height, width, 3), beside the heat map of its regions' shares.

    The photo's longer side has `PHOTO` pixels. `label` is what the model calls it, `name` its
    class 1.
    """
    height, width = photo.shape[:2]
    shares = explanation.shares
    limit = float(np.abs(shares).max())
    p = float(sigmoid(np.array(explanation.log_odds)))
    label, name = (cut(words, _TITLE, _NAME) for words in (label, name))
    picture = _board(
        f"{label}: P({name}) = {p:.4f}, log-odds {explanation.log_odds:+.3f} nats",
        file,
        max(height, _LOWEST),
        f"Right: the share of each of {shares.shape[0]} x {shares.shape[1]} regions in the "
        f"log-odds: orange for {name}, blue against it. They add up: bias {explanation.bias:+.3f}, "
        f"for {name} {explanation.positive:+.3f}, against it {explanation.negative:+.3f}, in all "
        f"{explanation.total:+.3f} nats. Nothing to weigh, as in black, has no share.",
    )
    # Enlarged without smoothing: a region is what the features know of places, and no finer.
    rows = np.arange(height) * shares.shape[0] // height
    columns = np.arange(width) * shares.shape[1] // width
    faint = 255 - 0.35 * (255 - photo @ np.array([0.299, 0.587, 0.114]))
    heat = tint(shares[rows][:, columns], limit, faint)
    picture.paste(Image.fromarray(photo), (_LEFT, _TOP))
    picture.paste(Image.fromarray(heat), (_LEFT + width + _GAP, _TOP))
    _scale(picture, _LEFT + 2 * (width + _GAP), max(height, _LOWEST), limit, "nats a region")
    return picture


def weights(model: Model, name: str) -> Image.Image:
    """Draw what a model weighs: its pixels' weights, its dictionary, or its network's filters.

    `name` is the model's, for the title.

    Raises
    ------
    ParameterError
        If its features have nothing to be drawn.
    """
    features = model.features
    if isinstance(features, Pixels):
        return _pixels(model, name)
    if isinstance(features, Patches):
        return _dictionary(model, features, name)
    if isinstance(features, Conv):
        return _filters(features, name)
    raise ParameterError(
        f"there is no picture of a model on features {features.name}; "
        "catclf predict --explain shows what it sees in a photo"
    )


def _pixels(model: Model, name: str) -> Image.Image:
    """Draw the weights as an image of red, green and blue, and their sum over these."""
    w = model.w.reshape(64, 64, 3)
    added = w.sum(axis=2)
    most, limit = float(np.abs(w).max()), float(np.abs(added).max())
    cat = cut(model.classes[1], _TEXT, _NAME)
    picture = _board(
        "The weights of 64 x 64 pixels",
        name,
        PHOTO,
        f"Left: red, green and blue each by their own weight; grey is 0, full brightness "
        f"{most:+.3g}, black {-most:+.3g}. Right: the three added up, what a white pixel adds to "
        f"the log-odds: orange for {cat}, blue against it.",
    )
    middle = _LEFT + PHOTO + _GAP
    for x, colours in ((_LEFT, _about_grey(w)), (middle, tint(added, limit))):
        picture.paste(enlarged(colours, PHOTO // 64), (x, _TOP))
    _scale(picture, middle + PHOTO + _GAP, PHOTO, limit, "nats")
    return picture


def _dictionary(model: Model, features: Patches, name: str) -> Image.Image:
    """Draw the dictionary's patches in the order of their weights, framed in these' colours."""
    of_cells = model.w.reshape(-1, len(features.dictionary))
    w = of_cells.sum(axis=0)
    order = np.argsort(-w, kind="stable")
    if len(order) > WORDS:
        order = np.concatenate([order[: WORDS // 2], order[-WORDS // 2 :]])
    columns, enlarge, frame, gap = 25, 6, 5, 2
    each = enlarge * SIDE + 2 * frame + gap
    height = max(-(-len(order) // columns) * each, _LOWEST)
    limit = float(np.abs(w).max())
    cat = cut(model.classes[1], _TEXT, _NAME)
    cells = "" if len(of_cells) == 1 else f", added up over {len(of_cells)} cells"
    shown = "" if len(order) == len(w) else f" The first and the last {WORDS // 2} are shown."
    picture = _board(
        f"The dictionary: {len(w)} patches of {SIDE} x {SIDE} pixels",
        name,
        height,
        f"Row by row from most for {cat} to most against it. A frame has the colour of the weight"
        f"{cells}: orange for {cat}, blue against it. Patches are whitened, as they are "
        f"compared, each on its own scale; grey is 0.{shown}",
    )
    colours = tint(w[order][None], limit)[0]
    for i, k in enumerate(order):
        y, x = divmod(i, columns)
        left, top = _LEFT + x * each, _TOP + y * each
        right, bottom = left + each - gap, top + each - gap
        picture.paste(tuple(colours[i].tolist()), (left, top, right, bottom))
        word = _about_grey(features.dictionary[k].reshape(SIDE, SIDE, 3))
        picture.paste(enlarged(word, enlarge), (left + frame, top + frame))
    _scale(picture, _LEFT + columns * each + _GAP, height, limit, "weight")
    return picture


def _filters(features: Conv, name: str) -> Image.Image:
    """Draw the filters of the network's first layer."""
    filters = np.moveaxis(features.first_layer, -1, 0)
    count, height, width, _ = filters.shape
    columns, enlarge = 8, 48
    each = height * enlarge + 24
    picture = _board(
        f"The first layer: {count} filters of {height} x {width} pixels",
        name,
        -(-count // columns) * each - 24,
        "Red, green and blue each by their own weight, each filter on its own scale; grey is 0. "
        "They belong to the network that is shipped, and are the same in every model on conv.",
    )
    for i, weights in enumerate(filters):
        y, x = divmod(i, columns)
        colours = enlarged(_about_grey(weights), enlarge)
        picture.paste(colours, (_LEFT + x * each, _TOP + y * each))
    return picture


def _about_grey(values: NDArray[np.floating]) -> Colours:
    """Turn values (height, width, 3) into colours: 0 is grey, the greatest size full."""
    size = float(np.abs(values).max()) or 1.0
    colours: Colours = np.rint(127.5 + 127.5 * values / size).astype(np.uint8)
    return colours


def _board(title: str, below: str, height: int, caption: str) -> Image.Image:
    """Give a picture with a title, what is shown, room of that height, and a caption under it."""
    lines = wrap(caption, WIDTH - 2 * _LEFT, partial(width_of, size=_TEXT))
    picture = Image.new("RGB", (WIDTH, _TOP + height + _LINE * (len(lines) + 1)), "white")
    write(picture, (_LEFT, 32), title, _TITLE)
    write(picture, (_LEFT, 92), cut(below, _TEXT, WIDTH - 2 * _LEFT), _TEXT, _GREY)
    for i, line in enumerate(lines):
        write(picture, (_LEFT, _TOP + height + 20 + _LINE * i), line, _TEXT)
    return picture


def _scale(picture: Image.Image, x: int, height: int, limit: float, unit: str) -> None:
    """Draw the scale of `tint`, from +limit at the top to -limit, with its numbers and unit."""
    ramp = np.linspace(1, -1, height).repeat(32).reshape(height, 32)
    picture.paste(Image.fromarray(tint(ramp, 1.0)), (x, _TOP))
    for share, anchor in ((0.0, "lt"), (0.5, "lm"), (1.0, "lb")):
        value = (1 - 2 * share) * limit
        words = f"{value:+.2g}" if value else "0"
        write(picture, (x + 44, _TOP + share * height), words, _TEXT, anchor=anchor)
    left = min(x, picture.width - 16 - width_of(unit, _TEXT))
    write(picture, (left, _TOP - 10), unit, _TEXT, _GREY, "lb")
