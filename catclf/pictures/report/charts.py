"""The report's charts, each with what it shows in words and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from catclf.common.chart import Bars, Chart, Curve
from catclf.evaluation import Result
from catclf.pictures.markup import Markup, tag
from catclf.pictures.svg import draw

Curves = dict[str, Any]
"""What `catclf.pictures.report.contents.gather` makes of one model's curves."""


def roc(results: Sequence[Result], curves: Sequence[Curves]) -> Markup:
    """Draw recall over the false positive rate; the images are of both classes."""
    other, cat = results[0].dataset.classes
    lines, words = [_reference(0.0, 1.0)], []
    for result, name, points in zip(results, _names(results), curves, strict=True):
        ranking = points["ranking"]
        x = np.array([0.0, *ranking["false_positive_rate"]])
        lines.append(Curve(x, np.array([0.0, *ranking["recall"]]), name))
        (tn, fp), (fn, tp) = result.figures.confusion
        words.append(
            f"{result.name} has area {result.figures.roc_auc:.4f}; at its threshold "
            f"{tp / (tp + fn):.1%} of {cat} and {fp / (fp + tn):.1%} of {other} is called {cat}."
        )
    return _figure(
        _square("ROC curve", "false positive rate", "recall", lines),
        words,
        f"For every threshold, the share of {cat} that is called {cat} over the share of {other} "
        "that is. Dashed: guessing.",
    )


def precision_recall(results: Sequence[Result], curves: Sequence[Curves]) -> Markup:
    """Draw precision over recall; the images are of both classes."""
    cat = results[0].dataset.classes[1]
    share = float(np.mean(results[0].dataset.Y))
    lines, words = [_reference(share, share)], []
    for result, name, points in zip(results, _names(results), curves, strict=True):
        ranking = points["ranking"]
        lines.append(Curve(np.array(ranking["recall"]), np.array(ranking["precision"]), name))
        precision, recall = result.figures.precision, result.figures.recall
        shown = "undefined" if precision is None else f"{precision:.1%}"
        words.append(
            f"{result.name} has, at its threshold, precision {shown} and recall {recall:.1%}."
        )
    return _figure(
        _square("Precision and recall", "recall", "precision", lines),
        words,
        f"Of what is called {cat}, the share that is right, over the share of {cat} that is found. "
        f"Dashed: calling everything {cat}, {share:.1%}.",
    )


def reliability(results: Sequence[Result], curves: Sequence[Curves]) -> Markup:
    """Draw the share of cats over P(cat), in bins."""
    cat = results[0].dataset.classes[1]
    lines, words = [_reference(0.0, 1.0)], []
    for result, name, points in zip(results, _names(results), curves, strict=True):
        x, y = (np.array(points["reliability"][key]) for key in ("probability", "share"))
        lines.append(Curve(x, y, name, dots=True))
        words.append(
            f"{result.name} is off by {result.figures.ece:.1%} on average, "
            f"{result.figures.ece_uncalibrated:.1%} before calibration."
        )
    return _figure(
        _square("Reliability", f"mean P({cat})", f"share of {cat}", lines),
        words,
        f"Of the images given a P({cat}) near some value, the share that is {cat}, in ten bins. "
        "Dashed: probabilities that mean what they say. Bins with few images stray.",
    )


def histograms(results: Sequence[Result], curves: Sequence[Curves]) -> Iterator[Markup]:
    """Draw how many images of each class get which P(cat), for each model."""
    cat = results[0].dataset.classes[1]
    for result, name, points in zip(results, _names(results), curves, strict=True):
        edges, counts = np.array(points["histogram"]["edges"]), points["histogram"]["counts"]
        most = max(map(max, counts.values()))
        log = most > 100
        low, high = int(np.sum(result.A <= 0.1)), int(np.sum(result.A >= 0.9))
        chart = Chart(
            f"P({cat})" + (f" by {name}" if name else ""),
            f"P({cat})",
            "images",
            bars=[Bars(edges, np.array(n, float), f"is {label}") for label, n in counts.items()],
            log_y=log,
            x_range=(0.0, 1.0),
            y_range=(0.7, most * 1.4) if log else (0.0, most * 1.05),
        )
        words = (
            f"{result.name} gives {low} images a P({cat}) of 0.1 or less, "
            f"{result.A.size - low - high} one between, and {high} one of 0.9 or more."
        )
        scale = ", on a logarithmic scale" if log else ""
        yield _figure(chart, [words], f"How many images of each class get which P({cat}){scale}.")


def coverage(results: Sequence[Result], curves: Sequence[Curves]) -> Markup:
    """Draw the accuracy where the model is sure over how often it is."""
    baseline = results[0].figures.majority.value
    lines, words, lowest = [_reference(baseline, baseline)], [], baseline
    for result, name, points in zip(results, _names(results), curves, strict=True):
        x, y = (np.array(points["coverage"][key]) for key in ("coverage", "accuracy"))
        lines.append(Curve(x, y, name))
        lowest = min([lowest, *y[x > 0.1]])
        figures = result.figures
        right = figures.sure_accuracy
        words.append(
            f"{result.name}, unsure from {1 - figures.unsure:.2g} to {figures.unsure:.2g}, is sure "
            f"of {figures.coverage.value:.1%} of the images"
            + (f", of which {right.value:.1%} come out right." if right else ".")
        )
    chart = Chart(
        "Coverage and accuracy",
        "share of images that the model is sure of",
        "accuracy on these",
        lines,
        x_range=(0.0, 1.0),
        y_range=(max(0.0, np.floor(lowest * 20 - 0.2) / 20), 1.005),
    )
    return _figure(
        chart,
        words,
        "With the least sure images left to a person: the accuracy on the rest, over their share. "
        f"Dashed: always answering the commoner class, {baseline:.1%}.",
    )


def _names(results: Sequence[Result]) -> list[str]:
    """Name the models where there are several."""
    return [result.name if len(results) > 1 else "" for result in results]


def _reference(start: float, end: float) -> Curve:
    """Give a dashed line from the left to the right."""
    return Curve(np.array([0.0, 1.0]), np.array([start, end]), dashed=True)


def _square(title: str, x_label: str, y_label: str, curves: Sequence[Curve]) -> Chart:
    """Give a chart of shares over shares."""
    both = (0.0, 1.0)
    return Chart(title, x_label, y_label, curves, x_range=both, y_range=both)


def _figure(chart: Chart, words: Sequence[str], meaning: str) -> Markup:
    """Draw a chart above what it shows in words and what it means."""
    caption = " ".join(words)
    return tag(
        "figure",
        draw(chart, f"{chart.title}. {caption}"),
        tag("figcaption", caption, tag("small", meaning)),
    )
