"""catclf eval: measure a model on labelled images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from catclf.cli import output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from catclf.datasets import Dataset
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
    model: output.ModelPath = output.DEFAULT_MODEL,
    cat_class: output.CatClass = None,
    fail_under: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Exit with 1 if the accuracy is below this."),
    ] = None,
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
    from catclf.datasets import load_dataset
    from catclf.model import load_model

    trained = load_model(model)
    output.note(f"model: {model}", quiet)
    with output.progress_bar("reading", 1, quiet) as advance:
        progress = None if advance is None else lambda done, total: advance(done / total, "photos")
        dataset = load_dataset(data, split="test", cat_class=cat_class, progress=progress)
    for line in dataset.notes:
        output.note(line, quiet)
    figures, A = pipeline.evaluate(trained, dataset)
    worst = _worst(trained, dataset, A, errors)
    if as_json:
        listed = {"errors": worst} if errors else {}
        print(json.dumps({**_summary(figures), **listed}))
    else:
        _show(trained, figures)
        if errors:
            print()
            rows = [(str(w["path"]), str(w["class"]), f"{w['probability']:.4f}") for w in worst]
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
    }


def _show(model: Model, figures: Evaluation) -> None:
    def ratio(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.2%}"

    negative, positive = model.classes
    value, interval = output.percent(figures.accuracy)
    baseline, baseline_interval = output.percent(figures.majority)
    area = "undefined" if figures.roc_auc is None else f"{figures.roc_auc:.4f}"
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
        ],
    )
    print()
    (tn, fp), (fn, tp) = figures.confusion
    output.table(
        ["", f"called {negative}", f"called {positive}"],
        [(f"is {negative}", str(tn), str(fp)), (f"is {positive}", str(fn), str(tp))],
    )
