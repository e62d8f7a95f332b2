"""Photos by the thousand: predicting and reading folders, against decoding and features alone."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import frame
from benchmarks.frame import Column, Line, Result, Settings
from benchmarks.plots import in_pairs
from catclf import load_dataset, predict
from catclf.common import threads
from catclf.features import FeatureMap, fit_map
from catclf.model import Model

PACKAGES = ("pillow",)
ROUNDS = 5
FILES = 2000
SEEN = 200
"""Images from which the dictionary of patches is learned."""
ALONE = 400
"""Images of which the features alone are computed."""
PREDICT, READ = "predict FOLDER", "reading a folder to train"

Rates = dict[str, float]
"""Photos a second, by what was done."""


def run(settings: Settings) -> Result:
    n = 40 if settings.quick else FILES
    rounds = settings.rounds(ROUNDS)
    with TemporaryDirectory() as name:
        folder = Path(name) / "files"
        sources = settings.find_photos(Path(name) / "photos")
        _fill(folder, sources, n)
        rows = _like_a_command(_compare, folder, rounds)
    kind = f"{len(sources)} {'drawings' if settings.photos is None else 'photos'}"
    return Result(
        "Photos by the thousand",
        f"{n:,} JPEG files, {kind} again and again, in {threads.count()} threads. Beside it, in as "
        "many threads, a bare loop that only decodes and resizes, with the same draft setting; "
        "with features other than pixels, the harmonic sum of its rate and that of the features "
        f"alone. Medians of {rounds}, in turns.",
        [
            Column("command", "what"),
            Column("features", "features"),
            Column("rate", "photos / s", ",.0f"),
            Column("decoding", "decoding alone", ",.0f"),
            Column("alone", "features alone", ",.0f"),
            Column("best", "at best", ",.0f"),
            Column("ratio", "share of that", ".2f"),
        ],
        rows,
        [
            "At best: 1 / (1 / decoding + 1 / features).",
            "OpenBLAS has one thread here, as in the commands.",
        ],
    )


def _like_a_command(work: Callable[..., Any], *given: Any) -> Any:
    """Work in a process of its own in which OpenBLAS has one thread, as `catclf` sets it.

    It has to be told before NumPy is loaded; threads of its own would get in the others' way.
    """
    before = os.environ.get(threads.BLAS_THREADS)
    os.environ[threads.BLAS_THREADS] = "1"
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(work, *given).result()
    finally:
        os.environ.pop(threads.BLAS_THREADS)
        if before is not None:
            os.environ[threads.BLAS_THREADS] = before


def _compare(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure for each kind of features."""
    paths = [str(path) for path in sorted(folder.rglob("*.jpg"))]
    images = np.stack([_decode(path) for path in paths[:ALONE]])
    rows = []
    for kind in ("pixels", "conv", "patches"):
        features = fit_map(kind, images[:SEEN])
        found = [_rates(folder, paths, images, features) for _ in range(rounds)]
        rows.append(_row(PREDICT, kind, "predict", found))
        if kind == "pixels":
            rows.append(_row(READ, kind, "reading", found))
    return rows


def _rates(folder: Path, paths: list[str], images: Any, features: FeatureMap) -> Rates:
    """Measure each thing once."""
    model = Model(np.zeros((features.n_x, 1)), 0.0, ("non-cat", "cat"), features)
    parts = [images[i : i + 16] for i in range(0, len(images), 16)]
    times = {
        "decoding": _in_threads(_decode, paths) / len(paths),
        "predict": frame.timed(lambda: _predict(model, folder))[0] / len(paths),
    }
    if features.name == "pixels":
        times["reading"] = frame.timed(lambda: load_dataset(folder))[0] / len(paths)
    else:
        times["features"] = _in_threads(features.transform, parts) / len(images)
    rates = {name: 1 / spent for name, spent in times.items()}
    rates["best"] = 1 / (times["decoding"] + times.get("features", 0.0))
    return rates


def _predict(model: Model, folder: Path) -> None:
    for prediction in predict(model, [folder]):
        if prediction.error:
            raise RuntimeError(f"{prediction.path}: {prediction.error}")


def _row(command: str, kind: str, measured: str, found: list[Rates]) -> dict[str, Any]:
    def median(name: str) -> float | None:
        return frame.median([rates[name] for rates in found]) if name in found[0] else None

    return {
        "command": command,
        "features": kind,
        "rate": median(measured),
        "decoding": median("decoding"),
        "alone": median("features"),
        "best": median("best"),
        "ratio": frame.median([rates[measured] / rates["best"] for rates in found]),
    }


def _decode(path: str) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        image.draft("RGB", (128, 128))
        small = image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR, reducing_gap=2.0)
        return np.asarray(small)


def _in_threads(work: Callable[[Any], object], items: Iterable[Any]) -> float:
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

    workers = [Thread(target=take) for _ in range(threads.count())]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def _fill(folder: Path, sources: list[Path], n: int) -> None:
    """Copy the photos into two classes, the same again and again."""
    for name in ("cat", "other"):
        (folder / name).mkdir(parents=True)
    for i in range(n):
        target = folder / ("cat" if i % 2 else "other") / f"{i:06}.jpg"
        shutil.copy(sources[i % len(sources)], target)


def plot(result: Result, figure: Any) -> None:
    work = [f"{row['command']},\n{row['features']}" for row in result.rows]
    axes = in_pairs(figure, result.rows, work, "rate", "best")
    axes.set_xlabel("photos a second")
    axes.legend(["catclf", "decoding and features alone"])


def summary(result: Result) -> list[Line]:
    return [
        Line(
            f"{row['command']}, {row['features']}",
            f"{row['rate']:,.0f} photos / s",
            f"decoding{' and features' * (row['alone'] is not None)} alone: "
            f"{row['best']:,.0f} photos / s",
            f"{row['ratio']:.2f}",
        )
        for row in result.rows
    ]
