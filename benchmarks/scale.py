"""Training from HDF5 files, in memory and larger than memory: a pass, and the memory it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import frame
from benchmarks.frame import Column, Line, Result, Settings
from benchmarks.plots import over_sizes
from catclf.common.blocks import in_blocks
from catclf.data.dataset import Dataset
from catclf.data.hdf5.reader import load_hdf5
from catclf.solvers.coordinates import Primal
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.examples import Examples

PACKAGES = ("h5py",)
SIZES = (2000, 20_000, 200_000)
MEMORY = "1GB"
STEPS = 5
ROUNDS = 3


def run(settings: Settings) -> Result:
    source = settings.load()
    with TemporaryDirectory() as folder:
        sizes = (60, 120) if settings.quick else SIZES
        rows = [_measure(source, m, Path(folder), settings) for m in sizes]
    return Result(
        "Training larger than memory",
        f"Descent on pixels from HDF5 files of m images, {source.name} again and again in other "
        f"light. A pass reads the file anew, or takes bytes that are in memory; medians of "
        f"{settings.rounds(ROUNDS)}, in turns. Peak: of `catclf train --iterations {STEPS} --cv 0 "
        f"--memory {MEMORY}`.",
        [
            Column("m", "m", ","),
            Column("pixels", "pixels, MB", ",.0f"),
            Column("file", "file, MB", ",.0f"),
            Column("disk", "pass from disk, s", ",.3g"),
            Column("reading", "reading alone, s", ",.3g"),
            Column("memory", "pass from memory, s", ",.3g"),
            Column("products", "two products, s", ",.3g"),
            Column("excess", "disk / (reading + products)", ".2f"),
            Column("linear", "pass from disk, µs an image", ".3g"),
            Column("peak", "peak, MB", ",.0f"),
        ],
        rows,
        [
            "Two products: wᵀX and X dZᵀ on a float64 block of X that is in memory already.",
            "Each pass reads every byte of pixels once, but for those that fit the budget; "
            "tests/test_examples.py counts them.",
        ],
    )


def _measure(source: Dataset, m: int, folder: Path, settings: Settings) -> dict[str, Any]:
    path = folder / f"{m}.h5"
    frame.in_other_light(source, m, path)
    data = load_hdf5(path, "train", None)
    stored: Any = data.images
    Y, weight = data.Y.astype(np.float64), sample_weights(m)
    w = np.full((12288, 1), 1e-3)
    block = np.asarray(stored[:1024], dtype=np.float64).reshape(-1, 12288).T

    def a_pass(rows: Any) -> None:
        Primal(Examples(rows, scale=255.0)).gradient(w, 0.0, Y, weight)

    def read() -> None:
        for _ in in_blocks(stored):
            pass

    def products() -> None:
        for _ in range(0, m, block.shape[1]):
            np.dot(block, np.dot(w.T, block).T)

    forms = {"disk": lambda: a_pass(stored), "reading": read, "products": products}
    if data.images.nbytes <= 1e9:
        pixels = stored[:]
        forms["memory"] = lambda: a_pass(pixels)
    times, _ = frame.in_turns(forms, settings.rounds(ROUNDS))
    median = {name: frame.median(each) for name, each in times.items()}
    both = zip(times["disk"], times["reading"], times["products"], strict=True)
    row = {
        "m": m,
        "pixels": stored.nbytes / 1e6,
        "file": path.stat().st_size / 1e6,
        **median,
        "memory": median.get("memory"),
        "excess": frame.median([disk / (reading + two) for disk, reading, two in both]),
        "linear": 1e6 * median["disk"] / m,
        "peak": _peak(path),
    }
    path.unlink()
    return row


def _peak(path: Path) -> float:
    """Train in a process of its own; give its largest resident size, in MB."""
    words = ["--iterations", str(STEPS), "--cv", "0", "--memory", MEMORY]
    process = subprocess.Popen(
        [sys.executable, "-m", "catclf", "train", str(path), *words, "--out", f"{path}.npz"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"catclf train ended with {process.returncode}")
    return used.ru_maxrss / 1e3


def plot(result: Result, figure: Any) -> None:
    axes = figure.subplots()
    m = [row["m"] for row in result.rows]
    for key, label, colour in (
        ("disk", "pass from disk", "#c44e52"),
        ("reading", "reading alone", "#8c9bb4"),
        ("memory", "pass from memory", "#4c72b0"),
    ):
        shown = [(row["m"], row[key]) for row in result.rows if row[key] is not None]
        axes.plot(*zip(*shown, strict=True), "o-", label=label, color=colour)
    over_sizes(axes, m, "seconds")


def summary(result: Result) -> list[Line]:
    largest = result.rows[-1]
    return [
        Line(
            f"a pass over {largest['m']:,} images on disk",
            frame.seconds(largest["disk"]),
            "reading them, and two products: "
            f"{frame.seconds(largest['reading'])} + {frame.seconds(largest['products'])}",
            f"{1 / largest['excess']:.2f}",
        )
    ]
