"""Time photos by the thousand: `predict FOLDER` and the reading of a folder to train on, against a
bare loop that only decodes and resizes the same files.

    python benchmarks/throughput.py [PHOTOS] [--files N] [--rounds N] [--threads N]

PHOTOS is a folder with photos in it, at any depth; without it, drawings are encoded as JPEGs of
640 × 480. They are copied into a temporary folder of N files, the same again and again. The bare
loop runs in as many threads, decodes at the same scale (`draft`) and squashes to 64 × 64. The
features alone are computed of images in memory, in as many threads. What can at best be reached
with features is the harmonic sum of both rates, 1 / (1 / decoding + 1 / features). All run in one
process, in turns; figures are medians of the rounds, ratios medians of ratios within a round.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

# As `catclf predict` does: photos are shared out to threads, products are not.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from PIL import Image

from catclf import load_dataset, predict, threads
from catclf.drawings import draw
from catclf.features import FeatureMap, fit
from catclf.model import Model

SEEN = 200
"""Images from which the dictionary of patches is learned."""
IMAGES = 400
"""Images of which the features alone are computed."""

Row = tuple[str, str, float, float, float]
"""Features, what ran, photos a second, the most that could be expected, and their ratio."""


def decode(path: str) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        image.draft("RGB", (128, 128))
        small = image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR, reducing_gap=2.0)
        return np.asarray(small)


def in_threads(work: Callable[[Any], object], items: Iterable[Any], count: int) -> float:
    """Work through the items in threads, as simply as can be; give the seconds that it took."""
    todo: SimpleQueue[Any] = SimpleQueue()
    for item in items:
        todo.put(item)

    def take() -> None:
        while True:
            try:
                item = todo.get_nowait()
            except Empty:
                return
            work(item)

    workers = [Thread(target=take) for _ in range(count)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def rates(folder: Path, features: FeatureMap, count: int) -> dict[str, float]:
    """Measure, in photos a second, each thing once."""
    files = sorted(str(path) for path in folder.rglob("*.jpg"))
    model = Model(np.zeros((features.n_x, 1)), 0.0, ("non-cat", "cat"), features)
    found = {"decoding": len(files) / in_threads(decode, files, count)}
    images = np.stack([decode(path) for path in files[:IMAGES]])
    parts = [images[i : i + 16] for i in range(0, len(images), 16)]
    found["features"] = len(images) / in_threads(features.transform, parts, count)
    start = time.perf_counter()
    assert all(not p.error for p in predict(model, [folder]))
    found["predict"] = len(files) / (time.perf_counter() - start)
    start = time.perf_counter()
    data = load_dataset(folder)
    assert len(data) == len(files)
    found["reading"] = len(files) / (time.perf_counter() - start)
    return found


def run(photos: str | None = None, files: int = 2000, rounds: int = 5) -> list[Row]:
    """Measure for each kind of features."""
    count = threads.count()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, photos, files)
        images = np.stack([decode(str(path)) for path in sorted(folder.rglob("*.jpg"))[:SEEN]])
        rows: list[Row] = []
        for kind in ("pixels", "conv", "patches"):
            found = [rates(folder, fit(kind, images), count) for _ in range(rounds)]
            rows += _rows(kind, found)
        return rows


def _rows(kind: str, found: list[dict[str, float]]) -> list[Row]:
    def row(what: str, rate: Callable[[Any], float], most: Callable[[Any], float]) -> Row:
        ratio = statistics.median(rate(one) / most(one) for one in found)
        return (kind, what, statistics.median(map(rate, found)), most_of(most), ratio)

    def most_of(most: Callable[[Any], float]) -> float:
        return statistics.median(map(most, found))

    def both(one: dict[str, float]) -> float:
        if kind == "pixels":
            return one["decoding"]
        return 1 / (1 / one["decoding"] + 1 / one["features"])

    rows = [row("predict FOLDER", lambda one: one["predict"], both)]
    if kind == "pixels":
        rows.append(row("reading to train", lambda one: one["reading"], both))
    return rows


def _prepare(folder: Path, photos: str | None, files: int) -> None:
    """Fill a folder with files, in two classes."""
    for name in ("cat", "other"):
        (folder / name).mkdir()
    sources: list[Path] = []
    if photos is not None:
        sources = sorted(path for path in Path(photos).rglob("*.jp*g") if path.is_file())
    else:
        for i, drawing in enumerate(draw(40)[0]):
            sources.append(folder / f"{i}.jpeg")
            large = Image.fromarray(drawing).resize((640, 480), Image.Resampling.BICUBIC)
            large.save(sources[-1], quality=90)
    for i in range(files):
        target = folder / ("cat" if i % 2 else "other") / f"{i:06}.jpg"
        shutil.copy(sources[i % len(sources)], target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="?")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = run(arguments.photos, arguments.files, arguments.rounds)
    print(f"{arguments.files} files, {threads.count()} threads; {arguments.rounds} rounds, medians")
    print(f"{'features':<10}{'what':<18}{'photos / s':>12}{'at best':>10}{'ratio':>8}")
    for kind, what, rate, most, ratio in rows:
        print(f"{kind:<10}{what:<18}{rate:>12,.0f}{most:>10,.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    sys.exit(main())
