"""Compare features: accuracy, time and size of pixels, patches, conv and a network in an ONNX file.

    python benchmarks/onnx_features.py PHOTOS NETWORK HOW [--repeats N] [--rounds N]

PHOTOS is a folder of classes with photos as large as they were taken, NETWORK an ONNX file, HOW
what `--onnx-normalise` says of it. `accuracy` is cross-validated in 5 folds as by `catclf train
--auto`, with the penalty of lowest log loss of 11: the mean over N ways of dealing the folds, then
the lowest and the highest. `ms` is what `predict` takes for each photo, from file to probability:
the median of the rounds, in turns with all others. `its features` is the network's part of that,
with the scaling, of photos that were decoded before. `network alone` is onnxruntime with its own
settings, one photo at a time, on what was decoded, scaled and laid out before; `ratio` is `ms` to
that, the median of the ratios within a round. `MB` is what must be there besides catclf's code.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# As `catclf predict` does: photos are shared out to threads, products are not.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnxruntime

from catclf import features, load_dataset, predict
from catclf.common import threads
from catclf.common.blocks import concatenate, mirror
from catclf.data.dataset import Dataset
from catclf.data.images import load_image
from catclf.features import FeatureMap
from catclf.features.conv import shipped
from catclf.features.onnx import parse_normalisation
from catclf.logistic import cost
from catclf.model import Model
from catclf.solvers.cross_validation import cross_validate_path, grouped_folds
from catclf.solvers.examples import Examples
from catclf.training import examples
from catclf.tuning import L2_PATH


def taken(dataset: Dataset, feature_map: FeatureMap) -> Examples:
    """Give the features of all photos, with their mirrored copies where those differ."""
    images, rows = dataset.images, dataset.features_of(feature_map)
    if not feature_map.symmetric:
        images, rows = concatenate([images, mirror(images)]), None
    return examples(feature_map, images, taken=rows)


def accuracies(dataset: Dataset, feature_map: FeatureMap, repeats: int) -> list[float]:
    X, Y, found = taken(dataset, feature_map), dataset.Y, []
    for seed in range(repeats):
        folds = grouped_folds(Y, dataset.clusters, 5, seed)
        scores, _ = cross_validate_path(X, Y, folds, L2_PATH, scaled=feature_map.standardised)
        best = min(scores[:, None, :], key=lambda Z: cost(Z, Y.astype(np.float64)))
        found.append(float(((best > 0) == Y).mean()))
    return found


def alone(network: str, how: str, paths: list[str], size: tuple[int, int]) -> Callable[[], None]:
    """Prepare everything but the runs of the network."""
    session = onnxruntime.InferenceSession(network)
    (image,) = session.get_inputs()
    mean, scale = (np.array(part) for part in parse_normalisation(how))
    x = [((load_image(path, size=size) - mean) / scale).astype(np.float32)[None] for path in paths]
    if image.shape[1] == 3:
        x = [np.ascontiguousarray(one.transpose(0, 3, 1, 2)) for one in x]

    def run() -> None:
        for one in x:
            session.run(None, {image.name: one})

    return run


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("network")
    parser.add_argument("how")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()

    network = features.open_network(f"onnx:{given.network}", given.how)
    assert network is not None
    dataset = load_dataset(given.photos, feature_map=network)
    maps: dict[str, FeatureMap] = {
        name: features.fit_map(name, dataset.images) for name in ("pixels", "patches", "conv")
    }
    maps[Path(given.network).name] = network
    paths = list(dataset.paths)
    print(f"{len(paths)} photos: {dataset.counts}; medians of {given.rounds} rounds")
    print(f"onnxruntime {onnxruntime.__version__}, Python {sys.version.split()[0]}, ", end="")
    print(f"{threads.count()} CPUs")

    works: dict[str, Callable[[], object]] = {}
    sizes: dict[str, float] = {}
    for name, feature_map in maps.items():
        model = Model(np.zeros((feature_map.n_x, 1)), 0.0, dataset.classes, feature_map)
        works[name] = lambda model=model: list(predict(model, paths))
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "m.npz")
            sizes[name] = (Path(folder) / "m.npz").stat().st_size / 1e6
    sizes["conv"] += shipped("features.npz").stat().st_size / 1e6
    sizes[Path(given.network).name] += Path(given.network).stat().st_size / 1e6
    large = np.stack([load_image(path, size=network.image_size) for path in paths])
    blocks = [large[i : i + 16] for i in range(0, len(large), 16)]
    works["its features"] = lambda: list(threads.ordered(network.transform, blocks))
    works["network alone"] = alone(given.network, given.how, paths, network.image_size)
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(given.rounds + 1):  # the first warms up
        for name, work in works.items():
            times[name].append(seconds(work) / len(paths) * 1e3)

    own = times["network alone"][1:]
    print(
        f"{'features':16} {'accuracy':>8}  {'lowest, highest':17} {'ms':>7} {'ratio':>6} {'MB':>6}"
    )
    for name, ms in times.items():
        ratio = statistics.median(a / b for a, b in zip(ms[1:], own, strict=True))
        text = " " * 27
        if name in maps:
            found = accuracies(dataset, maps[name], given.repeats)
            text = f"{np.mean(found):8.2%}  {min(found):.2%}, {max(found):.2%}".ljust(27)
        size = f"{sizes[name]:6.1f}" if name in sizes else ""
        print(f"{name:16} {text} {statistics.median(ms[1:]):7.2f} {ratio:6.2f} {size}")


if __name__ == "__main__":
    main()
