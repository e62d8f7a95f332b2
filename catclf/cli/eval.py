"""catclf eval: measure a model on labelled images."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from catclf.cli import output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from catclf.dataset import Dataset
    from catclf.metrics import Evaluation
    from catclf.model import Model


def evaluate(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="An HDF5 file, a folder with a sub-folder per class, or the word drawn. "
            "Default: datasets/test_catvnoncat.h5 if there, else drawings not trained on.",
        ),
    ] = None,
    model: output.ModelPath = None,
    cat_class: output.CatClass = None,
    fail_under: Annotated[
        float | None,
        typer.Option(callback=output.share, help="Exit with 1 if the accuracy is below this."),
    ] = None,
    unsure: Annotated[
        float, typer.Option(callback=output.band, help="Unsure up to this; 0.8: from 0.2 to 0.8.")
    ] = 0.8,
    errors: Annotated[int, typer.Option(min=0, metavar="N", help="List the N worst mistakes.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: output.Quiet = False,
) -> None:
    """Measure a model on labelled images.

    \b
    catclf eval
    catclf eval photos/test --errors 10
    catclf eval photos/test --fail-under 0.8
    """
    from catclf import pipeline
    from catclf.model import load_model

    path = output.find_model(model)
    trained = load_model(path)
    output.note(f"model: {os.fspath(path)}", quiet)
    dataset = output.read(data, "test", cat_class, quiet)
    if dataset.sha256 == trained.provenance.get("data", {}).get("sha256"):
        output.note("these are the images that the model was trained on", quiet)
    figures, A = pipeline.evaluate(trained, dataset, unsure=unsure)
    worst = _worst(trained, dataset, A, errors)
    with output.reader_may_leave():
        if as_json:
            listed = {"errors": worst} if errors else {}
            print(json.dumps({**_summary(figures), **listed}))
        else:
            _show(trained, figures)
            if worst:
                rows = [(str(w["path"]), str(w["class"]), f"{w['probability']:.4f}") for w in worst]
                print()
                output.table(["worst mistakes", "is", f"P({trained.classes[1]})"], rows)
    if fail_under is not None and figures.accuracy.value < fail_under:
        output.error(f"accuracy {figures.accuracy.value:.4f} is below {fail_under:g}")
        raise typer.Exit(1)


def _worst(
    model: Model, dataset: Dataset, A: NDArray[np.float64], n: int
) -> list[dict[str, object]]:
    """List the n mistakes that the model is surest of, the surest first."""
    import numpy as np

    wrong = np.flatnonzero((A[0] > model.threshold) != (dataset.Y[0] == 1))
    surest = wrong[np.argsort(-np.abs(A[0, wrong] - dataset.Y[0, wrong]), kind="stable")][:n]
    return [
        {
            "path": dataset.label(i),
            "class": dataset.classes[int(dataset.Y[0, i])],
            "probability": float(A[0, i]),
        }
        for i in surest
    ]


def _summary(figures: Evaluation) -> dict[str, object]:
    return {
        "n": figures.n,
        "accuracy": figures.accuracy.value,
        "accuracy_interval": figures.accuracy.interval,
        "majority": figures.majority.value,
        "balanced_accuracy": figures.balanced_accuracy,
        "precision": figures.precision,
        "recall": figures.recall,
        "f1": figures.f1,
        "confusion": figures.confusion,
        "roc_auc": figures.roc_auc,
        "log_loss": figures.log_loss,
        "brier": figures.brier,
        "ece": figures.ece,
        "ece_uncalibrated": figures.ece_uncalibrated,
        "unsure": figures.unsure,
        "coverage": figures.coverage.value,
        "sure_accuracy": figures.sure_accuracy.value if figures.sure_accuracy else None,
    }


def _show(model: Model, figures: Evaluation) -> None:
    def ratio(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.2%}"

    negative, positive = model.classes
    value, interval = output.percent(figures.accuracy)
    baseline, baseline_interval = output.percent(figures.majority)
    area = "undefined" if figures.roc_auc is None else f"{figures.roc_auc:.4f}"
    low, high = sorted((figures.unsure, 1 - figures.unsure))
    sure = output.percent(figures.sure_accuracy) if figures.sure_accuracy else ("undefined", "")
    output.table(
        [f"on {figures.n} images", "", "95% interval"],
        [
            ("accuracy", value, interval),
            ("majority baseline", baseline, baseline_interval),
            ("balanced accuracy", ratio(figures.balanced_accuracy), ""),
            (f"precision ({positive})", ratio(figures.precision), ""),
            (f"recall ({positive})", ratio(figures.recall), ""),
            ("F1", ratio(figures.f1), ""),
            ("ROC-AUC", area, ""),
            ("log loss (nats)", f"{figures.log_loss:.4f}", ""),
            ("Brier score", f"{figures.brier:.4f}", ""),
            ("calibration error", ratio(figures.ece), ""),
            ("  before calibration", ratio(figures.ece_uncalibrated), ""),
            (f"sure: not {low:.2g} to {high:.2g}", *output.percent(figures.coverage)),
            ("  accuracy where sure", *sure),
        ],
    )
    print()
    (tn, fp), (fn, tp) = figures.confusion
    output.table(
        ["", f"called {negative}", f"called {positive}"],
        [(f"is {negative}", str(tn), str(fp)), (f"is {positive}", str(fn), str(tp))],
    )
