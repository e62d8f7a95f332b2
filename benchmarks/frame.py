"""What the benchmarks share: what they give back, timing in turns, the machine, and the data."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catclf import load_dataset
from catclf.data.dataset import Dataset
from catclf.data.drawn.scenes import draw
from catclf.data.hdf5.writer import write_hdf5
from catclf.features.pixels import Pixels
from catclf.logistic import Array

T = TypeVar("T")
QUICK_IMAGES, QUICK_STRIDE = 40, 64


@dataclass(frozen=True)
class Settings:
    """What to measure on, and how thoroughly.

    Attributes
    ----------
    data : str or None
        What `catclf train` takes; None is the course's file, or the drawn set without it.
    quick : bool
        A short run on a few drawings, to see that everything works; its figures mean nothing.
    photos : str or None
        A folder with JPEG files in it, at any depth; None is drawings of 640 × 480.
    """

    data: str | None = None
    quick: bool = False
    photos: str | None = None

    def rounds(self, n: int) -> int:
        return 1 if self.quick else n

    def load(self) -> Dataset:
        if self.quick and self.data is None:
            images, labels = draw(QUICK_IMAGES)
            return Dataset(images, labels.reshape(1, -1), ("non-cat", "cat"), "drawn")
        return load_dataset(self.data)

    def find_photos(self, folder: Path) -> list[Path]:
        """List the JPEG files to measure on; drawings are put into this new folder."""
        if self.photos is not None:
            found = sorted(path for path in Path(self.photos).rglob("*.jp*g") if path.is_file())
            if not found:
                raise SystemExit(f"{self.photos}: no JPEG files in it")
            return found
        folder.mkdir()
        for i, drawing in enumerate(draw(QUICK_IMAGES)[0]):
            large = Image.fromarray(drawing).resize((640, 480), Image.Resampling.BICUBIC)
            large.save(folder / f"{i:02}.jpg", quality=90)
        return sorted(folder.iterdir())

    def pixels(self) -> tuple[str, Array, Array]:
        """Give a word on the data, X (12288, m) of pixels in [0, 1], or few of them, and Y."""
        data = self.load()
        X = Pixels().transform(data.images).astype(np.float64)[:: QUICK_STRIDE if self.quick else 1]
        return f"{data.name}, m = {len(data)}", X, data.Y.astype(np.float64)


class Column(NamedTuple):
    """A column of a table: the rows' key, its heading, how its numbers are written."""

    key: str
    head: str
    form: str = ""


class Line(NamedTuple):
    """A line of the README's table, as text."""

    work: str
    catclf: str
    beside: str
    ratio: str


@dataclass(frozen=True)
class Result:
    """What a benchmark has found.

    Attributes
    ----------
    title : str
    work : str
        What was done, on what, and how often.
    columns : list of Column
    rows : list of dict
        Values by the columns' keys: numbers, text, or None for what there is not.
    notes : list of str
    name, machine, versions
        Filled in by the frame.
    """

    title: str
    work: str
    columns: list[Column]
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    name: str = ""
    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def row(self, **wanted: Any) -> dict[str, Any] | None:
        """Find the first row with these values."""
        return next((r for r in self.rows if all(r[k] == v for k, v in wanted.items())), None)

    def cells(self) -> list[list[str]]:
        return [[written(row[c.key], c.form) for c in self.columns] for row in self.rows]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Result:
        stored = json.loads(path.read_text())
        stored["columns"] = [Column(*column) for column in stored["columns"]]
        return cls(**stored)


def written(value: Any, form: str) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else format(value, form)


def seconds(value: float) -> str:
    """Write a time for people: three digits, and a unit that suits it."""
    if value >= 600:
        return f"{value / 60:,.0f} min"
    unit, factor = next(
        (unit, factor)
        for least, unit, factor in ((1, "s", 1), (1e-3, "ms", 1e3), (0, "µs", 1e6))
        if value >= least
    )
    return f"{value * factor:.3g} {unit}"


def times_as_fast(ratio: float) -> str:
    return f"{float(f'{ratio:.2g}'):,g}"


Times = dict[str, list[float]]


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def in_turns(forms: Mapping[str, Callable[[], T]], rounds: int) -> tuple[Times, dict[str, T]]:
    """Time each form once in every round, so that what disturbs one disturbs all alike.

    Returns
    -------
    times : seconds of each round, by form
    found : what each form gave back last
    """
    times: Times = {name: [] for name in forms}
    found: dict[str, T] = {}
    for _ in range(rounds):
        for name, work in forms.items():
            spent, found[name] = timed(work)
            times[name].append(spent)
    return times, found


def ratio(times: Times, slow: str, fast: str) -> float:
    """Give the median of the ratios within a round."""
    pairs = zip(times[slow], times[fast], strict=True)
    return statistics.median(a / b for a, b in pairs)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def in_other_light(source: Dataset, m: int, path: Path) -> None:
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


def machine() -> str:
    """Say what kind of machine this is, and nothing of which one."""
    model, memory = platform.machine(), ""
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        model = f"{found[1]}, {model}" if found else model
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        memory = f", {size / 2**30:.0f} GiB"
    except (OSError, ValueError):
        pass  # not Linux
    return f"{model}, {os.cpu_count()} CPUs{memory}, {platform.system()}"


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Give the versions of Python, numpy, its BLAS, and these packages."""
    found = {"Python": platform.python_version(), "numpy": np.__version__}
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index, call-overload]
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    found["BLAS"] = f"{blas['name']} {blas['version']}" + (f", threads: {threads}" * bool(threads))
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def version_line(result: Result) -> str:
    found = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return f"{result.machine}; {found}"
