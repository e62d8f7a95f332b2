"""Sections 1.1 and 1.2: images as columns, and what logistic regression says of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from catclf.common.chart import Chart, Curve
from catclf.lesson.blocks import STEPS, Block, Formula, Material, Table, figure
from catclf.logistic import forward, sigmoid

MIDDLE = range(31, 34)
"""Rows and columns of the pixels that are shown of each channel."""


def images_as_columns(material: Material) -> Iterator[Block]:
    """Turn images uint8 (64, 64, 3) into X (12288, m) and Y (1, m)."""
    m, cats = material.m, int(material.Y.sum())
    if material.found > m:
        yield (
            f"Of the {material.found:,} images of {material.name}, {m:,} are taken, spread evenly, "
            "so that nothing here takes long."
        )
    yield (
        f"The data, {material.name}: m = {m} images, {cats} labelled 1 ({material.classes[1]}) and "
        f"{m - cats} labelled 0 ({material.classes[0]}). Telling the two apart is binary "
        "classification."
    )
    image = material.images[0]
    yield (
        "To the computer an image is 64 × 64 × 3 numbers from 0 to 255: for each pixel how red, "
        "how green and how blue. It has the shape (64, 64, 3), or three channels of (64, 64). The "
        f"middles of the three, 3 × 3 pixels each, in image 0, labelled {int(material.Y[0, 0])}:"
    )
    yield Formula(_middles(image))
    x = image.reshape(-1, 1) / 255
    yield (
        "Flattened, the image is one column x of shape (12288, 1), as 64·64·3 = 12288 = n_x. "
        "Divided by 255 its numbers lie between 0 and 1:"
    )
    yield Formula(
        "x = image.reshape(12288, 1) / 255\n"
        f"x[0:4, 0] = {'  '.join(f'{v:.3f}' for v in x[:4, 0])}\n"
        f"x[12287, 0] = {x[-1, 0]:.3f}"
    )
    row, column, channel = 10, 20, 1
    k = row * 64 * 3 + column * 3 + channel
    yield (
        "They go pixel by pixel: red, green and blue of the first, then of the one to its right. "
        "The lesson draws all reds first; any order will do, as long as it is the same for every "
        f"image. An example: row {row}, column {column}, green is number {row}·64·3 + {column}·3 + "
        f"{channel} = {k} of the column. image[{row}, {column}, {channel}] is "
        f"{image[row, column, channel]}, and 255 · x[{k}, 0] is {255 * x[k, 0]:.0f}."
    )
    yield (
        f"All m columns side by side are X, of shape (12288, {m}); the labels are Y, of shape "
        f"(1, {m}). A column of X is an image. A row is one feature, such as the green of one "
        "pixel, in all images."
    )
    yield Table(
        ["array", "shape", "numbers"],
        [
            ["image", _shape(image), "0 to 255"],
            ["images", _shape(material.images), "0 to 255"],
            ["x", _shape(x), "0 to 1"],
            ["X", _shape(material.X), "0 to 1"],
            ["Y", _shape(material.Y), "0 or 1"],
        ],
    )


def predictions(material: Material) -> Iterator[Block]:
    """Compute ŷ = σ(wᵀx + b), for one image and for all."""
    yield (
        "The parameters are w, of shape (12288, 1), a weight for each feature, and b, a number. "
        "For one image x, wᵀx is (1, 12288) times (12288, 1): one number."
    )
    yield Formula("z = wᵀx + b\nŷ = σ(z) = 1 / (1 + e⁻ᶻ)")
    yield (
        "σ squashes any number to between 0 and 1, so that ŷ can be read as a probability: that y "
        "is 1. For -z it gives what is left to 1:"
    )
    z = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    rows = zip(z, sigmoid(z), sigmoid(-z), strict=True)
    yield Table(["z", "σ(z)", "σ(-z)"], [[f"{a:g}", f"{b:.6f}", f"{c:.6f}"] for a, b, c in rows])
    line = np.linspace(-8, 8, 161)
    yield Chart("The sigmoid", "z", "sigma(z)", [Curve(line, sigmoid(line))])
    w, b = np.zeros((len(material.X), 1)), 0.0
    Z = forward(w, b, material.X)
    yield (
        f"Before training w and b are 0. Then z is {figure(Z[0, 0])} and ŷ is "
        f"{figure(sigmoid(Z)[0, 0])} for every image: it knows nothing."
    )
    w, b = material.learned
    Z = forward(w, b, material.X)
    A = sigmoid(Z)
    yield (
        f"Now w and b as {STEPS} steps of gradient descent (see section 4) leave them. The first "
        "images of each class:"
    )
    yield Table(
        ["image", "y", "z", "ŷ", "answer"],
        [
            [str(i), str(int(material.Y[0, i])), f"{Z[0, i]:.3f}", f"{A[0, i]:.3f}", _verdict(y, a)]
            for i in _first_of_each(material.Y)
            for y, a in [(material.Y[0, i], A[0, i])]
        ],
    )
    right = np.mean((A > 0.5) == material.Y)
    guess = max(np.mean(material.Y), 1 - np.mean(material.Y))
    yield (
        f"The answer is 1 where ŷ > 0.5. It is right on {right:.1%} of the m = {material.m} "
        f"images; always giving the more frequent label would be right on {guess:.1%}. These are "
        "the images that w was learned from: how it does on others, catclf train and catclf eval "
        "measure."
    )


def _verdict(y: float, a: float) -> str:
    return "right" if (a > 0.5) == (y == 1) else "wrong"


def _first_of_each(Y: NDArray[np.float64], n: int = 3) -> list[int]:
    """Find the first examples of class 1, then of class 0."""
    return [int(i) for y in (1, 0) for i in np.flatnonzero(Y[0] == y)[:n]]


def _middles(image: NDArray[np.uint8]) -> str:
    """Write the middles of the three channels side by side."""
    names = "  ".join(f"{name:<11}" for name in ("red", "green", "blue"))
    lines = [
        "  ".join(" ".join(f"{v:3d}" for v in image[row, MIDDLE, k]) for k in range(3))
        for row in MIDDLE
    ]
    return "\n".join([names.rstrip(), *lines])


def _shape(array: NDArray[np.generic]) -> str:
    return str(array.shape)
