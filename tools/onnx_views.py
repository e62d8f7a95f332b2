"""Measure which views of a photo pay, on features of EfficientNet-Lites, held out by source.

The sources of photos_full are dealt into four folds, in three ways. Each photo is scored by a
regression that has seen none of its source, cats or others; a row is the mean of the three ways,
with the lowest and the highest.

    python tools/onnx_views.py --photos photos_full lite0.onnx lite2.onnx
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from catclf.common.threads import ordered
from catclf.data.images import load_image
from catclf.features.onnx import Onnx, parse_normalisation
from catclf.features.onnx.file import read_network
from catclf.features.onnx.network import Network
from catclf.features.views import cut_middle, resize
from catclf.solvers import Solver
from catclf.solvers.cross_validation import fit_and_cross_validate
from catclf.solvers.examples import Examples

NORMALISATION, L2 = "127/128", 0.01
FOLDS, WAYS = 4, 3
WHOLE, MIRRORED, MIDDLE, MIDDLE_MIRRORED = range(4)


def see(path: str, files: list[Path]) -> np.ndarray:
    """Give mean and maximum over space of four views of each photo: float32 (m, 4, 2, n_x)."""
    network = Network(path, read_network(path), None, None, parse_normalisation(NORMALISATION))
    size = Onnx.open(path, NORMALISATION).image_size

    def look(file: Path) -> np.ndarray:
        image = load_image(file, size=size)
        views = resize(image, network.image_size), cut_middle(image, network.image_size)
        maps = [network.run(v) for view in views for v in (view, view[:, ::-1])]
        return np.array([[a.mean(axis=(0, 1)), a.max(axis=(0, 1))] for a in maps])

    return np.array(list(ordered(look, files)), dtype=np.float32)


def measure(name: str, X: np.ndarray, Y: np.ndarray, source: np.ndarray) -> None:
    """Print how many photos of left-out sources are classified right, on features X (m, n_x)."""
    correct = []
    for way in range(WAYS):
        folds = np.random.default_rng(way).permutation(source.max() + 1)[source] % FOLDS
        solver, examples = Solver("newton", l2=L2), Examples(np.ascontiguousarray(X))
        _, Z = fit_and_cross_validate(solver, examples, Y, scaled=True, folds=folds)
        correct.append(np.mean((Z > 0) == (Y == 1)))
    low, mean, high = np.min(correct), np.mean(correct), np.max(correct)
    print(f"| {name} | {mean:.2%} | {low:.2%}, {high:.2%} |", flush=True)


def main() -> None:
    """Read the options, print the table."""
    option = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    option.add_argument("networks", nargs="+", metavar="NETWORK.onnx")
    option.add_argument("--photos", type=Path, default=Path("photos_full"))
    options = option.parse_args()
    files = sorted(options.photos.glob("*/*.jpg"))
    Y = np.array([[file.parent.name == "cat" for file in files]], dtype=np.int64)
    names = [re.sub(r"(_(cat|dog|other))?_\d+$", "", file.stem) for file in files]
    _, source = np.unique(names, return_inverse=True)
    print(f"| {len(files)} photos, {source.max() + 1} sources | accuracy | lowest, highest |")
    print("|---|---|---|")
    both = []
    for path in options.networks:
        seen, name = see(path, files), Path(path).stem
        mean = seen[:, :, 0]
        both.append(mean[:, [WHOLE, MIDDLE]].mean(axis=1))
        for words, X in (
            ("whole", mean[:, WHOLE]),
            ("whole, mirror image", mean[:, [WHOLE, MIRRORED]].mean(axis=1)),
            ("whole, middle", both[-1]),
            ("all four", mean.mean(axis=1)),
            ("whole, middle, side by side", mean[:, [WHOLE, MIDDLE]].reshape(len(files), -1)),
            ("whole, middle, maximum too", seen[:, [WHOLE, MIDDLE]].mean(axis=1)),
        ):
            measure(f"{name}: {words}", X.reshape(len(files), -1), Y, source)
    if len(both) > 1:
        measure("whole, middle, networks side by side", np.concatenate(both, axis=1), Y, source)


if __name__ == "__main__":
    main()
