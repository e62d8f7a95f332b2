"""Measure the shipped network, under the photo model's regression, on photos that neither has seen.

The network never saw the photos that `photo_sets.split` holds out. Here a regression with the photo
model's own settings is trained without them too, its temperature from cross-validation on the rest,
and both are measured on what was held out: by part, by source, and false alarms by kind. With
several --l2 it is done for each.

    python tools/measure_photos.py --photos-train photos_train.h5 --photos-more photos_more
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from photo_sets import load, split

from catclf.data.duplicates import group_duplicates, signatures
from catclf.features.conv import Conv
from catclf.logistic import Array, sigmoid
from catclf.metrics import Proportion, calibration_error, fit_temperature, roc_auc
from catclf.solvers import Solver
from catclf.solvers.cross_validation import fit_and_cross_validate, grouped_folds
from catclf.solvers.examples import Examples


def line(name: str, y: np.ndarray, Z: Array, temperature: float) -> str:
    """Write the figures of some photos: accuracy with interval, recall, false alarms, AUC, ECE."""
    cat, called = y == 1, Z[0] > 0
    right = Proportion(int(np.sum(cat == called)), len(y))
    low, high = right.interval
    text = f"{name:<24}{len(y):>6}{right.value:>9.2%}  {low:.1%} to {high:.1%}"
    text += f"{np.mean(called[cat]):>9.2%}" if cat.any() else f"{'-':>9}"
    text += f"{np.mean(called[~cat]):>9.2%}" if (~cat).any() else f"{'-':>9}"
    area = roc_auc(y.reshape(1, -1), Z)
    text += f"{'-':>9}" if area is None else f"{area:>9.4f}"
    return text + f"{calibration_error(y.reshape(1, -1), sigmoid(Z / temperature)):>8.3f}"


def main() -> None:
    option = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    option.add_argument("--photos-train", type=Path, default=Path("datasets/photos_train.h5"))
    option.add_argument("--photos-more", type=Path, default=Path("datasets/photos_more"))
    option.add_argument("--l2", type=float, nargs="+", default=[3.0], help="penalties to try")
    arguments = option.parse_args()

    photos, _ = load(arguments.photos_train, arguments.photos_more)
    part = split(photos)
    X = Conv().transform(photos.x).astype(np.float64)
    Y = photos.y.reshape(1, -1)
    seen = part == "train"
    folds = grouped_folds(Y[:, seen], group_duplicates(signatures(photos.x[seen])), 5)
    for l2 in arguments.l2:
        solver = Solver("newton", l2=l2)
        fit, out_of_fold = fit_and_cross_validate(
            solver, Examples(X[:, seen].T), Y[:, seen], scaled=True, folds=folds
        )
        assert out_of_fold is not None
        T = fit_temperature(Y[:, seen], out_of_fold)
        Z = np.dot(fit.w.T, X) + fit.b
        print(f"l2 {l2:g}, trained on {seen.sum()} photos, temperature {T:.3f}")
        head = f"{'held out':<24}{'photos':>6}{'accuracy':>9}  {'95% interval':<14}"
        print(head + f"{'recall':>9}{'alarms':>9}{'AUC':>9}{'ECE':>8}")
        rows = [("all", ~seen)]
        rows += [(name, part == name) for name in sorted(set(part) - {"train"})]
        for source in sorted(set(photos.source[part == "random"])):
            rows.append((f"random: {source}", (part == "random") & (photos.source == source)))
        rows += [(f"kind: {k}", (part == "kinds") & (photos.kind == k))
                 for k in sorted(set(photos.kind[part == "kinds"]))]  # fmt: skip
        pets = np.isin(photos.kind, ["cat", "dog"])
        rows.append(("cats and dogs", ~seen & pets))
        rows.append(("neither cat nor dog", ~seen & ~pets))
        for name, chosen in rows:
            print(line(name, photos.y[chosen], Z[:, chosen], T))
        missed = int(np.sum(~seen & (photos.y == 1) & (Z[0] <= 0)))
        alarms = photos.kind[~seen & (photos.y == 0) & (Z[0] > 0)]
        kinds, counts = np.unique(alarms, return_counts=True)
        listed = ", ".join(f"{k} {n}" for k, n in zip(kinds, counts, strict=True))
        print(f"cats missed: {missed}; taken for cats: {listed}")


if __name__ == "__main__":
    main()
