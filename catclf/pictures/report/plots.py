"""The report's charts, each with what it shows in words and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from catclf.common.chart import Bars, Chart, Curve
from catclf.evaluation import Result
from catclf.pictures import Markup, tag
from catclf.pictures.svg import draw

Curves = Sequence[dict[str, Any]]
"""For each model, the "curves" of `catclf.pictures.report.gather`."""


def draw_all(results: Sequence[Result], curves: Curves) -> Iterator[Markup]:
    """Draw every chart that the images allow: where a class is missing there is no ranking."""
    missing = [name for name, count in results[0].dataset.counts.items() if count == 0]
    if missing:
        words = f"These images hold no {missing[0]}: there is no ROC curve, and none of precision "
        yield tag("p", words + "and recall.", class_="notice")
    else:
        yield _roc(results, curves)
        yield _precision_recall(results, curves)
    yield _reliability(results, curves)
    yield from _histograms(results, curves)
    yield _coverage(results, curves)


def _roc(results: Sequence[Result], curves: Curves) -> Markup:
    other, cat = results[0].dataset.classes
    words = []
    for result in results:
        (tn, fp), (fn, tp) = result.figures.confusion
        words.append(
            f"{result.name} has area {result.figures.roc_auc:.4f}; at its threshold "
            f"{tp / (tp + fn):.1%} of {cat} and {fp / (fp + tn):.1%} of {other} is called {cat}."
        )
    rankings = [points["ranking"] for points in curves]
    lines = [([0.0, *r["false_positive_rate"]], [0.0, *r["recall"]]) for r in rankings]
    return _figure(
        Chart("ROC curve", "false positive rate", "recall", _curves(results, lines, (0.0, 1.0))),
        words,
        f"For every threshold, the share of {cat} that is called {cat} over the share of {other} "
        "that is. Dashed: guessing.",
    )


def _precision_recall(results: Sequence[Result], curves: Curves) -> Markup:
    cat = results[0].dataset.classes[1]
    share = float(np.mean(results[0].dataset.Y))
    words = []
    for result in results:
        precision, recall = result.figures.precision, result.figures.recall
        shown = "undefined" if precision is None else f"{precision:.1%}"
        words.append(
            f"{result.name} has, at its threshold, precision {shown} and recall {recall:.1%}."
        )
    rankings = [points["ranking"] for points in curves]
    lines = _curves(results, [(r["recall"], r["precision"]) for r in rankings], (share, share))
    return _figure(
        Chart("Precision and recall", "recall", "precision", lines),
        words,
        f"Of what is called {cat}, the share that is right, over the share of {cat} that is found. "
        f"Dashed: calling everything {cat}, {share:.1%}.",
    )


def _reliability(results: Sequence[Result], curves: Curves) -> Markup:
    cat = results[0].dataset.classes[1]
    words = [
        f"{result.name} is off by {result.figures.ece:.1%} on average, "
        f"{result.figures.ece_uncalibrated:.1%} before calibration."
        for result in results
    ]
    bins = [points["reliability"] for points in curves]
    lines = _curves(results, [(b["probability"], b["share"]) for b in bins], (0.0, 1.0), dots=True)
    return _figure(
        Chart("Reliability", f"mean P({cat})", f"share of {cat}", lines),
        words,
        f"Of the images given a P({cat}) near some value, the share that is {cat}, in ten bins. "
        "Dashed: probabilities that mean what they say. Bins with few images stray.",
    )


def _histograms(results: Sequence[Result], curves: Curves) -> Iterator[Markup]:
    cat = results[0].dataset.classes[1]
    for result, points in zip(results, curves, strict=True):
        edges, counts = np.array(points["histogram"]["edges"]), points["histogram"]["counts"]
        most = max(map(max, counts.values()))
        log = most > 100
        low, high = int(np.sum(result.A <= 0.1)), int(np.sum(result.A >= 0.9))
        chart = Chart(
            f"P({cat})" + (f" by {result.name}" if len(results) > 1 else ""),
            f"P({cat})",
            "images",
            bars=[Bars(edges, np.array(n, float), f"is {label}") for label, n in counts.items()],
            log_y=log,
            y_range=(0.7, most * 1.4) if log else (0.0, most * 1.05),
        )
        words = (
            f"{result.name} gives {low} images a P({cat}) of 0.1 or less, "
            f"{result.A.size - low - high} one between, and {high} one of 0.9 or more."
        )
        scale = ", on a logarithmic scale" if log else ""
        yield _figure(chart, [words], f"How many images of each class get which P({cat}){scale}.")


def _coverage(results: Sequence[Result], curves: Curves) -> Markup:
    """Draw the accuracy where the model is sure over how often it is."""
    baseline = results[0].figures.majority.value
    words = []
    for result in results:
        figures, right = result.figures, result.figures.sure_accuracy
        words.append(
            f"{result.name}, unsure from {1 - figures.unsure:.2g} to {figures.unsure:.2g}, is sure "
            f"of {figures.coverage.value:.1%} of the images"
            + (f", of which {right.value:.1%} come out right." if right else ".")
        )
    lines = [(points["coverage"]["coverage"], points["coverage"]["accuracy"]) for points in curves]
    lowest = min([baseline, *(y for line in lines for x, y in zip(*line, strict=True) if x > 0.1)])
    chart = Chart(
        "Coverage and accuracy",
        "share of images that the model is sure of",
        "accuracy on these",
        _curves(results, lines, (baseline, baseline)),
        y_range=(max(0.0, np.floor(lowest * 20 - 0.2) / 20), 1.005),
    )
    return _figure(
        chart,
        words,
        "With the least sure images left to a person: the accuracy on the rest, over their share. "
        f"Dashed: always answering the commoner class, {baseline:.1%}.",
    )


def _curves(
    results: Sequence[Result],
    lines: Sequence[tuple[Sequence[float], Sequence[float]]],
    reference: tuple[float, float],
    dots: bool = False,
) -> list[Curve]:
    """Give a curve for each model, named where there are several, and a dashed reference."""
    curves = [Curve(np.array([0.0, 1.0]), np.array(reference), dashed=True)]
    for result, (x, y) in zip(results, lines, strict=True):
        name = result.name if len(results) > 1 else ""
        curves.append(Curve(np.array(x), np.array(y), name, dots))
    return curves


def _figure(chart: Chart, words: Sequence[str], meaning: str) -> Markup:
    """Draw a chart over shares, with what it shows in words and what it means below."""
    chart = replace(chart, x_range=(0.0, 1.0), y_range=chart.y_range or (0.0, 1.0))
    caption = " ".join(words)
    return tag(
        "figure",
        draw(chart, f"{chart.title}. {caption}"),
        tag("figcaption", caption, tag("small", meaning)),
    )
