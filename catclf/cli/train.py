"""catclf train: learn a model from labelled images."""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.model import Model

COSTS_SHOWN = 20


def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="An HDF5 file, a folder with a sub-folder per class, or the word drawn. "
            "Default: datasets/train_catvnoncat.h5 if there, else drawn.",
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Step size of gradient descent.")] = 0.005,
    iterations: Annotated[int, typer.Option(help="Steps of gradient descent.")] = 2000,
    l2: Annotated[float, typer.Option(help="Weight of the penalty (l2 / 2) * |w|^2.")] = 0.0,
    cv: Annotated[int, typer.Option(help="Folds of cross-validation; 0 for none.")] = 5,
    coordinates: Annotated[
        Literal["auto", "primal", "gram"],
        typer.Option(help="Where descent runs; the result is the same."),
    ] = "auto",
    cat_class: output.CatClass = None,
    out: Annotated[
        str, typer.Option("--out", "-o", help="The model file to write.")
    ] = output.DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: output.Quiet = False,
) -> None:
    """Learn a model from labelled images.

    \b
    catclf train
    catclf train photos --out models/mine.npz
    catclf train photos/train --cat-class tabby
    """
    start = time.perf_counter()
    from catclf import files, pipeline
    from catclf.datasets import load_dataset
    from catclf.errors import ModelError, ParameterError

    problem = pipeline.check_settings(learning_rate, iterations, l2, cv)
    if problem:
        raise ParameterError(problem)
    try:
        files.check_writable(out)
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"{out}: the model could not be written ({reason})") from None

    with output.progress_bar("reading", 1, quiet) as advance:
        progress = None if advance is None else lambda done, total: advance(done / total, "photos")
        dataset = load_dataset(data, cat_class=cat_class, progress=progress)
    for line in dataset.notes:
        output.note(line, quiet)

    with output.progress_bar("training", iterations, quiet) as advance:
        callback = None if advance is None else lambda i, cost: advance(i, f"cost {cost:.6f}")
        model = pipeline.train(
            dataset,
            learning_rate=learning_rate,
            iterations=iterations,
            l2=l2,
            cv=cv,
            coordinates=coordinates,
            callback=callback,
        )
    replaced = os.path.exists(out)
    model.save(out)
    seconds = time.perf_counter() - start
    if replaced:
        output.note(f"replaced the model that was at {out}", quiet)
    if as_json:
        print(json.dumps(_summary(model, out, seconds)))
    else:
        _show(model, out, seconds, cv)


def _summary(model: Model, out: str, seconds: float) -> dict[str, object]:
    training, cv = model.provenance["training"], model.provenance["cross_validation"]
    return {
        "model": os.path.abspath(out),
        "m": training["n"],
        "n_x": model.features.n_x,
        "cost": [[iteration, cost] for iteration, cost in model.costs],
        "train_accuracy": training["correct"] / training["n"],
        "cv_accuracy": cv["correct"] / cv["n"] if cv else None,
        "majority": max(model.provenance["data"]["counts"].values()) / training["n"],
        "seconds": seconds,
    }


def _show(model: Model, out: str, seconds: float, cv_asked: int) -> None:
    from catclf.metrics import Proportion

    def proportion(figures: dict[str, int]) -> Proportion:
        return Proportion(figures["correct"], figures["n"])

    provenance = model.provenance
    counts = provenance["data"]["counts"]
    commonest = max(counts, key=counts.__getitem__)
    training, cv = provenance["training"], provenance["cross_validation"]
    baseline = Proportion(counts[commonest], training["n"])

    _show_costs(model.costs)
    rows = [("training", *output.percent(proportion(training)))]
    if cv:
        rows.append((f"{cv['folds']}-fold CV", *output.percent(proportion(cv))))
    rows.append((f'always "{commonest}"', *output.percent(baseline)))
    print()
    output.table([f"on {training['n']} images", "accuracy", "95% interval"], rows)
    print()
    if cv and cv["folds"] < cv_asked:
        print(f"{cv['folds']} folds, not {cv_asked}: the smaller class has no more examples.")
    if cv_asked and not cv:
        print("No cross-validation: it needs two examples of each class.")
    if cv and cv["correct"] <= baseline.correct:
        print(
            f'Cross-validation does not beat always answering "{output.printable(commonest)}":\n'
            "do not trust this model with new photos."
        )
    print(f"{seconds:.2f} s; wrote {output.printable(os.path.abspath(out))}")
    words = [] if out == output.DEFAULT_MODEL else ["--model", out]
    print(f"Next: {output.command('catclf', 'predict', *words, 'img.jpg')}")


def _show_costs(costs: list[tuple[int, float]]) -> None:
    """Print the cost's history, at most 20 values of it, in columns to be read downwards."""
    from shutil import get_terminal_size

    step = -(-len(costs) // COSTS_SHOWN)
    cells = [f"{iteration:>7}  {cost:.6f}" for iteration, cost in costs[::step]]
    columns = max(1, min(4, get_terminal_size().columns // 18))
    height = -(-len(cells) // columns)
    print("Cost after so many iterations, in nats:")
    for row in range(height):
        print("  ".join(cells[row::height]))
    if any(later > earlier for (_, earlier), (_, later) in pairwise(costs)):
        print("It rose on the way: with a smaller --learning-rate it would fall steadily.")
