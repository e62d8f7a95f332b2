"""Whole commands against a process that only imports what they cannot do without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import Options, median, ratio, time_in_turns
from benchmarks.results import Result, headline, seconds
from catclf.data.convert import draw_to_hdf5
from catclf.data.load import COURSE_FILE

ROUNDS = 15
PHOTO = "import numpy, PIL.Image, typer"
DATA = "import numpy, h5py, typer"
COMMANDS = {
    "--help": PHOTO,
    "predict one.jpg --model photos": PHOTO,
    "train data.h5 --cv 0": DATA,
}
"""Each command, and what it is compared with; the README shows those that read a file."""


def run(options: Options) -> Result:
    """Time each command."""
    rounds = options.rounds(ROUNDS)
    with TemporaryDirectory() as folder:
        data = _prepare(Path(folder), options)
        rows = [_measure(command, folder, rounds) for command in COMMANDS]
    return Result(
        "Start-up",
        f"Whole processes, each right after one that only imports; photo: one; data.h5: {data}. "
        f"Medians of {rounds}, with bytecode cached.",
        rows,
        [
            headline(
                f"`catclf {row['command']}`, whole process",
                seconds(row["catclf, s"]),
                f'`python -c "{row["beside it"]}"`: {seconds(row["beside it, s"])}',
                1 / row["ratio"],
            )
            for row in rows
            if "." in row["command"]
        ],
    )


def _measure(command: str, folder: str, rounds: int) -> dict[str, Any]:
    words = ["-m", "catclf", *command.split()]
    imports = COMMANDS[command]
    works = {
        "imports": partial(_run_python, folder, "-c", imports),
        "catclf": partial(_run_python, folder, *words),
    }
    time_in_turns(works, 1)  # writes bytecode, and warms the disk's cache
    times, _ = time_in_turns(works, rounds)
    return {
        "command": command,
        "beside it": imports,
        "catclf, s": median(times["catclf"]),
        "beside it, s": median(times["imports"]),
        "ratio": ratio(times, "catclf", "imports"),
    }


def _run_python(folder: str, *words: str) -> None:
    subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)


def _prepare(folder: Path, options: Options) -> str:
    """Put data.h5 and one.jpg into an empty folder; say what the data is."""
    shutil.copy(options.find_photos(folder / "photos")[0], folder / "one.jpg")
    data = options.data or COURSE_FILE["train"]
    if os.path.isfile(data) and not options.quick:
        shutil.copy(data, folder / "data.h5")
        return Path(data).name
    m = 40 if options.quick else 209
    draw_to_hdf5(m, folder / "data.h5")
    return f"{m} drawings"
