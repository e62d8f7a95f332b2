"""Sections 1.1 and 1.2: images as columns, and what logistic regression says of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catclf.common.chart import Chart, Curve
from catclf.common.text import printable
from catclf.lesson.material import MOST_IMAGES, STEPS, Block, Material, Table
from catclf.logistic import forward, sigmoid


def images_as_columns(material: Material) -> Iterator[Block]:
    """Turn images uint8 (64, 64, 3) into X (12288, m) and Y (1, m)."""
    X, Y, m, dataset = material.X, material.Y, material.Y.size, material.dataset
    image, x, cats = material.images[0], material.X[:, :1], int(material.Y.sum())
    name, non_cat, cat = map(printable, (dataset.name, *dataset.classes))
    yield f"""
    The data, {name}: m = {m} of its {len(dataset):,} images ({MOST_IMAGES} at most, spread evenly),
    {cats} labelled 1 ({cat}) and {m - cats} labelled 0 ({non_cat}). Telling the two apart is binary
    classification.

    To the computer an image is 64 × 64 × 3 numbers from 0 to 255: for each pixel how red, how green
    and how blue. It has the shape (64, 64, 3), or three channels of (64, 64). Three pixels in the
    middle of image 0, labelled {Y[0, 0]:g}:
    """
    yield Table(
        {"row, column": "", "red": "", "green": "", "blue": ""},
        [(f"32, {column}", *image[32, column]) for column in (31, 32, 33)],
    )
    k = 10 * 64 * 3 + 20 * 3 + 1
    yield f"""
    Flattened, the image is one column x of shape (12288, 1), as 64·64·3 = 12288 = n_x. Divided by
    255 its numbers lie between 0 and 1:

        x = image.reshape(12288, 1) / 255
        x[0:4, 0] = {"  ".join(f"{v:.3f}" for v in x[:4, 0])}

    They go pixel by pixel: red, green and blue of the first, then of the one to its right. The
    lesson draws all reds first; any order will do, as long as it is the same for every image. Green
    in row 10, column 20 is number 10·64·3 + 20·3 + 1 = {k}: image[10, 20, 1] is
    {image[10, 20, 1]}, and 255 · x[{k}, 0] is {255 * x[k, 0]:.0f}. All m columns side by side are
    X, and the labels are Y. A row of X is one feature, such as the green of one pixel, in all
    images.
    """
    arrays = {"image": image, "images": material.images, "x": x, "X": X, "Y": Y}
    yield Table(
        {"array": "", "shape": "", "greatest": ".3g"},
        [(name, str(array.shape), array.max()) for name, array in arrays.items()],
    )


def predictions(material: Material) -> Iterator[Block]:
    """Compute ŷ = σ(wᵀx + b), for one image and for all."""
    Y, (w, b) = material.Y, material.learned
    yield f"""
    The parameters are w, of shape {w.shape}, a weight for each feature, and b, a number. For one
    image x, wᵀx is (1, 12288) times (12288, 1): one number.

        z = wᵀx + b
        ŷ = σ(z) = 1 / (1 + e⁻ᶻ)

    This is a neural network of one neuron, and σ, the sigmoid, its activation function. σ squashes
    any number to between 0 and 1: ŷ is read as the probability that y is 1. σ(−z) = 1 − σ(z):
    """
    z = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    rows = np.transpose([z, sigmoid(z), sigmoid(-z)])
    yield Table({"z": "g", "σ(z)": ".6f", "σ(−z)": ".6f"}, rows)
    line = np.linspace(-8, 8, 161)
    yield Chart("The sigmoid", "z", "σ(z)", [Curve(line, sigmoid(line))])
    yield f"""
    Before training w and b are 0. Then z is 0 and ŷ is {sigmoid(np.zeros(1))[0]:g} for every image:
    it knows nothing. Now w and b as {STEPS} steps of gradient descent (see section 4) leave them.
    The first images of each class:
    """
    Z = forward(w, b, material.X)
    A = sigmoid(Z)
    first = [i for y in (1, 0) for i in np.flatnonzero(Y[0] == y)[:3]]
    yield Table(
        {"image": "", "y": "g", "z": "z.3f", "ŷ": ".3f"},
        [(i, Y[0, i], Z[0, i], A[0, i]) for i in first],
    )
    yield f"""
    The answer is 1 where ŷ > 0.5. It is right on {np.mean((A > 0.5) == Y):.1%} of the m = {Y.size}
    images; always giving the more frequent label would be right on
    {max(Y.mean(), 1 - Y.mean()):.1%}. These are the images that w was learned from: how it does on
    others, catclf train and catclf eval measure.
    """
