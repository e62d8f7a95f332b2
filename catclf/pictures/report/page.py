"""The report's page: one HTML file that needs nothing from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catclf.common.text import percent
from catclf.common.version import __version__
from catclf.evaluation import Result, against_the_first, rows
from catclf.metrics.classification import Proportion
from catclf.pictures.report import pictures
from catclf.pictures.report.data import COMPARABLE, SHEET, disagreements, folder_of
from catclf.pictures.report.html import Html, definitions, joined, page, section, table, tag

NOTES = 20
"""How many notes on the data are shown at most."""


def render(results: Sequence[Result], gathered: dict[str, Any]) -> str:
    """Write the page.

    Parameters
    ----------
    results : sequence of Result
        Of models on the same images; one or more.
    gathered : dict
        What `catclf.pictures.report.data.gather` makes of them.
    """
    dataset = results[0].dataset
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    models = " and ".join(result.name for result in results)
    return page(
        f"{models} on {dataset.name}",
        f"catclf {__version__}",
        css,
        tag(
            "header",
            tag("h1", f"Report on {dataset.name}"),
            *(_headline(result) for result in results),
        ),
        _figures(results),
        *([_comparison(results)] if len(results) > 1 else []),
        _charts(results),
        *_sheets(results),
        _data_card(results[0], gathered["data"]),
        *(_model_card(result) for result in results),
        tag(
            "footer",
            tag("p", f"Made by catclf {__version__}. Intervals are Wilson's, at 95%. "),
            tag("p", tag("a", "report.json", href="report.json"), " holds these figures, too."),
        ),
    )


def _headline(result: Result) -> Html:
    """Say how good the model is, beside always giving the commoner answer."""
    figures = result.figures
    value, interval = percent(figures.accuracy)
    baseline, baseline_interval = percent(figures.majority)
    counts = result.dataset.counts
    commonest = max(counts, key=counts.__getitem__)
    always = f"always answering “{commonest}”"
    low, high = figures.accuracy.interval
    if figures.majority.value < low:
        verdict = f"It beats {always}."
    elif figures.majority.value > high:
        verdict = f"It does not beat {always}; it does worse."
    else:
        verdict = f"That does not beat {always}: the baseline lies within the model's interval."
    parts = [
        tag(
            "p",
            joined(tag("strong", result.name), " is right on ", tag("strong", value)),
            f" of {figures.n} images (95% interval {interval}); {always} is right on {baseline} "
            f"({baseline_interval}). ",
            tag("strong", verdict),
            class_="headline",
        )
    ]
    if result.seen:
        parts.append(
            tag(
                "p",
                f"{result.name} was trained on {result.seen} of these {figures.n} images, or on "
                "near-identical ones: these say little of how it will do on others.",
                class_="notice",
            )
        )
    return joined(*parts)


def _figures(results: Sequence[Result]) -> Html:
    cat = results[0].dataset.classes[1]
    lines = []
    for cells in zip(*(rows(result.figures, cat) for result in results), strict=True):
        values = [
            joined(value, tag("br"), tag("small", interval)) if interval else value
            for _, value, interval in cells
        ]
        label = cells[0][0]
        of_the_last = label.startswith(" ")  # a figure that belongs to the one above
        lines.append(
            (tag("span", label.strip(), class_="under") if of_the_last else label, *values)
        )
    names = [result.name for result in results]
    drawn = table("All figures, with 95% intervals below", ["figure", *names], lines)
    return section(
        "Figures", tag("div", drawn, tag("div", *map(_confusion, results)), class_="pair")
    )


def _confusion(result: Result) -> Html:
    """Show how often each class is called which."""
    other, cat = result.dataset.classes
    shown = []
    for i, name in enumerate((other, cat)):
        line = result.figures.confusion[i]
        cells = []
        for j, count in enumerate(line):
            share = f"{count / sum(line):.1%}" if sum(line) else ""
            cells.append(
                tag(
                    "span",
                    joined(tag("b", f"{count}"), tag("br"), tag("small", share)),
                    class_="right" if i == j else "wrong",
                )
            )
        shown.append((f"is {name}", *cells))
    return table(
        f"Confusion matrix of {result.name}, with shares of each class",
        ["", f"called {other}", f"called {cat}"],
        shown,
    )


def _comparison(results: Sequence[Result]) -> Html:
    first = results[0].name
    lines = [
        (other.name, f"{test.only_a}", f"{test.only_b}", test.p_shown.removeprefix("= "))
        for other, test in against_the_first(results)
    ]
    return section(
        "Comparison",
        table(
            f"McNemar's exact test against {first}, on the same images",
            ["model", "right where the first is wrong", "wrong where the first is right", "p"],
            lines,
        ),
        tag(
            "p",
            "p is the chance of a split as uneven as that, or more so, between two models that "
            "are equally good. Above 0.05 these images do not tell them apart.",
        ),
    )


def _charts(results: Sequence[Result]) -> Html:
    drawn: list[Html] = []
    missing = [name for name, count in results[0].dataset.counts.items() if count == 0]
    if missing:
        words = (
            f"These images hold no {missing[0]}: there is no ROC curve, and none of precision "
            "and recall."
        )
        drawn.append(tag("p", words, class_="notice"))
    else:
        drawn += [pictures.roc(results), pictures.precision_recall(results)]
    drawn.append(pictures.reliability(results))
    drawn += [pictures.histogram(result, named=len(results) > 1) for result in results]
    drawn.append(pictures.coverage(results))
    return section("Curves", tag("div", *drawn, class_="charts"))


def _sheets(results: Sequence[Result]) -> list[Html]:
    """Show the images that tell most about the first model, and those that part the models."""
    first = results[0]
    of = f" of {first.name}" if len(results) > 1 else ""
    wrong = first.figures.n - first.figures.accuracy.correct
    worst, doubtful = first.worst(SHEET), first.least_sure(SHEET)
    told = f"The {len(worst)} that it is surest of, out of {wrong}, the surest first."
    threshold = f"{first.model.threshold:.3g}"
    sheets = [
        section(
            f"Worst mistakes{of}",
            tag("p", told if wrong else "None: every image comes out right."),
            _sheet([first], [int(i) for i in worst]),
        ),
        section(
            f"Least sure{of}",
            tag("p", f"The {len(doubtful)} images nearest to the threshold of {threshold}."),
            _sheet([first], [int(i) for i in doubtful]),
        ),
    ]
    if len(results) > 1:
        apart = disagreements(results, SHEET)
        told = f"{len(apart)} images that not all models call the same, the widest apart first."
        sheets.append(
            section(
                "Where the models differ",
                tag("p", told if apart else "Nowhere: they call every image the same."),
                _sheet(results, apart),
            )
        )
    return sheets


def _sheet(results: Sequence[Result], which: Sequence[int]) -> Html:
    """Show images as the model sees them, with their names, classes and P(cat)."""
    dataset = results[0].dataset
    cat = dataset.classes[1]
    folder = folder_of(dataset)
    items = []
    for i in which:
        name = dataset.label(i)
        if folder is not None:
            name = os.path.relpath(name, folder)
        lines = [
            joined(
                f"P({cat}) {result.A[0, i]:.3f}",
                f" by {result.name}" if len(results) > 1 else "",
                tag("br"),
            )
            for result in results
        ]
        caption = joined(
            *lines, f"is {dataset.classes[int(dataset.Y[0, i])]}", tag("br"), tag("bdi", name)
        )
        image = pictures.thumbnail(dataset.images[i], name)
        items.append(tag("li", tag("figure", image, tag("figcaption", caption))))
    return tag("ul", *items, class_="sheet") if items else Html("")


def _data_card(result: Result, data: dict[str, Any]) -> Html:
    copies = data["near_copies"]
    lines = [
        ("name", data["name"]),
        ("images", f"{data['n']}: {_counts(data['counts'])}"),
        ("size", "64 × 64 pixels, RGB, as the models see them"),
        ("sha256", data["sha256"]),
        (
            "near copies",
            f"not looked for among more than {COMPARABLE} images"
            if copies is None
            else f"{copies} images are much like an earlier one"
            if copies
            else "none",
        ),
    ]
    if data["folder"]:
        lines.insert(1, ("folder", os.path.abspath(data["folder"])))
    lines += [("note", note) for note in data["notes"][:NOTES]]
    if len(data["notes"]) > NOTES:
        lines.append(("note", f"and {len(data['notes']) - NOTES} more, in report.json"))
    return section("Data", definitions(lines))


def _model_card(result: Result) -> Html:
    """Tell where a model comes from; its file may say anything of its past, or nothing."""
    model = result.model
    solver, data, training, cv = (
        _noted(model.provenance.get(key))
        for key in ("solver", "data", "training", "cross_validation")
    )
    of_features = f"{model.features.name}, {model.features.n_x} numbers an image"
    lines = [
        ("file", result.path),
        ("made by", f"catclf {model.version}"),
        ("features", of_features + _settings(model.features.settings())),
        ("solver", f"{solver.get('name', '')}{_settings(solver)}"),
        ("threshold", f"{model.threshold:.4g}"),
        ("temperature", f"{model.temperature:.4g}"),
        ("trained on", f"{data.get('name', '')}: {_counts(_noted(data.get('counts')))}"),
        ("its sha256", f"{data.get('sha256', '')}"),
        ("training accuracy", _accuracy(training)),
        ("cross-validation", _accuracy(cv, f" in {cv.get('folds')} folds")),
    ]
    return section(f"Model {result.name}", definitions([line for line in lines if line[1]]))


def _noted(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _settings(settings: dict[str, Any]) -> str:
    return "".join(f"; {key} {value}" for key, value in settings.items() if key != "name")


def _accuracy(noted: dict[str, Any], how: str = "") -> str:
    """Write the accuracy that a model file notes."""
    correct, n = noted.get("correct"), noted.get("n")
    if not (type(correct) is int and type(n) is int and 0 <= correct <= n > 0):
        return ""
    value, interval = percent(Proportion(correct, n))
    return f"{value} of {n} images{how} ({interval})"
