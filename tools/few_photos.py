"""Measure how far a few photos of one's own go, on features of the shipped network.

Two tasks, of photos that the network has not seen: cats against dogs, learned from three of the
sources held out and measured on the fourth; one breed of cat against three others, measured on
photos of the same breeds. Each row is the mean of several draws of N photos of each class, with the
lowest and the highest; the penalty is chosen by cross-validation in each, as by --auto.

    python tools/few_photos.py --photos photos_96
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from photo_sets import HOLD_BREEDS, Photos, load, split

from catclf.data.dataset import Dataset, Features
from catclf.data.images import shrink
from catclf.features.conv import Conv
from catclf.features.feature_map import extract
from catclf.tuning import tune

SIZES = (10, 20, 50, 100, 200)
DRAWS = 10
TEST_SOURCE, BREED = "animals10", "abyssinian"


def data_of(photos: Photos, y: np.ndarray, conv: Conv) -> Dataset:
    """Make a data set of photos with the labels y, and features of all their pixels."""
    return Dataset(
        np.stack([shrink(image) for image in photos.x]),
        y.reshape(1, -1),
        ("non-cat", "cat"),
        "few",
        features=Features(conv.settings(), extract(conv, photos.x)),
    )


def pick(data: Dataset, rows: np.ndarray) -> Dataset:
    """Take some of the photos of a data set."""
    assert data.features is not None
    features = Features(data.features.settings, data.features.rows[rows])
    return Dataset(data.images[rows], data.Y[:, rows], data.classes, "few", features=features)


def measure(data: Dataset, may_learn: np.ndarray, test: np.ndarray | None) -> None:
    """Print a row for each number of photos; without `test`, as many of each class as are left."""
    assert data.features is not None
    X, y = np.asarray(data.features.rows, dtype=np.float64), data.Y[0]
    for n in SIZES:
        if min(np.sum(may_learn & (y == c)) for c in (0, 1)) < n + (0 if test is not None else 20):
            continue
        inner, outer = [], []
        for draw in range(DRAWS):
            rng = np.random.default_rng([n, draw])
            order = [rng.permutation(np.flatnonzero(may_learn & (y == c))) for c in (0, 1)]
            tuning = tune(pick(data, np.concatenate([o[:n] for o in order])), features="conv")
            inner.append(tuning.best.accuracy.value)
            left = test
            if left is None:
                k = min(len(o) - n for o in order)
                left = np.concatenate([o[n : n + k] for o in order])
            called = tuning.model.weigh(X[left])[0] > 0
            outer.append(np.mean(called == (y[left] == 1)))
        row = f"{n:>8}"
        for values in (inner, outer):
            row += f"{np.mean(values):>18.1%} ({np.min(values):.1%} to {np.max(values):.1%})"
        print(f"{row}{len(left):>10}")


def main() -> None:
    """Read the options, print both tables."""
    option = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    option.add_argument("--photos", type=Path, default=Path("photos_96"))
    photos, conv = load(option.parse_args().photos), Conv()
    part = split(photos)

    def chosen(rows: np.ndarray) -> Photos:
        return Photos(*(field[rows] for field in photos[:-1]), sha256=photos.sha256)

    head = f"{'of each':>8}{'cross-validated':>36}{'held out':>36}{'measured':>10}"
    pets = chosen(np.char.startswith(part, "source "))
    test = pets.source == TEST_SOURCE
    print(f"cats against dogs, measured on {TEST_SOURCE}\n{head}")
    measure(data_of(pets, pets.y, conv), ~test, np.flatnonzero(test))
    breeds = chosen((part == "breeds") & np.isin(photos.kind, HOLD_BREEDS))
    print(f"\n{BREED} against {', '.join(b for b in HOLD_BREEDS if b != BREED)}\n{head}")
    every = np.ones(len(breeds.y), dtype=bool)
    measure(data_of(breeds, (breeds.kind == BREED).astype(np.int64), conv), every, None)


if __name__ == "__main__":
    main()
