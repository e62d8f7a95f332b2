"""The report's page: one HTML file that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from catclf.common.version import __version__
from catclf.evaluation import Result, compare_with_first, figure_rows
from catclf.pictures import Markup, joined, safe, svg, table, tag
from catclf.pictures.report import COMPARABLE, LISTED, disagreements, folder_of, plots

NOTES = 20
"""The page shows so many notes on the data at most."""


def render(results: Sequence[Result], contents: dict[str, Any]) -> str:
    """Write the page on models on the same images; `contents` is what `report.gather` gives."""
    skeleton, css = (
        Path(__file__).with_name(name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css")
    )
    curves = [model["curves"] for model in contents["models"]]
    return Template(skeleton).substitute(
        version=__version__,
        models=safe(" and ".join(result.name for result in results)),
        data=safe(results[0].dataset.name),
        style=css + svg.STYLE,
        headlines=joined(*map(_headline, results)),
        figures=_figures(results),
        confusions=joined(*map(_confusion, results)),
        comparison=_comparison(results) if len(results) > 1 else "",
        charts=joined(*plots.draw_all(results, curves)),
        galleries=joined(*_galleries(results)),
        cards=joined(_data(contents["data"]), *map(_model, results)),
    )


def _headline(result: Result) -> Markup:
    """Say how good the model is, beside always giving the commoner answer."""
    figures = result.figures
    value, interval = figures.accuracy.percent
    baseline, baseline_interval = figures.majority.percent
    counts = result.dataset.counts
    always = f"always answering “{max(counts, key=counts.__getitem__)}”"
    low, high = figures.accuracy.interval
    if figures.majority.value < low:
        verdict = f"It beats {always}."
    elif figures.majority.value > high:
        verdict = f"It does not beat {always}; it does worse."
    else:
        verdict = f"That does not beat {always}: the baseline lies within the model's interval."
    headline = tag(
        "p",
        joined(tag("strong", result.name), " is right on ", tag("strong", value)),
        f" of {figures.n} images (95% interval {interval}); {always} is right on {baseline} "
        f"({baseline_interval}). ",
        tag("strong", verdict),
        class_="headline",
    )
    warning = (
        f"{result.name} was trained on {result.overlap} of these {figures.n} images, or on "
        "near-identical ones: these say little of how it will do on others."
    )
    distrust = f"Do not trust {result.name} with photos: {result.model.distrust}."
    notices = [warning] if result.overlap else []
    notices += [distrust] if result.model.distrust else []
    return joined(headline, *(tag("p", notice, class_="notice") for notice in notices))


def _figures(results: Sequence[Result]) -> Markup:
    cat = results[0].dataset.classes[1]
    lines = []
    for cells in zip(*(figure_rows(result.figures, cat) for result in results), strict=True):
        values = [
            joined(value, tag("br"), tag("small", interval)) if interval else value
            for _, value, interval in cells
        ]
        lines.append((_indented(cells[0][0]), *values))
    columns = ["figure", *(result.name for result in results)]
    return table("All figures, with 95% intervals below", columns, lines)


def _confusion(result: Result) -> Markup:
    """Show how often each class is called which."""
    classes = result.dataset.classes
    lines = []
    for i, (name, counts) in enumerate(zip(classes, result.figures.confusion, strict=True)):
        cells = []
        for j, count in enumerate(counts):
            share = f"{count / sum(counts):.1%}" if sum(counts) else ""
            cell = joined(tag("b", f"{count}"), tag("br"), tag("small", share))
            cells.append(tag("span", cell, class_="right" if i == j else "wrong"))
        lines.append((f"is {name}", *cells))
    caption = f"Confusion matrix of {result.name}, with shares of each class"
    return table(caption, ["", *(f"called {name}" for name in classes)], lines)


def _comparison(results: Sequence[Result]) -> Markup:
    lines = [
        (other.name, f"{test.only_a}", f"{test.only_b}", test.p_shown.removeprefix("= "))
        for other, test in compare_with_first(results)
    ]
    return _section(
        "Comparison",
        table(
            f"McNemar's exact test against {results[0].name}, on the same images",
            ["model", "right where the first is wrong", "wrong where the first is right", "p"],
            lines,
        ),
        tag(
            "p",
            "p is the chance of a split as uneven as that, or more so, between two models that "
            "are equally good. Above 0.05 these images do not tell them apart.",
        ),
    )


def _galleries(results: Sequence[Result]) -> Iterator[Markup]:
    """Show the images that tell most about the first model, and those that part the models."""
    first = results[0]
    of = f" of {first.name}" if len(results) > 1 else ""
    worst, doubtful = first.worst(LISTED).tolist(), first.least_sure(LISTED).tolist()
    wrong = first.figures.n - first.figures.accuracy.correct
    words = f"The {len(worst)} that it is surest of, out of {wrong}, the surest first."
    words = words if wrong else "None: every image comes out right."
    yield _section(f"Worst mistakes{of}", tag("p", words), _images([first], worst))
    words = f"The {len(doubtful)} images nearest to the threshold of {first.model.threshold:.3g}."
    yield _section(f"Least sure{of}", tag("p", words), _images([first], doubtful))
    if len(results) > 1:
        apart = disagreements(results, LISTED)
        words = f"{len(apart)} images that not all models call the same, the widest apart first."
        words = words if apart else "Nowhere: they call every image the same."
        yield _section("Where the models differ", tag("p", words), _images(results, apart))


def _images(results: Sequence[Result], rows: Sequence[int]) -> Markup:
    """Show images at twice their size, with their names, classes and P(cat)."""
    dataset = results[0].dataset
    folder = folder_of(dataset)
    items = []
    for i in rows:
        name = dataset.label(i) if folder is None else os.path.relpath(dataset.paths[i], folder)
        png = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(dataset.images[i])).save(png, "PNG")
        uri = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode('ascii')}"
        image = tag("img", src=uri, width=128, height=128, alt=name)
        probabilities = [
            joined(
                f"P({dataset.classes[1]}) {result.A[0, i]:.3f}",
                f" by {result.name}" if len(results) > 1 else "",
                tag("br"),
            )
            for result in results
        ]
        label = f"is {dataset.classes[int(dataset.Y[0, i])]}"
        caption = tag("figcaption", *probabilities, label, tag("br"), tag("bdi", name))
        items.append(tag("li", tag("figure", image, caption)))
    return tag("ul", *items, class_="sheet") if items else Markup("")


def _data(data: dict[str, Any]) -> Markup:
    folder, copies, notes = data["folder"], data["near_copies"], data["notes"]
    counts = ", ".join(f"{count} {name}" for name, count in data["counts"].items())
    return _definitions(
        "Data",
        ("name", data["name"]),
        *([("folder", os.path.abspath(folder))] if folder else []),
        ("images", f"{data['n']}: {counts}"),
        ("size", "64 × 64 pixels, RGB, as data is kept"),
        ("sha256", data["sha256"]),
        (
            "near copies",
            f"not looked for among more than {COMPARABLE} images"
            if copies is None
            else f"{copies} images are much like an earlier one"
            if copies
            else "none",
        ),
        *(("note", note) for note in notes[:NOTES]),
        *([("note", f"and {len(notes) - NOTES} more, in report.json")] if notes[NOTES:] else []),
    )


def _model(result: Result) -> Markup:
    made_by = f"catclf {result.model.version}"
    facts = [("file", result.path), ("made by", made_by), *result.model.in_words()]
    return _definitions(f"Model {result.name}", *facts)


def _section(title: str, *pieces: str) -> Markup:
    return tag("section", tag("h2", title), *pieces)


def _definitions(title: str, *lines: tuple[str, str]) -> Markup:
    """Write a section that lists terms and what they are."""
    entries = (tag("div", tag("dt", _indented(term)), tag("dd", what)) for term, what in lines)
    return _section(title, tag("dl", *entries))


def _indented(term: str) -> Markup:
    """Set in what belongs to the line above it, which begins with blanks."""
    return tag("span", term.strip(), class_="under") if term.startswith(" ") else safe(term)
