"""Features of a small convolutional network, learned once and shipped; run here in numpy.

The last neuron of a network is a logistic regression on the layer before it (LeCun et al. 1998,
"Gradient-based learning applied to document recognition"). This map is that layer: a chain of
convolutions, 3 × 3 but for the last, with ReLU, some added to their input (He et al. 2016), and
2 × 2 maximum pooling, then the mean over the positions of the last map. Batch normalisation is
folded into the weights.
tools/learn_features.py learned them; models/README.md says on what, and how well they do.
"""

from __future__ import annotations

import hashlib
import io
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.common.types import Array, Float32
from catclf.errors import ModelError
from catclf.features.feature_map import FeatureMap, share_out
from catclf.features.views import cut_middle, overlay, reduction, resize

FILE = "features.npz"
SHA256 = "6182c8b5d787867ad6707acbe5d997a17096e20ee9e823076784b762fc5d79b0"
"""The digest of the file that is shipped; no other is read."""


def shipped(name: str) -> Path:
    """Find a file of models/, in an installed package or in the source tree."""
    package = Path(__file__).parents[1]
    installed = package / "models" / name
    return installed if installed.exists() else package.parent / "models" / name


SIDE, VIEW = 96, 64
"""An image has so many pixels each way, and the network sees so many of them."""


class Conv(FeatureMap):
    """Average each filter of the network's last layer over the whole image and over its middle."""

    name = "conv"
    image_size = (SIDE, SIDE)
    enlarges = True
    symmetric = True  # nearly: the network has learned from mirrored photos, too

    def __init__(self) -> None:
        self._network = _network_in_tiles()
        self.n_x = self._network.n_x

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Conv:
        """Make the map that a model was trained on.

        Raises
        ------
        ValueError
            If this catclf ships another network.
        """
        if settings["sha256"] != SHA256:
            raise ValueError("it needs the network of another catclf version: train it again")
        return cls()

    def settings(self) -> dict[str, Any]:
        return {"sha256": SHA256}

    def transform(self, images: NDArray[np.uint8]) -> Float32:
        """Turn images uint8 (m, 96, 96, 3), or 64, into X float32 (n_x, m), mean activations."""
        X = np.empty((self.n_x, len(images)), dtype=np.float32)
        # One image after another: more would not fit the processor's cache, and in products of
        # several the last digits of each depend on how many there are.
        for i, image in enumerate(images):
            X[:, i] = self.last_map(cut_views(image)).mean(axis=(0, 1, 2))
        return X

    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the positions of both last maps, on one grid: the class activation map.

        The grid is 24 × 24: a position of the whole covers 3 × 3 of it, one of the middle, which
        begins at the fifth, 2 × 2.
        """
        activations = self.last_map(cut_views(image))
        n = activations.shape[1]
        terms = w.reshape(1, 1, -1) * activations.mean(axis=(0, 1, 2))
        whole, middle = share_out(terms, activations.reshape(2 * n, n, -1)).reshape(2, n, n)
        return overlay(whole, middle, (3, 2))

    @property
    def first_layer(self) -> Float32:
        """The filters that see the pixels: float32 (3, 3, 3, filters), rows, columns, colours."""
        return self._network.layers[0].weight

    def last_map(self, views: Float32) -> Float32:
        """Run the network: views (m, 64, 64, 3), 0 to 255, to (m, height, width, n_x)."""
        network = self._network
        a: Float32 = views * network.scale + network.shift
        for layer in network.layers:
            a = _convolve(a, layer)
        return a


def cut_views(image: NDArray[np.uint8]) -> Float32:
    """Cut what the network sees from an image uint8 (96, 96, 3), or 64: float32 (2, 64, 64, 3).

    That is the whole, reduced, and its middle two thirds each way. A smaller image is enlarged
    first, as photos are.
    """
    pixels = resize(image, (SIDE, SIDE)).astype(np.float32)
    whole = _reduction() @ np.tensordot(_reduction(), pixels, 1)
    return np.stack([whole, cut_middle(pixels, (VIEW, VIEW))])


@cache
def _reduction() -> Float32:
    """Make the matrix (64, 96) that reduces rows or columns."""
    return reduction(SIDE, VIEW).astype(np.float32)


def _convolve(a: Float32, layer: Layer) -> Float32:
    """Compute relu(a ∗ weight + bias), with a itself added before the relu in a residual layer.

    Bias and relu change no maximum: pooled before them, a quarter of the numbers is left for them.
    """
    k, _, channels, filters = layer.weight.shape
    if k == 4:
        z = _convolve_in_tiles(a, layer.weight)
    else:
        z = _windows(a, k) @ layer.weight.reshape(k * k * channels, filters)
        z = z.reshape(*a.shape[:3], filters)
    if layer.residual:
        z += a
    if layer.pooled:
        z = _max_pool(z)
    z += layer.bias
    np.maximum(z, 0.0, out=z)
    return z


def _transform(weight: Float32) -> Float32:
    """Make G weight Gᵀ, float32 (4, 4, c, n), of weight (3, 3, c, n) for `_convolve_in_tiles`."""
    G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    transformed: Float32 = np.einsum("ia,jb,abcn->ijcn", G, G, weight).astype(np.float32)
    return transformed


def _convolve_in_tiles(a: Float32, weight: Float32) -> Float32:
    """Convolve a (m, h, w, c) with 16 products for each 2 × 2 positions where sums take 36.

    This is the algorithm F(2×2, 3×3) of Lavin & Gray 2016, "Fast algorithms for convolutional
    neural networks": Aᵀ ((G weight Gᵀ) ⊙ (Bᵀ d B)) A for each tile d of 4 × 4.
    """
    m, h, w, c = a.shape
    padded = np.zeros((m, h + 2, w + 2, c), dtype=np.float32)
    padded[:, 1:-1, 1:-1] = a
    images, rows, columns, item = padded.strides
    tiles = np.lib.stride_tricks.as_strided(
        padded,
        (4, 4, m, h // 2, w // 2, c),
        (rows, columns, images, 2 * rows, 2 * columns, item),
        writeable=False,
    )
    products = (_BB @ tiles.reshape(16, -1)).reshape(4, 4, -1, c) @ weight
    z = (_AA @ products.reshape(16, -1)).reshape(2, 2, m, h // 2, w // 2, -1)
    convolved: Float32 = z.transpose(2, 3, 0, 4, 1, 5).reshape(m, h, w, -1)
    return convolved


# Bᵀ d B and Aᵀ p A, of tiles laid out in 16 rows.
_B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], dtype=np.float32)
_A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], dtype=np.float32)
_BB, _AA = np.kron(_B, _B), np.kron(_A, _A)


def _windows(a: Float32, k: int) -> Float32:
    """Lay the k × k neighbours of each position of a (m, h, w, c) side by side, in a row."""
    m, h, w, c = a.shape
    if k == 1:
        return a.reshape(-1, c)
    p = k // 2
    padded = np.zeros((m, h + 2 * p, w + 2 * p, c), dtype=np.float32)
    padded[:, p : p + h, p : p + w] = a
    images, rows, columns, _ = padded.strides
    # A row of k neighbours lies in one piece in memory: k · c numbers are copied at once.
    neighbours = np.lib.stride_tricks.as_strided(
        padded, (m, h, w, k, k * c), (images, rows, columns, rows, a.itemsize), writeable=False
    )
    return neighbours.reshape(m * h * w, k * k * c)


def _max_pool(a: Float32) -> Float32:
    """Keep the largest of each 2 × 2 positions of a (m, h, w, c)."""
    rows = np.maximum(a[:, 0::2], a[:, 1::2])
    pooled: Float32 = np.maximum(rows[:, :, 0::2], rows[:, :, 1::2])
    return pooled


class Layer(NamedTuple):
    """A convolution with what follows it."""

    weight: Float32
    """float32 (k, k, channels, filters), 4 × 4 if it is transformed for `_convolve_in_tiles`."""
    bias: Float32
    residual: bool
    """Whether what the layer sees is added to what comes of it."""
    pooled: bool
    """Whether the largest of each 2 × 2 positions is kept."""


class Network(NamedTuple):
    """The shipped network: a = pixels · scale + shift, and what its layers make of that in turn."""

    layers: list[Layer]
    scale: np.float32
    shift: np.float32
    n_x: int


def read_network() -> Network:
    """Read the shipped network; raise ModelError if that cannot be done."""
    path = shipped(FILE)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the network cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ModelError(f"{path}: not the network that is shipped; install catclf again")
    with np.load(io.BytesIO(data), allow_pickle=False) as npz:
        meta = json.loads(str(npz["meta"]))
        layers: list[Layer] = []
        for layer in meta["layers"]:
            if layer["op"] == "max_pool":
                layers[-1] = layers[-1]._replace(pooled=True)
            else:
                names = (f"{layer['name']}_{part}" for part in ("weight", "bias"))
                weight, bias = (npz[name].astype(np.float32) for name in names)
                layers.append(Layer(weight, bias, layer["residual"], pooled=False))
    return Network(layers, np.float32(meta["scale"]), np.float32(meta["shift"]), meta["n_x"])


@cache
def _network_in_tiles() -> Network:
    """Read the network, its filters transformed for `_convolve_in_tiles`."""
    network = read_network()
    first, *rest = network.layers  # of three colours alone tiles are no faster
    layers = [
        layer._replace(weight=_transform(layer.weight)) if len(layer.weight) == 3 else layer
        for layer in rest
    ]
    return network._replace(layers=[first, *layers])
