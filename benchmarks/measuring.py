"""What the benchmarks share: their options, data to measure on, timing in turns, the machine."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catclf import load_dataset
from catclf.common.types import Array
from catclf.data.dataset import Dataset
from catclf.data.drawn import draw
from catclf.data.hdf5.writer import write_hdf5
from catclf.features.pixels import Pixels

T = TypeVar("T")
Times = dict[str, list[float]]
"""Seconds in each round, by what was timed."""

QUICK_IMAGES, QUICK_STRIDE = 40, 64
PACKAGES = ("pillow", "h5py", "typer", "scikit-learn", "scipy", "torch", "distributed")
"""The packages, by their names on the index, whose versions matter."""


@dataclass(frozen=True)
class Options:
    """What to measure on, and how thoroughly.

    Attributes
    ----------
    data : str or None
        What `catclf train` takes; None is the course's file, or the drawn set without it.
    photos : str or None
        A folder with JPEG files in it, at any depth; None is drawings of 640 × 480.
    quick : bool
        A short run on a few drawings, to see that everything works; its figures mean nothing.
    """

    data: str | None = None
    photos: str | None = None
    quick: bool = False

    def rounds(self, n: int) -> int:
        """Give how often to measure."""
        return 1 if self.quick else n

    def load(self) -> Dataset:
        """Load the images and labels to train on."""
        if self.quick and self.data is None:
            images, labels = draw(QUICK_IMAGES)
            return Dataset(images, labels.reshape(1, -1), ("non-cat", "cat"), "drawn")
        return load_dataset(self.data)

    def load_pixels(self) -> tuple[str, Array, Array]:
        """Give a word on the data, X float64 (12288, m) in [0, 1], and Y float64 (1, m).

        A quick run takes every 64th pixel.
        """
        data = self.load()
        X = Pixels().transform(data.images).astype(np.float64)[:: QUICK_STRIDE if self.quick else 1]
        return f"{data.name}, m = {len(data)}", X, data.Y.astype(np.float64)

    def find_photos(self, folder: Path) -> list[Path]:
        """List the JPEG files to measure on; drawings are put into this new folder."""
        if self.photos is not None:
            paths = sorted(path for path in Path(self.photos).rglob("*.jp*g") if path.is_file())
            if not paths:
                raise SystemExit(f"{self.photos}: no JPEG files in it")
            return paths
        folder.mkdir()
        for i, drawing in enumerate(draw(QUICK_IMAGES)[0]):
            large = Image.fromarray(drawing).resize((640, 480), Image.Resampling.BICUBIC)
            large.save(folder / f"{i:02}.jpg", quality=90)
        return sorted(folder.iterdir())


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Do the work; give the seconds that it took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def time_in_turns(works: Mapping[str, Callable[[], T]], rounds: int) -> tuple[Times, dict[str, T]]:
    """Time each work once in every round, so that what disturbs one disturbs all alike.

    Returns
    -------
    times : seconds of each round, by name
    results : what each work gave in the last round, by name
    """
    times: Times = {name: [] for name in works}
    results: dict[str, T] = {}
    for _ in range(rounds):
        for name, work in works.items():
            seconds, results[name] = timed(work)
            times[name].append(seconds)
    return times, results


def ratio(times: Times, slow: str, fast: str) -> float:
    """Give the median of the ratios within a round."""
    return median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def write_in_other_light(source: Dataset, m: int, path: Path) -> None:
    """Write m images as HDF5: those of the source again and again, brighter or darker each time."""

    def examples() -> Iterator[tuple[NDArray[np.uint8], int]]:
        rng = np.random.default_rng(0)
        for start in range(0, m, 16):
            rows = np.arange(start, min(start + 16, m)) % len(source)
            images = source.images[rows]
            if start >= len(source):
                lit = images * rng.uniform(0.7, 1.2) + rng.integers(-20, 20, 3)
                images = lit.clip(0, 255).astype(np.uint8)
            yield from zip(images, source.Y[0, rows].tolist(), strict=True)

    write_hdf5(path, examples())


def describe_machine() -> str:
    """Say what kind of machine this is, and nothing of which one."""
    model, memory = platform.machine(), ""
    with suppress(OSError, ValueError):  # not Linux
        name = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        model = f"{name[1]}, {model}" if name else model
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        memory = f", {size / 2**30:.0f} GiB"
    return f"{model}, {os.cpu_count()} CPUs{memory}, {platform.system()}"


def describe_versions() -> str:
    """List the versions of Python, numpy, its BLAS, and the packages that are installed."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index, call-overload]
    threads = os.environ["OPENBLAS_NUM_THREADS"]
    versions = [f"Python {platform.python_version()}", f"numpy {np.__version__}"]
    versions.append(f"BLAS {blas['name']} {blas['version']} in {threads} thread")
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return ", ".join(versions)
