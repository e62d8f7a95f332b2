"""The pictures of a report: charts for light and dark pages, and the images themselves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catclf.evaluation import Result
from catclf.metrics import curves
from catclf.pictures.charts import SIZE, Bars, Line, chart
from catclf.pictures.report.html import Html, tag

HISTOGRAM_BINS = 20
_NAME = 32  # letters of a name that a legend has room for


def thumbnail(image: NDArray[np.uint8], alt: str) -> Html:
    """Show an image uint8 (64, 64, 3) at twice its size."""
    uri = _uri(Image.fromarray(np.ascontiguousarray(image)))
    return tag("img", src=uri, width="128", height="128", alt=alt)


def roc(results: Sequence[Result]) -> Html:
    lines, words = [], []
    other, cat = results[0].dataset.classes
    for result in results:
        found = curves.ranking(result.dataset.Y, result.Z)
        assert found is not None
        kept = curves.thinned(len(found.score))
        x, y = (np.append(0.0, v[kept]) for v in (found.false_positive_rate, found.recall))
        lines.append(Line(x, y, _name(result, results)))
        (tn, fp), (fn, tp) = result.figures.confusion
        words.append(
            f"{result.name} has area {result.figures.roc_auc:.4f}; at its threshold "
            f"{tp / (tp + fn):.1%} of {cat} and {fp / (fp + tn):.1%} of {other} is called {cat}."
        )
    ends = np.array([0.0, 1.0])
    return _figure(
        [Line(ends, ends, dashed=True), *lines],
        "ROC curve",
        words,
        f"For every threshold, the share of {cat} that is called {cat} over the share of {other} "
        "that is. Dashed: guessing.",
        x_label="false positive rate",
        y_label="recall",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
    )


def precision_recall(results: Sequence[Result]) -> Html:
    lines, words = [], []
    cat = results[0].dataset.classes[1]
    for result in results:
        found = curves.ranking(result.dataset.Y, result.Z)
        assert found is not None
        kept = curves.thinned(len(found.score))
        lines.append(Line(found.recall[kept], found.precision[kept], _name(result, results)))
        precision, recall = result.figures.precision, result.figures.recall
        told = "undefined" if precision is None else f"{precision:.1%}"
        words.append(
            f"{result.name} has, at its threshold, precision {told} and recall {recall:.1%}."
        )
    share = float(np.mean(results[0].dataset.Y))
    return _figure(
        [Line(np.array([0.0, 1.0]), np.array([share, share]), dashed=True), *lines],
        "Precision and recall",
        words,
        f"Of what is called {cat}, the share that is right, over the share of {cat} that is found. "
        f"Dashed: calling everything {cat}, {share:.1%}.",
        x_label="recall",
        y_label="precision",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
    )


def reliability(results: Sequence[Result]) -> Html:
    lines, words = [], []
    cat = results[0].dataset.classes[1]
    for result in results:
        found = curves.reliability(result.dataset.Y, result.A)
        lines.append(Line(found.probability, found.share, _name(result, results), dots=True))
        words.append(
            f"{result.name} is off by {result.figures.ece:.1%} on average, "
            f"{result.figures.ece_uncalibrated:.1%} before calibration."
        )
    ends = np.array([0.0, 1.0])
    return _figure(
        [Line(ends, ends, dashed=True), *lines],
        "Reliability",
        words,
        f"Of the images given a P({cat}) near some value, the share that is {cat}, in ten bins. "
        "Dashed: probabilities that mean what they say. Bins with few images stray.",
        x_label=f"mean P({_short(cat)})",
        y_label=f"share of {_short(cat)}",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
    )


def histogram(result: Result, named: bool) -> Html:
    cat = result.dataset.classes[1]
    heights, edges = histogram_counts(result)
    bars = [
        Bars(edges, counts.astype(np.float64), f"is {_short(name)}")
        for name, counts in zip(result.dataset.classes, heights, strict=True)
    ]
    most = int(heights.max())
    log = most > 100
    inner = (result.A > 0.1) & (result.A < 0.9)
    words = [
        f"{result.name} gives {int(np.sum(result.A <= 0.1))} images a P({cat}) of 0.1 or less, "
        f"{int(np.sum(inner))} one between, and {int(np.sum(result.A >= 0.9))} one of 0.9 or more."
    ]
    return _figure(
        bars,
        f"P({_short(cat)})" + (f" by {_short(result.name)}" if named else ""),
        words,
        f"How many images of each class get which P({cat})"
        + (", on a logarithmic scale." if log else "."),
        x_label=f"P({_short(cat)})",
        y_label="images",
        log_y=log,
        x_range=(0.0, 1.0),
        y_range=(0.7, most * 1.4) if log else (0.0, most * 1.05),
    )


def histogram_counts(result: Result) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count the images of each class by P(cat): int64 (2, 20), and the bins' edges (21,)."""
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    found = [np.histogram(result.A[result.dataset.Y == y], edges)[0] for y in (0, 1)]
    return np.stack(found), edges


def coverage(results: Sequence[Result]) -> Html:
    lines, words = [], []
    baseline = results[0].figures.majority.value
    floor = baseline
    for result in results:
        found = curves.coverage(result.dataset.Y, result.A, result.model.threshold)
        kept = curves.thinned(len(found.unsure))
        lines.append(Line(found.coverage[kept], found.accuracy[kept], _name(result, results)))
        floor = min([floor, *found.accuracy[found.coverage > 0.1]])
        figures = result.figures
        sure = figures.sure_accuracy
        told = f", of which {sure.value:.1%} come out right" if sure else ""
        words.append(
            f"{result.name}, unsure from {1 - figures.unsure:.2g} to {figures.unsure:.2g}, is sure "
            f"of {figures.coverage.value:.1%} of the images{told}."
        )
    return _figure(
        [Line(np.array([0.0, 1.0]), np.array([baseline, baseline]), dashed=True), *lines],
        "Coverage and accuracy",
        words,
        "With the least sure images left to a person: the accuracy on the rest, over their share. "
        f"Dashed: always answering the commoner class, {baseline:.1%}.",
        x_label="share of images that the model is sure of",
        y_label="accuracy on these",
        x_range=(0.0, 1.0),
        y_range=(max(0.0, np.floor(floor * 20 - 0.2) / 20), 1.005),
    )


def _figure(
    drawn: Sequence[Line | Bars], title: str, words: Sequence[str], meaning: str, **axes: object
) -> Html:
    """Draw a chart for light and for dark pages, with what it shows in words."""
    width, height = (str(side // 2) for side in SIZE)
    told = " ".join(words)
    images = []
    # Not a <picture>: one that is shown dark would be printed dark.
    for scheme in ("light", "dark"):
        uri = _uri(chart(drawn, title=title, dark=scheme == "dark", **axes))  # type: ignore[arg-type]
        alt = f"{title}. {told}"
        images.append(tag("img", class_=scheme, src=uri, width=width, height=height, alt=alt))
    return tag("figure", *images, tag("figcaption", told, tag("small", meaning)))


def _uri(image: Image.Image) -> Html:
    file = io.BytesIO()
    image.save(file, "PNG")
    return Html(f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}")


def _name(result: Result, results: Sequence[Result]) -> str:
    """Name a curve where there are several."""
    return _short(result.name) if len(results) > 1 else ""


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"...{name[3 - _NAME :]}"
