"""Make the photo model, and measure it on photos that neither it nor the network has seen.

The regression is the network's last neuron, which was learned with it. (One that is trained on the
network's features of the same photos is worse on others: --l2 measures it.) Its temperature is
chosen on the photos held out; what is printed of each part of these is measured with the
temperature of the other parts.

    python tools/make_photo_model.py --photos photos_96 --out models/photos.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from photo_sets import Photos, load, split

from catclf.data.dataset import CLASSES, Dataset
from catclf.data.images import shrink
from catclf.features.conv import FILE, Conv, shipped
from catclf.features.feature_map import extract
from catclf.logistic import Array, sigmoid
from catclf.metrics import Proportion, accuracy, calibration_error, fit_temperature, roc_auc
from catclf.model import Model, Provenance
from catclf.solvers import Solver
from catclf.solvers.cross_validation import fit_and_cross_validate
from catclf.solvers.examples import Examples

THRESHOLD = 0.55
"""Accuracy is level from 0.4 to 0.6; here false alarms are a sixth fewer than at 0.5, for less
than a point of recall."""
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, THRESHOLD, 0.6, 0.7, 0.8, 0.9, 0.95)


def line(name: str, y: np.ndarray, a: Array) -> str:
    """Write the figures of some photos: accuracy with interval, recall, false alarms, AUC, ECE."""
    cat, called = y == 1, a > THRESHOLD
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
    kinds, counts = np.unique(photos.kind[rest & (a > THRESHOLD)], return_counts=True)
    listed = ", ".join(f"{k} {n}" for k, n in zip(kinds, counts, strict=True))
    print(f"\ncats missed: {int(np.sum(cats & (a <= THRESHOLD)))}; taken for cats: {listed}")


def main() -> None:
    """Read the options, print the held-out figures, write the model."""
    option = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    option.add_argument("--photos", type=Path, default=Path("photos_96"))
    option.add_argument("--l2", type=float, help="train a regression instead, with this penalty")
    option.add_argument("--out", type=Path, help="file to write; without, none")
    arguments = option.parse_args()

    photos = load(arguments.photos)
    part, conv = split(photos), Conv()
    rows = extract(conv, photos.x).astype(np.float64)
    train, held = (part == "train") & ~photos.suspect, part != "train"
    if arguments.l2 is None:
        with np.load(shipped(FILE)) as npz:
            w, b = npz["cat_weight"].astype(np.float64), float(npz["cat_bias"][0])
    else:
        solver, Y = Solver("newton", l2=arguments.l2), photos.y[train].reshape(1, -1)
        fit, _ = fit_and_cross_validate(solver, Examples(rows[train]), Y, scaled=True)
        w, b = fit.w, float(fit.b[0, 0])
    z, y = (rows @ w + b).T, photos.y.reshape(1, -1)
    T, a = fit_temperature(y[:, held], z[:, held]), np.zeros(len(held))
    for name in set(part[held]):
        others, own = held & (part != name), part == name
        a[own] = sigmoid(z[0, own] / fit_temperature(y[:, others], z[:, others]))
    print(f"temperature {T:.3f}, threshold {THRESHOLD}")
    show(photos, part, a)
    if arguments.out:
        data = Dataset(
            np.stack([shrink(image) for image in photos.x[train]]),
            y[:, train],
            CLASSES,
            arguments.photos.name,
        )
        called = sigmoid(z / T) > THRESHOLD
        trained, unseen = (accuracy(y[:, rows], called[:, rows]) for rows in (train, held))
        past = {
            "solver": {"name": "learned with the network"},
            "data": {"name": data.name, "counts": data.counts, "sha256": data.sha256},
            "training": trained._asdict(),
            "cross_validation": unseen._asdict(),  # without folds: on photos held out
        }
        seen = np.unique(data.signatures.fingerprints)
        how = {
            "threshold": THRESHOLD,
            "temperature": T,
            "provenance": Provenance(past),
            "seen": seen,
        }
        Model(w, b, CLASSES, conv, **how).save(arguments.out)


if __name__ == "__main__":
    main()
