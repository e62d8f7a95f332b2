"""The same command on one machine's threads and on Dask workers, processes of the same machine."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import frame
from benchmarks.frame import Column, Line, Result, Settings
from benchmarks.plots import in_pairs
from catclf import load_dataset
from catclf.cluster.client import LOCAL, Cluster
from catclf.common import threads
from catclf.model import Model, load_model

PACKAGES = ("distributed",)
ROUNDS = 5
IMAGES = 40_000
ITERATIONS = (10, 60)
TASKS = 4000
TRAIN = ["train", "data.h5", "--cv", "0", "--coordinates", "primal", "--quiet"]


def run(settings: Settings) -> Result:
    source, m = settings.load(), 60 if settings.quick else IMAGES
    with TemporaryDirectory() as folder:
        frame.in_other_light(source, m, Path(folder) / "data.h5")
        rows = [_measure(n, Path(folder), settings.rounds(ROUNDS)) for n in ITERATIONS]
        for row in rows:
            row["m"] = m
        notes = _rates(rows, Path(folder) / "data.h5", 40 if settings.quick else TASKS)
    return Result(
        "One machine and a Dask cluster",
        f"Descent on pixels of {m:,} images, {source.name} again and again in other light: whole "
        f"commands, `catclf {' '.join(TRAIN)}`, in {threads.count()} threads, and with "
        f"`--scheduler local`, in as many processes, which it starts and ends. Medians of "
        f"{settings.rounds(ROUNDS)}, in turns.",
        [
            Column("m", "m", ","),
            Column("command", "beside that"),
            Column("plain", "threads, s", ".3g"),
            Column("cluster", "--scheduler local, s", ".3g"),
            Column("ratio", "ratio", ".2f"),
            Column("apart", "w apart, relative", ".1e"),
            Column("note", "note"),
        ],
        rows,
        notes,
    )


def _measure(iterations: int, folder: Path, rounds: int) -> dict[str, Any]:
    words = ["--iterations", str(iterations)]
    row: dict[str, Any] = {"command": " ".join(words), "note": ""}
    forms = {"plain": partial(_train, folder, "plain.npz", *words)}
    if find_spec("distributed") is None:
        row["note"] = "distributed is not installed"
    else:
        words += ["--scheduler", "local"]
        forms["cluster"] = partial(_train, folder, "cluster.npz", *words)
    times, found = frame.in_turns(forms, rounds)
    row |= dict.fromkeys(("cluster", "ratio", "apart"))
    row |= {name: frame.median(each) for name, each in times.items()}
    if "cluster" in times:
        row["ratio"] = frame.ratio(times, "cluster", "plain")
        apart = np.abs(found["cluster"].w - found["plain"].w).max()
        row["apart"] = float(apart / np.abs(found["plain"].w).max())
    return row


def _train(folder: Path, out: str, *words: str) -> Model:
    command = [sys.executable, "-m", "catclf", *TRAIN, "--out", out, *words]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return load_model(folder / out)


def _rates(rows: list[dict[str, Any]], path: Path, tasks: int) -> list[str]:
    """Say what docs/scale.md reckons with."""
    data = load_dataset(path, memory=0)
    spent, _ = frame.timed(lambda: data.sha256)
    notes = [f"SHA-256 of the data, inflated for it: {data.images.nbytes / spent / 1e9:.2g} GB/s."]
    if rows[0]["cluster"] is None:
        return notes
    more = ITERATIONS[1] - ITERATIONS[0]
    each = [(rows[1][form] - rows[0][form]) / more for form in ("plain", "cluster")]
    notes.append(
        "A pass, from the difference of the two rows: {} in threads, {} on workers.".format(
            *map(frame.seconds, each)
        )
    )
    with Cluster(LOCAL) as cluster:
        futures = partial(cluster.map, _nothing, range(tasks))
        for _ in range(2):  # the first warms up
            spent, _ = frame.timed(lambda: cluster.results(futures, lambda: None))
    notes.append(f"A task that does nothing: {frame.seconds(spent / tasks)}, of {tasks:,}.")
    return notes


def _nothing(item: int, _: None) -> int:
    return item


def plot(result: Result, figure: Any) -> None:
    commands = [row["command"] for row in result.rows]
    axes = in_pairs(figure, result.rows, commands, "cluster", "plain")
    axes.set_xlabel("seconds, whole command")
    axes.legend(["--scheduler local", "threads"])


def summary(result: Result) -> list[Line]:
    shortest = result.rows[0]
    if shortest["cluster"] is None:
        return []
    return [
        Line(
            f"{shortest['m']:,} images: `catclf train data.h5 {shortest['command']} "
            "--scheduler local`, whole process",
            frame.seconds(shortest["cluster"]),
            f"without `--scheduler`: {frame.seconds(shortest['plain'])}",
            f"{1 / shortest['ratio']:.2f}",
        )
    ]
