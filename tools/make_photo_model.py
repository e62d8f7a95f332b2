"""Make the photo model, and measure it on photos that neither it nor the network has seen.

The regression is trained on the photos that the network learned from. To these its features are
better than to others, so that cross-validation on them would calibrate it badly: its bias and its
temperature are chosen on the photos held out, by the same regression on one number, the score.
What is printed of each part held out is measured with bias and temperature from the other parts.

    python tools/make_photo_model.py --photos photos_96 --l2 1 --out models/photos.npz

With several --l2 each is measured, and no model is written.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from photo_sets import Photos, load, split

from catclf.data.dataset import CLASSES, Dataset
from catclf.data.images import shrink
from catclf.features.conv import Conv
from catclf.features.feature_map import extract
from catclf.logistic import Array, sigmoid
from catclf.metrics import Proportion, calibration_error, roc_auc
from catclf.solvers import Fit, Solver
from catclf.solvers.cross_validation import fit_and_cross_validate, grouped_folds
from catclf.solvers.examples import Examples
from catclf.training import FOLD_SEED, make_model

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def fit(X: Array, y: np.ndarray, l2: float, folds: np.ndarray | None = None) -> tuple[Fit, Array]:
    """Train on X (m, n_x); also the scores of each fold by a regression without it."""
    fitted, out_of_fold = fit_and_cross_validate(
        Solver("newton", l2=l2), Examples(X), y.reshape(1, -1), scaled=True, folds=folds
    )
    return fitted, np.zeros((1, 0)) if out_of_fold is None else out_of_fold


def calibrate(z: Array, y: np.ndarray) -> tuple[float, float]:
    """Find T and c so that σ(z / T + c) fits the labels best (Platt 1999)."""
    fitted, _ = fit(z.reshape(-1, 1), y, 1e-9)
    return 1 / float(fitted.w[0, 0]), float(fitted.b[0, 0])


def line(name: str, y: np.ndarray, a: Array) -> str:
    """Write the figures of some photos: accuracy with interval, recall, false alarms, AUC, ECE."""
    cat, called = y == 1, a > 0.5
    right = Proportion(int(np.sum(cat == called)), len(y))
    low, high = right.interval
    text = f"{name:<26}{len(y):>6}{right.value:>9.2%}  {low:.1%} to {high:.1%}"
    text += f"{np.mean(called[cat]):>9.2%}" if cat.any() else f"{'-':>9}"
    text += f"{np.mean(called[~cat]):>9.2%}" if (~cat).any() else f"{'-':>9}"
    area = roc_auc(y.reshape(1, -1), a.reshape(1, -1))
    text += f"{'-':>9}" if area is None else f"{area:>9.4f}"
    return text + f"{calibration_error(y.reshape(1, -1), a.reshape(1, -1)):>8.3f}"


def show(photos: Photos, part: np.ndarray, a: Array) -> None:
    """Print the figures of all that was held out: by part, by source, by breed and kind."""
    held, breed = part != "train", (photos.y == 1) & (photos.kind != "-")
    rows = [("all", held)]
    rows += [(name, part == name) for name in sorted(set(part) - {"train"})]
    rows += [(f"breed: {k}", (part == "breeds") & (photos.kind == k))
             for k in sorted(set(photos.kind[part == "breeds"]))]  # fmt: skip
    rows += [(f"kind: {k}", (part == "kinds") & (photos.kind == k))
             for k in sorted(set(photos.kind[part == "kinds"]))]  # fmt: skip
    rows += [(f"random: {source}", (part == "random") & (photos.source == source))
             for source in sorted(set(photos.source[part == "random"]))]  # fmt: skip
    rows.append(("all cats of known breed", held & breed))
    head = f"{'held out':<26}{'photos':>6}{'accuracy':>9}  {'95% interval':<14}"
    print(head + f"{'recall':>9}{'alarms':>9}{'AUC':>9}{'ECE':>8}")
    for name, chosen in rows:
        print(line(name, photos.y[chosen], a[chosen]))
    print(f"\n{'threshold':<12}{'recall':>9}{'breeds':>9}{'alarms':>9}{'accuracy':>10}")
    cats, rest = held & (photos.y == 1), held & (photos.y == 0)
    for t in THRESHOLDS:
        found, breeds, alarms = (float(np.mean(a[rows] > t)) for rows in (cats, held & breed, rest))
        right = float(np.mean((a[held] > t) == (photos.y[held] == 1)))
        print(f"{t:<12g}{found:>9.2%}{breeds:>9.2%}{alarms:>9.2%}{right:>10.2%}")
    kinds, counts = np.unique(photos.kind[rest & (a > 0.5)], return_counts=True)
    listed = ", ".join(f"{k} {n}" for k, n in zip(kinds, counts, strict=True))
    print(f"\ncats missed: {int(np.sum(cats & (a <= 0.5)))}; taken for cats: {listed}")


def main() -> None:
    """Read the options, train, print the held-out figures, write the model."""
    option = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    option.add_argument("--photos", type=Path, default=Path("photos_96"))
    option.add_argument("--l2", type=float, nargs="+", default=[1.0], help="penalties to try")
    option.add_argument("--out", type=Path, help="file to write; without, none")
    arguments = option.parse_args()

    photos = load(arguments.photos)
    part, conv = split(photos), Conv()
    rows = extract(conv, photos.x).astype(np.float64)
    train, held = (part == "train") & ~photos.suspect, np.flatnonzero(part != "train")
    dataset = Dataset(
        np.stack([shrink(image) for image in photos.x[train]]),
        photos.y[train].reshape(1, -1),
        CLASSES,
        arguments.photos.name,
        groups=tuple(photos.source[train].tolist()),
    )
    folds = grouped_folds(dataset.Y, dataset.duplicate_groups, 5, FOLD_SEED)
    for l2 in arguments.l2:
        fitted, out_of_fold = fit(rows[train], photos.y[train], l2, folds)
        z = rows @ fitted.w[:, 0] + fitted.b[0, 0]
        T, c = calibrate(z[held], photos.y[held])
        a = np.zeros(len(z))
        for name in set(part[held]):
            others = held[part[held] != name]
            other_T, other_c = calibrate(z[others], photos.y[others])
            own = part == name
            a[own] = sigmoid(z[own] / other_T + other_c)
        print(f"l2 {l2:g}, trained on {train.sum()} photos; temperature {T:.3f}, bias {c * T:+.3f}")
        show(photos, part, a)
    if arguments.out:
        fitted = replace(fitted, b=fitted.b + c * T, Z=fitted.Z + c * T)
        how = dataset, conv, Solver("newton", l2=l2), fitted, folds, out_of_fold + c * T, "accuracy"
        replace(make_model(*how), temperature=T).save(arguments.out)


if __name__ == "__main__":
    main()
