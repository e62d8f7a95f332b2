"""catclf predict: say which images show a cat."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.prediction import Prediction


def predict(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...", help="Files, folders with all below them, or - for stdin."
        ),
    ],
    model: output.ModelPath = output.DEFAULT_MODEL,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Call it a cat above this, not the model's own."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    quiet: output.Quiet = False,
) -> None:
    """Say which images show a cat, and how sure the model is.

    \b
    catclf predict img.jpg
    catclf predict photos/ --csv > photos.csv
    curl -s https://example.org/cat.jpg | catclf predict -
    """
    from catclf import prediction
    from catclf.errors import DataError
    from catclf.model import load_model

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    trained = load_model(model)
    output.note(f"model: {model}", quiet)
    sources = (("-", sys.stdin.buffer.read()) if name == "-" else name for name in images)
    failed: list[str] = []
    predictions = _readable(prediction.predict(trained, sources, threshold=threshold), failed)
    if as_json:
        _print_json(predictions)
    elif as_csv:
        _print_csv(p for p in predictions if not p.error)
    elif sys.stdout.isatty():
        rows = [(p.path, p.label, f"{p.probability:.4f}") for p in predictions if not p.error]
        if rows:
            output.table(["image", "label", f"P({trained.classes[1]})"], rows)
    else:
        for p in predictions:
            if not p.error:
                label = output.printable(p.label)
                print(output.printable(p.path), label, f"{p.probability:.6f}", sep="\t")
    if failed:
        raise typer.Exit(DataError.exit_code)


def _readable(predictions: Iterable[Prediction], failed: list[str]) -> Iterator[Prediction]:
    """Pass predictions on; tell of each that failed."""
    for prediction in predictions:
        if prediction.error:
            failed.append(prediction.path)
            output.error(f"{prediction.path}: {prediction.error}")
        yield prediction


def _print_json(predictions: Iterable[Prediction]) -> None:
    for p in predictions:
        found = {"error": p.error} if p.error else {"label": p.label, "probability": p.probability}
        print(json.dumps({"path": p.path, **found}))


def _print_csv(predictions: Iterable[Prediction]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "label", "probability"])
    for p in predictions:
        writer.writerow([p.path, p.label, repr(p.probability)])
