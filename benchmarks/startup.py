"""Whole commands against a process that only imports what they cannot do without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import frame
from benchmarks.frame import Column, Line, Result, Settings
from benchmarks.plots import in_pairs
from catclf.data.convert import draw_to_hdf5
from catclf.data.load import COURSE_FILE

PACKAGES = ("pillow", "h5py", "typer")
ROUNDS = 15
PHOTO = "import numpy, PIL.Image, typer"
DATA = "import numpy, h5py, typer"
COMMANDS = {
    "--version": PHOTO,
    "--help": PHOTO,
    "predict one.jpg --model photos": PHOTO,
    "train data.h5 --cv 0": DATA,
}
"""Each command, and what it is compared with."""
PREDICT, TRAIN = list(COMMANDS)[2:]
LARGE = ("numpy", "PIL", "h5py", "rich", "typer")


def run(settings: Settings) -> Result:
    rounds = settings.rounds(ROUNDS)
    with TemporaryDirectory() as folder:
        data = _prepare(Path(folder), settings)
        rows = [_measure(command, folder, rounds) for command in COMMANDS]
    return Result(
        "Start-up",
        f"Whole processes, each right after one that only imports; photo: one; data.h5: {data}. "
        f"Medians of {rounds}, with bytecode cached.",
        [
            Column("command", "command"),
            Column("imports", "beside it"),
            Column("own", "catclf, s", ".3f"),
            Column("floor", "beside it, s", ".3f"),
            Column("ratio", "ratio", ".2f"),
            Column("loads", "loads, of the large packages"),
        ],
        rows,
    )


def _measure(command: str, folder: str, rounds: int) -> dict[str, Any]:
    imports = COMMANDS[command]
    words = ["-m", "catclf", *command.split()]
    forms = {
        "floor": lambda: _run(folder, "-c", imports),
        "own": lambda: _run(folder, *words),
    }
    frame.in_turns(forms, 1)  # writes bytecode, and warms the disk's cache
    times, _ = frame.in_turns(forms, rounds)
    return {
        "command": command,
        "imports": imports,
        **{name: frame.median(each) for name, each in times.items()},
        "ratio": frame.ratio(times, "own", "floor"),
        "loads": _loaded(_run(folder, "-X", "importtime", *words)),
    }


def _run(folder: str, *words: str) -> str:
    """Run Python; give what it wrote on stderr."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stderr


def _loaded(importtime: str) -> str:
    names = {line.rsplit("|", 1)[-1].strip() for line in importtime.splitlines()}
    return " ".join(name for name in LARGE if name in names) or "none"


def _prepare(folder: Path, settings: Settings) -> str:
    """Put data.h5 and one.jpg into an empty folder; say what the data is."""
    data = None if settings.quick else settings.data or COURSE_FILE["train"]
    if data is not None and os.path.isfile(data):
        shutil.copy(data, folder / "data.h5")
        said = Path(data).name
    else:
        m = 40 if settings.quick else 209
        draw_to_hdf5(m, folder / "data.h5")
        said = f"{m} drawings"
    shutil.copy(settings.find_photos(folder / "photos")[0], folder / "one.jpg")
    return said


def plot(result: Result, figure: Any) -> None:
    commands = [row["command"] for row in result.rows]
    axes = in_pairs(figure, result.rows, commands, "own", "floor")
    axes.set_xlabel("seconds, whole process")
    axes.legend(["catclf", "imports alone"])


def summary(result: Result) -> list[Line]:
    return [
        Line(
            f"`catclf {row['command']}`, whole process",
            frame.seconds(row["own"]),
            f'`python -c "{row["imports"]}"`: {frame.seconds(row["floor"])}',
            f"{1 / row['ratio']:.2f}",
        )
        for row in result.rows
        if row["command"] in {PREDICT, TRAIN}
    ]
