"""Time whole commands against a process that only imports what they cannot do without.

    python benchmarks/startup.py [DATA] [PHOTO] [--rounds N]

DATA is an HDF5 file to train on, PHOTO an image to predict; without them, the course's file if it
is there and 209 drawings if not, and a drawing as a JPEG. In each round every command runs once
right after what it is compared with, with bytecode cached; figures are medians of the rounds, and
ratios are medians of ratios within a round. The last column says which of the large packages it
loaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from catclf.convert import draw_to_hdf5
from catclf.datasets import COURSE_FILE

PHOTOS = "import numpy, PIL.Image, typer"
DATA = "import numpy, h5py, typer"
LARGE = ("numpy", "PIL", "h5py", "rich", "typer")

Row = tuple[str, str, float, float, float, str]
"""A command, what it is compared with, seconds of both, their ratio, and what it loaded."""


def catclf(*words: str) -> list[str]:
    return [sys.executable, "-m", "catclf", *words]


def seconds(command: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def loaded(command: list[str], folder: str) -> str:
    """Name the large packages that a command loads."""
    done = subprocess.run(
        [*command[:1], "-X", "importtime", *command[1:]],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    names = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    return " ".join(name for name in LARGE if name in names) or "none"


def run(data: str | None = None, photo: str | None = None, rounds: int = 9) -> list[Row]:
    """Measure; every command runs in an empty folder, with copies of data and photo."""
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder), data, photo)
        commands = {
            "--version": (catclf("--version"), PHOTOS),
            "--help": (catclf("--help"), PHOTOS),
            "predict one.jpg": (catclf("predict", "one.jpg", "--model", "photos"), PHOTOS),
            "train data.h5 --cv 0": (catclf("train", "data.h5", "--cv", "0"), DATA),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for i in range(rounds + 1):  # the first writes bytecode and warms the disk's cache
            for name, (command, floor) in commands.items():
                pair = seconds([sys.executable, "-c", floor], folder), seconds(command, folder)
                if i:
                    times[name].append(pair)
        rows = []
        for name, (command, floor) in commands.items():
            floors, own = zip(*times[name], strict=True)
            ratio = statistics.median(b / a for a, b in times[name])
            medians = statistics.median(floors), statistics.median(own)
            rows.append((name, floor, *medians, ratio, loaded(command, folder)))
        return rows


def _prepare(folder: Path, data: str | None, photo: str | None) -> None:
    if data is None and os.path.exists(COURSE_FILE["train"]):
        data = COURSE_FILE["train"]
    if data is None:
        draw_to_hdf5(209, folder / "data.h5")
    else:
        shutil.copy(data, folder / "data.h5")
    if photo is not None:
        shutil.copy(photo, folder / "one.jpg")
        return
    from PIL import Image

    from catclf.drawings import draw

    Image.fromarray(draw(1)[0][0]).resize((640, 480)).save(folder / "one.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("photo", nargs="?")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    rows = run(arguments.data, arguments.photo, arguments.rounds)
    print(f"{arguments.rounds} rounds, medians, in seconds")
    print(f"{'command':<22}{'catclf':>8}{'floor':>8}{'ratio':>7}  loads")
    for name, _, floor, own, ratio, large in rows:
        print(f"{name:<22}{own:>8.3f}{floor:>8.3f}{ratio:>7.2f}  {large}")
    print(f'floor: python -c "{PHOTOS}", for train "{DATA}"')


if __name__ == "__main__":
    sys.exit(main())
