"""Training from HDF5 files, in memory and larger than memory: a pass, and the memory it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.measuring import Options, median, time_in_turns, write_in_other_light
from benchmarks.results import Result, headline, seconds
from catclf.common.blocks import in_blocks
from catclf.data.dataset import Dataset
from catclf.data.hdf5 import load_hdf5
from catclf.solvers.coordinates import Objective, Primal
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.examples import Examples

SIZES = (2000, 20_000, 200_000)
TRAIN = ("--iterations", "5", "--cv", "0", "--memory", "1GB")
ROUNDS = 3


def run(options: Options) -> Result:
    """Time passes over files of each size."""
    source = options.load()
    with TemporaryDirectory() as folder:
        sizes = (60, 120) if options.quick else SIZES
        rows = [_measure(source, m, Path(folder), options) for m in sizes]
    largest = rows[-1]
    return Result(
        "Training larger than memory",
        f"Descent on pixels from HDF5 files of m images, {source.name} again and again in other "
        f"light. A pass reads the file anew, or takes bytes that are in memory; medians of "
        f"{options.rounds(ROUNDS)}, in turns. Peak: of `catclf train {' '.join(TRAIN)}`.",
        rows,
        [
            headline(
                f"a pass over {largest['m']:,} images on disk",
                seconds(largest["pass from disk, s"]),
                f"reading them, and two products: {seconds(largest['reading alone, s'])} + "
                f"{seconds(largest['two products, s'])}",
                1 / largest["disk / (reading + products)"],
            )
        ],
        ["Two products: wᵀX and X dZᵀ on a float64 block of X that is in memory already."],
    )


def _measure(source: Dataset, m: int, folder: Path, options: Options) -> dict[str, Any]:
    path = folder / f"{m}.h5"
    write_in_other_light(source, m, path)
    data = load_hdf5(path, "train", None)
    stored: Any = data.images
    objective = Objective(data.Y.astype(np.float64), sample_weights(m))
    w, b = np.full((12288, 1), 1e-3), np.zeros((1, 1))
    block = np.asarray(stored[:1024], dtype=np.float64).reshape(-1, 12288).T

    def pass_over(rows: Any) -> None:
        Primal(Examples(rows, scale=255.0)).gradient(w, b, objective)

    def read() -> None:
        for _ in in_blocks(stored):
            pass

    def multiply() -> None:
        for _ in range(0, m, block.shape[1]):
            np.dot(block, np.dot(w.T, block).T)

    works = {"disk": lambda: pass_over(stored), "reading": read, "products": multiply}
    if stored.nbytes <= 1e9:
        pixels = stored[:]
        works["memory"] = lambda: pass_over(pixels)
    times, _ = time_in_turns(works, options.rounds(ROUNDS))
    rounds = zip(times["disk"], times["reading"], times["products"], strict=True)
    row = {
        "m": m,
        "pixels, MB": stored.nbytes / 1e6,
        "file, MB": path.stat().st_size / 1e6,
        "pass from disk, s": median(times["disk"]),
        "reading alone, s": median(times["reading"]),
        "pass from memory, s": median(times["memory"]) if "memory" in times else None,
        "two products, s": median(times["products"]),
        "disk / (reading + products)": median(disk / (read + two) for disk, read, two in rounds),
        "peak, MB": _measure_peak(path),
    }
    path.unlink()
    return row


def _measure_peak(path: Path) -> float:
    """Train in a process of its own; give its largest resident size, in MB."""
    command = [sys.executable, "-m", "catclf", "train", str(path), *TRAIN, "--out", f"{path}.npz"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"catclf train ended with {process.returncode}")
    return used.ru_maxrss / 1e3
