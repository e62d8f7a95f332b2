"""Features learned without labels: how much of each patch of a dictionary an image holds.

Coates, Lee & Ng 2011, "An analysis of single-layer networks in unsupervised feature learning":
6 × 6 patches, each with its contrast normalised and whitened, are compared with a dictionary that
k-means has learned, here the spherical one of Coates & Ng 2012, "Learning feature representations
with k-means".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import Rows, block_slices
from catclf.common.types import Array, Float32
from catclf.features.feature_map import FeatureMap, cells, share_out

SIDE = 6
"""Width and height of a patch, in pixels."""
POSITIONS = 64 - SIDE + 1
"""How many patches fit into a row or a column of an image."""
SAMPLES = 60_000
"""How many patches the dictionary is learned from."""
MOST_LEARNED_FROM = 10_000
"""How many images, at most, they are drawn from; of more, so many are drawn first."""
IMAGES_AT_ONCE = 1024
PATCHES_AT_ONCE = 6000
"""How many are compared with all words at a time; all at once would take 48 MB a 100 words."""
DICTIONARY, MOST_WORDS = 400, 10_000
"""How many patches the dictionary has by default, and at most."""
MOST_FEATURES = 65_536
ROUNDS = 12
"""How often k-means improves the dictionary."""
CONTRAST_FLOOR = 10.0
"""Added to a patch's variance, in pixels squared, so that flat patches stay flat."""
WHITENING_FLOOR = 0.1
"""Added to the variance of every principal component before it is scaled to 1 (ZCA)."""


class Patches(FeatureMap):
    """Pool how strongly the patches of each grid cell resemble each patch of the dictionary.

    A patch p becomes x = W (p̂ − μ), p̂ = (p − mean) / √(variance + 10), W = (Σ + 0.1 I)^(−1/2). With
    z_k = ‖x − d_k‖ its code is the triangle, max(0, mean(z) − z_k). The square root of the codes'
    mean over each cell of a `pool` × `pool` grid is the feature: n_x = dictionary · pool².

    Parameters
    ----------
    whitening : float32 (108, 108)
    offset : float32 (108,)
        μ, the normalised patches' mean.
    dictionary : float32 (K, 108)
        Of length 1 each.
    pool : int
        Cells of the grid, each way.
    """

    name = "patches"

    def __init__(self, whitening: Float32, offset: Float32, dictionary: Float32, pool: int) -> None:
        self.whitening, self.offset, self.dictionary = whitening, offset, dictionary
        self.pool = pool
        self.n_x = len(dictionary) * pool * pool

    @classmethod
    def fit(
        cls, images: Rows, dictionary: int = DICTIONARY, pool: int = 1, seed: int = 0
    ) -> Patches:
        """Learn whitening and dictionary from images uint8 (m, 64, 64, 3); labels play no part.

        Cross-validation learns them once, from the left-out images as well.
        """
        rng = np.random.default_rng(seed)
        patches = _normalise(_draw_patches(images, rng).reshape(SAMPLES, -1))
        offset = patches.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov(patches - offset, rowvar=False))
        whitening = ((axes / np.sqrt(variances + WHITENING_FLOOR)) @ axes.T).astype(np.float32)
        white = (patches - offset) @ whitening
        words = white[rng.choice(SAMPLES, dictionary, replace=False)]
        words /= np.linalg.norm(words, axis=1, keepdims=True) + 1e-6
        for _ in range(ROUNDS):
            # Each patch pulls the word it resembles most, as strongly as it resembles it.
            pull = np.zeros_like(words)
            for part in block_slices(white, PATCHES_AT_ONCE):
                similarity = white[part] @ words.T
                best = np.argmax(np.abs(similarity), axis=1)
                strength = similarity[np.arange(len(best)), best]
                np.add.at(pull, best, strength[:, None] * white[part])
            words = pull + words
            words /= np.linalg.norm(words, axis=1, keepdims=True) + 1e-6
        return cls(whitening, offset.astype(np.float32), words.astype(np.float32), pool)

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Patches:
        """Make the map that a model was trained on.

        Raises
        ------
        ValueError
            If the arrays are not of the shapes and types that they must have.
        """
        W, mu, words = arrays["whitening"], arrays["offset"], arrays["dictionary"]
        size = SIDE * SIDE * 3
        if (W.shape, mu.shape, words.shape[1:]) != ((size, size), (size,), (size,)):
            raise ValueError("arrays of patches of another size")
        if any(array.dtype != np.float32 for array in (W, mu, words)):
            raise ValueError("arrays of patches that are not float32")
        if settings["pool"] not in range(1, POSITIONS + 1):
            raise ValueError("a grid of patches of no size")
        if not 1 <= len(words) <= MOST_WORDS:
            raise ValueError("a dictionary of no size")
        return cls(W, mu, words, int(settings["pool"]))

    def settings(self) -> dict[str, Any]:
        return {"dictionary": len(self.dictionary), "pool": self.pool}

    def arrays(self) -> dict[str, Float32]:
        return {"whitening": self.whitening, "offset": self.offset, "dictionary": self.dictionary}

    def transform(self, images: NDArray[np.uint8]) -> Float32:
        """Turn images uint8 (m, 64, 64, 3) into X float32 (K · pool², m)."""
        X = np.empty((self.n_x, len(images)), dtype=np.float32)
        products = self._products()
        edges = cells(POSITIONS, self.pool)
        area = np.diff(edges, append=POSITIONS)
        for i in range(len(images)):  # the codes of one image alone are 1.4 million numbers
            grid = self._codes(images[i], products)
            pooled = np.add.reduceat(np.add.reduceat(grid, edges, axis=0), edges, axis=1)
            pooled /= (area[:, None] * area)[:, :, None]
            X[:, i] = np.sqrt(pooled).ravel()
        return X

    def shares(self, image: NDArray[np.uint8], w: Array) -> Array:
        """Divide wᵀx among the 64 × 64 pixels.

        Each patch has its part of its cell's sum of codes, and lays it on its pixels alike.
        """
        terms = (w * self.transform(image[None])).reshape(self.pool, self.pool, -1)
        of_patch = share_out(terms, self._codes(image, self._products())) / SIDE**2
        shares = np.zeros(image.shape[:2])
        for y in range(SIDE):
            for x in range(SIDE):
                shares[y : y + POSITIONS, x : x + POSITIONS] += of_patch
        return shares

    def _products(self) -> Float32:
        """Give, in one, what makes whitened patches and their products: (W | Wdᵀ)."""
        return np.hstack([self.whitening, self.whitening @ self.dictionary.T])

    def _codes(self, image: NDArray[np.uint8], both: Float32) -> Float32:
        """Code every patch of an image: (59, 59, K), none below 0."""
        products = _normalise(_windows(image[None])[0].reshape(POSITIONS**2, -1)) @ both
        products -= self.offset @ both
        x, similarity = products[:, : len(self.whitening)], products[:, len(self.whitening) :]
        squares = np.einsum("ij,ij->i", x, x)[:, None] + 1.0
        z = np.sqrt(np.maximum(squares - 2.0 * similarity, 0.0))
        codes: Float32 = np.maximum(z.mean(axis=1, keepdims=True) - z, 0.0)
        return codes.reshape(POSITIONS, POSITIONS, -1)


def _draw_patches(images: Rows, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw patches (SAMPLES, 6, 6, 3), with few of the images in memory at a time."""
    m = min(len(images), MOST_LEARNED_FROM)
    i = rng.integers(0, m, SAMPLES)
    y, x = rng.integers(0, POSITIONS, (2, SAMPLES))
    chosen = np.arange(m)
    if m < len(images):
        chosen = np.sort(np.random.default_rng(0).choice(len(images), m, replace=False))
    patches = np.empty((SAMPLES, SIDE, SIDE, 3), np.uint8)
    for start in range(0, m, IMAGES_AT_ONCE):
        here = (i >= start) & (i < start + IMAGES_AT_ONCE)
        windows = _windows(images[chosen[start : start + IMAGES_AT_ONCE]])
        patches[here] = windows[i[here] - start, y[here], x[here]]
    return patches


def _windows(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """View every patch of every image: (m, 59, 59, 6, 6, 3), without a copy."""
    view = np.lib.stride_tricks.sliding_window_view(images, (SIDE, SIDE), axis=(1, 2))
    return np.moveaxis(view, 3, -1)


def _normalise(patches: NDArray[np.uint8]) -> Float32:
    """Take the mean off each patch (n, 108), and scale it to a variance of about 1."""
    centred = patches.astype(np.float32)
    centred -= centred.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", centred, centred)[:, None] / centred.shape[1]
    centred /= np.sqrt(variance + np.float32(CONTRAST_FLOOR))
    return centred
