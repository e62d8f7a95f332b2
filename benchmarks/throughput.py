"""Photos by the thousand: predicting and reading folders, against decoding and features alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measuring import Options, median, time_in_turns
from benchmarks.results import Result, headline
from catclf import load_dataset, predict
from catclf.common import threads
from catclf.features import MAPS
from catclf.model import Model

ROUNDS = 5
FILES = 2000
SEEN = 200
"""Images from which the dictionary of patches is learned."""
ALONE = 400
"""Images of which the features alone are computed."""
KINDS = ("pixels", "conv", "patches")
PREDICT, READ = "predict FOLDER", "reading a folder to train"


def run(options: Options) -> Result:
    """Time each kind of features on a folder of photos."""
    n, rounds = 40 if options.quick else FILES, options.rounds(ROUNDS)
    with TemporaryDirectory() as name:
        folder = Path(name) / "files"
        photos = options.find_photos(Path(name) / "photos")
        for i in range(n):  # the same again and again, in two classes
            path = folder / ("cat" if i % 2 else "other") / f"{i:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photos[i % len(photos)], path)
        rows = [row for kind in KINDS for row in _compare(kind, folder, rounds)]
    kind = f"{len(photos)} {'drawings' if options.photos is None else 'photos'}"
    return Result(
        "Photos by the thousand",
        f"{n:,} JPEG files, {kind} again and again, in {threads.count()} threads. Beside it, in as "
        "many threads, a bare loop that only decodes and resizes, with the same draft setting; "
        "with features other than pixels, the harmonic sum of its rate and that of the features "
        f"alone. Medians of {rounds}, in turns.",
        rows,
        [
            headline(
                f"{row['what']}, {row['features']}",
                f"{row['photos / s']:,.0f} photos / s",
                f"decoding{' and features' * (row['features alone'] is not None)} alone: "
                f"{row['at best']:,.0f} photos / s",
                row["share of that"],
            )
            for row in rows
        ],
        ["At best: 1 / (1 / decoding + 1 / features)."],
    )


def _compare(kind: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure one kind of features."""
    paths = [str(path) for path in sorted(folder.rglob("*.jpg"))]
    images = np.stack([_decode(path) for path in paths[:ALONE]])
    feature_map = MAPS[kind].fit(images[:SEEN])
    model = Model(np.zeros((feature_map.n_x, 1)), 0.0, ("non-cat", "cat"), feature_map)
    works: dict[str, Callable[[], object]] = {
        "decoding": partial(_in_threads, _decode, paths),
        PREDICT: lambda: list(predict(model, [folder])),
    }
    if kind == "pixels":
        works[READ] = partial(load_dataset, folder)
    else:
        parts = [images[i : i + 16] for i in range(0, len(images), 16)]
        works["features"] = partial(_in_threads, feature_map.transform, parts)
    times, _ = time_in_turns(works, rounds)
    rates = {
        name: [(len(images) if name == "features" else len(paths)) / took for took in each]
        for name, each in times.items()
    }
    alone = rates.get("features", [inf] * rounds)
    best = [1 / (1 / a + 1 / b) for a, b in zip(rates["decoding"], alone, strict=True)]
    return [
        {
            "what": what,
            "features": kind,
            "photos / s": median(rates[what]),
            "decoding alone": median(rates["decoding"]),
            "features alone": median(alone) if "features" in rates else None,
            "at best": median(best),
            "share of that": median(a / b for a, b in zip(rates[what], best, strict=True)),
        }
        for what in (PREDICT, READ)
        if what in rates
    ]


def _decode(path: str) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        image.draft("RGB", (128, 128))
        small = image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR, reducing_gap=2.0)
        return np.asarray(small)


def _in_threads(work: Callable[[Any], object], items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(threads.count()) as pool:
        list(pool.map(work, items))
