"""Near-identical images: copies, resized or recompressed, mirrored or not.

Everything is told from grey thumbnails of 16 × 16: `group_duplicates` compares them as they are;
a fingerprint, 64 bits of each, lets a model remember what it was trained on.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catclf.common.blocks import Rows, map_blocks
from catclf.common.types import IMAGE_SIZE

SIDE = 16
ALIKE = 0.995
"""From this correlation on two thumbnails count as one picture."""
BLOCK = 2048
MOST_COMPARED = 20_000
"""Up to so many images are compared each with each, which takes 3 s; time grows with the square."""

_FREQUENCIES = np.arange(SIDE)
_COSINES = np.cos(np.pi / SIDE * _FREQUENCIES[:, None] * (_FREQUENCIES + 0.5)).astype(np.float32)
_SQUARES = _FREQUENCIES[:, None] ** 2 + _FREQUENCIES**2
_CHOSEN = np.argsort(_SQUARES, axis=None, kind="stable")[40:104]
_FLIPPED = np.where(_CHOSEN % SIDE % 2 == 1, -1, 1).astype(np.float32)
"""Mirroring changes the signs of the cosines of odd frequency across."""
BITS = len(_CHOSEN)
MOST_DIFFERENT = 3
"""Two fingerprints of one picture differ in so many bits at most."""


class Signatures(NamedTuple):
    """What near-identical images have in common.

    Attributes
    ----------
    fingerprints : uint64 (m,)
        64 bits of each image; 0 for one of (nearly) one colour, which has none.
    thumbnails : float32 (m, 256)
        Grey, 16 × 16, with mean 0 and length 1, so that products are correlations; (0, 256) of more
        than MOST_COMPARED images, which would need much memory.
    """

    fingerprints: NDArray[np.uint64]
    thumbnails: NDArray[np.float32]


def signatures(images: Rows) -> Signatures:
    """Boil images uint8 (m, 64, 64, 3) down to their thumbnails and fingerprints, in one pass.

    A fingerprint's bits are the signs of 64 coefficients of the thumbnail's discrete cosine
    transform, of neither the lowest frequencies, which many pictures share, nor the highest, which
    do not survive a JPEG.
    """
    none = Signatures(np.zeros(0, np.uint64), np.zeros((0, SIDE * SIDE), np.float32))
    sign = partial(_sign, keep=len(images) <= MOST_COMPARED)
    fingerprints, thumbnails = zip(none, *map_blocks(sign, images), strict=True)
    return Signatures(np.concatenate(fingerprints), np.concatenate(thumbnails))


def _sign(images: NDArray[np.uint8], keep: bool) -> Signatures:
    thumbnails = _thumbnails(images)
    return Signatures(_fingerprints(thumbnails), thumbnails if keep else thumbnails[:0])


def group_duplicates(*sets: Signatures) -> NDArray[np.int64]:
    """Number the pictures: near-identical images get the same number.

    Two images are near-identical if their thumbnails, or one's and the other's mirror image,
    correlate by 0.995 or more. Images of one colour are alike only to themselves. Of more than
    MOST_COMPARED images each is not compared with each: there, equal fingerprints make a group.

    Parameters
    ----------
    sets : Signatures
        Of several sets of images, which count as one after another.

    Returns
    -------
    int64 (sum of all m,)
        The index of the first image of each one's group.
    """
    fingerprints = np.concatenate([one.fingerprints for one in sets])
    m = len(fingerprints)
    if m > MOST_COMPARED:
        return _number_equal(fingerprints)
    thumbnails = np.concatenate([one.thumbnails for one in sets])
    mirrored = thumbnails.reshape(m, SIDE, SIDE)[:, :, ::-1].reshape(m, SIDE * SIDE)
    first = np.arange(m)
    for start in range(0, m, BLOCK):
        block = thumbnails[start : start + BLOCK]
        for after in range(start, m, BLOCK):
            for other in (thumbnails, mirrored):
                alike = block @ other[after : after + BLOCK].T >= ALIKE
                for i in np.flatnonzero(alike.any(axis=1)):
                    same = np.append(first[after + np.flatnonzero(alike[i])], first[start + i])
                    for number in set(same.tolist()):
                        first[first == number] = same.min()
    return first


def _number_equal(prints: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number the pictures by their fingerprints; a mirror image has its original's number."""
    mirrored = np.packbits(_signs(prints) * _FLIPPED > 0, axis=1).view("<u8")[:, 0]
    either = np.minimum(prints, np.where(prints == 0, 0, mirrored))
    _, first, which = np.unique(either, return_index=True, return_inverse=True)
    number = first[which].astype(np.int64)
    plain = prints == 0
    number[plain] = np.flatnonzero(plain)
    return number


def _fingerprints(thumbnails: NDArray[np.float32]) -> NDArray[np.uint64]:
    waves = _COSINES @ thumbnails.reshape(-1, SIDE, SIDE) @ _COSINES.T
    # A coefficient that ought to be 0, as in a symmetric picture, must not give a bit by chance.
    bits = waves.reshape(-1, SIDE * SIDE)[:, _CHOSEN] > 1e-4
    bits &= (np.abs(thumbnails).max(axis=1, initial=0) > 1e-4)[:, None]
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view("<u8")[:, 0]


def match_fingerprints(
    fingerprints: NDArray[np.uint64], others: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """Tell which fingerprints, or those of the mirror images, are among some others.

    Two are of one picture if at most 3 of their 64 bits differ.

    Parameters
    ----------
    fingerprints : uint64 (m,)
    others : uint64 (k,)

    Returns
    -------
    bool (m,)
    """
    result: NDArray[np.bool_] = np.zeros(len(fingerprints), dtype=np.bool_)
    for start in range(0, len(fingerprints), BLOCK):
        one = _signs(fingerprints[start : start + BLOCK])
        for after in range(0, len(others), BLOCK):
            other = _signs(others[after : after + BLOCK]).T
            for signs in (one, one * _FLIPPED):  # products count equal bits less different ones
                near = signs @ other >= BITS - 2 * MOST_DIFFERENT
                result[start : start + BLOCK] |= near.any(axis=1)
    return result


def _signs(numbers: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Unpack the bits: 1 where set, −1 where not; all 0 for no fingerprint."""
    octets = np.ascontiguousarray(numbers, dtype="<u8").view(np.uint8).reshape(-1, 8)
    bits = np.unpackbits(octets, axis=1)
    signs = 2 * bits.astype(np.float32) - 1
    signs[numbers == 0] = 0
    return signs


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Shrink to grey 16 × 16, with mean 0 and length 1: products are correlations."""
    m, k = len(images), IMAGE_SIZE // SIDE
    cells = images.reshape(m, SIDE, k, SIDE, k, 3).mean(axis=(2, 4, 5))
    small: NDArray[np.float32] = cells.reshape(m, SIDE * SIDE).astype(np.float32)
    small -= small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    small /= np.maximum(length, 1.0)  # an image of one colour stays at 0, like nothing
    return small
