"""The same command on one machine's threads and on Dask workers, processes of the same machine."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.measuring import Options, median, ratio, time_in_turns, timed, write_in_other_light
from benchmarks.results import Result, headline, seconds
from catclf import load_dataset
from catclf.cluster import LOCAL, Cluster
from catclf.common import threads
from catclf.model import Model, load_model

ROUNDS = 5
IMAGES = 40_000
ITERATIONS = (10, 60)
TASKS = 4000
TRAIN = ["train", "data.h5", "--cv", "0", "--coordinates", "primal", "--quiet"]
THREADS, CLUSTER = "threads, s", "--scheduler local, s"


def run(options: Options) -> Result:
    """Time whole trainings of few and of more iterations."""
    import distributed  # noqa: F401  # the benchmark is left out without it

    source, m = options.load(), 60 if options.quick else IMAGES
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data.h5"
        write_in_other_light(source, m, data)
        rows = [_measure(m, n, Path(folder), options.rounds(ROUNDS)) for n in ITERATIONS]
        notes = _measure_rates(rows, data, 40 if options.quick else TASKS)
    return Result(
        "One machine and a Dask cluster",
        f"Descent on pixels of {m:,} images, {source.name} again and again in other light: whole "
        f"commands, `catclf {' '.join(TRAIN)}`, in {threads.count()} threads, and with "
        f"`--scheduler local`, in as many processes, which it starts and ends. Medians of "
        f"{options.rounds(ROUNDS)}, in turns.",
        rows,
        [
            headline(
                f"{m:,} images: `catclf train data.h5 {row['beside that']} --scheduler local`, "
                "whole process",
                seconds(row[CLUSTER]),
                f"without `--scheduler`: {seconds(row[THREADS])}",
                1 / row["ratio"],
            )
            for row in rows[:1]
        ],
        notes,
    )


def _measure(m: int, iterations: int, folder: Path, rounds: int) -> dict[str, Any]:
    words = ["--iterations", str(iterations)]
    works = {
        THREADS: partial(_train, folder, "plain.npz", *words),
        CLUSTER: partial(_train, folder, "there.npz", *words, "--scheduler", "local"),
    }
    times, models = time_in_turns(works, rounds)
    w, w_there = models[THREADS].w, models[CLUSTER].w
    return {
        "m": m,
        "beside that": " ".join(words),
        THREADS: median(times[THREADS]),
        CLUSTER: median(times[CLUSTER]),
        "ratio": ratio(times, CLUSTER, THREADS),
        "w apart, relative": float(np.abs(w_there - w).max() / np.abs(w).max()),
    }


def _train(folder: Path, out: str, *words: str) -> Model:
    command = [sys.executable, "-m", "catclf", *TRAIN, "--out", out, *words]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return load_model(folder / out)


def _measure_rates(rows: list[dict[str, Any]], path: Path, tasks: int) -> list[str]:
    """Say what docs/scale.md reckons with."""
    data = load_dataset(path, memory=0)
    took, _ = timed(lambda: data.sha256)
    notes = [
        f"SHA-256 of the data, inflated for it: {data.images.nbytes / took / 1e9:.2g} GB/s.",
        pass_from_rows(rows),
    ]
    with Cluster(LOCAL) as cluster:
        ask = partial(cluster.map, _do_nothing, range(tasks))
        for _ in range(2):  # the first warms up
            took, _ = timed(lambda: cluster.results(ask))
    notes.append(f"A task that does nothing: {seconds(took / tasks)}, of {tasks:,}.")
    return notes


def pass_from_rows(rows: list[dict[str, Any]]) -> str:
    """Say what a pass takes, from what more iterations took more."""
    few, more = rows
    n = ITERATIONS[1] - ITERATIONS[0]
    in_threads, on_workers = ((more[form] - few[form]) / n for form in (THREADS, CLUSTER))
    if min(in_threads, on_workers) <= 0:
        return "A pass takes too little time to be told from the rest of the command."
    return (
        f"A pass, from the difference of the two rows: {seconds(in_threads)} in threads, "
        f"{seconds(on_workers)} on workers."
    )


def _do_nothing(item: int) -> int:
    return item
