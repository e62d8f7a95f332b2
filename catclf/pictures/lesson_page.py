"""The lesson as a page: one HTML file of the blocks that the terminal shows, beside the code."""

from __future__ import annotations

import base64
import inspect
import os
import textwrap
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from catclf import logistic
from catclf.common.chart import Chart, Curve
from catclf.common.files import OutputFormat
from catclf.common.text import to_json
from catclf.common.version import __version__
from catclf.errors import OutputError
from catclf.features.pixels import Pixels
from catclf.lesson import SECTIONS, chain_rule, graph, loops_and_vectors, loss_and_descent
from catclf.lesson.material import Block, Material, Table, paragraphs
from catclf.pictures import Markup, joined, safe, svg, table, tag

_GENERATOR = rb'.*<meta name="generator" content="the lesson of catclf '
PAGE = OutputFormat(
    "page", OutputError, _GENERATOR, "what is there is no lesson's page; name another file"
)
COMPUTES: dict[Callable[..., Any], tuple[str, ...]] = {
    Pixels.transform: ("x = image",),
    logistic.forward: ("z = wᵀx", "z = w1", "Z = "),
    logistic.sigmoid: ("ŷ = σ", "a = σ", "A = "),
    loss_and_descent.squared_cost: ("squared error",),
    logistic.loss: ("log loss", "right", "L = "),
    loss_and_descent.misprinted_cost: ("printed",),
    logistic.cost: ("J(w, b)", "J(w)"),
    loss_and_descent.slope: ("w := w − α dJ/dw",),
    chain_rule.lesson_graph: ("a = 5",),
    graph.backward: ("dJ/dv",),
    loops_and_vectors.gradient_loops: ("J = dw1",),
    logistic.gradient: ("dZ = ", "dL/dz"),
    logistic.backward: ("dw = ", "dL/dw1"),
    logistic.descend: ("w := w − α dw", "w1 := "),
}
"""How lines of formulas begin that a function computes; at the first its source is unfolded."""


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise OutputError if no page could be written to `path`, or another file would be lost."""
    if os.path.splitext(path)[1].casefold() not in (".html", ".htm"):
        with PAGE.errors(path):
            raise OSError("pages are HTML files; name it lesson.html")
    PAGE.check(path)


def write(material: Material, path: str | os.PathLike[str]) -> None:
    """Write the lesson as a page, whole or not at all; raise OutputError if that fails."""
    page = render(material)
    with PAGE.replacing(path) as file:
        file.write(page.encode())


def render(material: Material) -> str:
    """Tell all sections as one HTML file that needs nothing from elsewhere."""
    html, script, css, common = (
        (Path(__file__).parent / name).read_text(encoding="utf-8")
        for name in ("lesson_page.html", "lesson_page.js", "lesson_page.css", "report/page.css")
    )
    places, contents, sections = _places(material), [], []
    for number, section in enumerate(SECTIONS, 1):
        heading, anchor = f"{number}. {section.title}", f"s{number}"
        contents.append(tag("li", tag("a", heading, href=f"#{anchor}")))
        title = tag("h2", heading), tag("p", section.source, class_="source")
        pieces = [piece for block in section.tell(material) for piece in _pieces(block)]
        sections.append(tag("section", *title, *pieces, places.get(number, ""), id=anchor))
    return Template(html).substitute(
        version=__version__,
        data=safe(material.dataset.name),
        style=common + svg.STYLE + css,
        contents=joined(*contents),
        sections=joined(*sections),
        script=script,
    )


def _pieces(block: Block) -> Iterator[Markup]:
    if isinstance(block, Chart):
        yield tag("figure", svg.draw(block))
    elif isinstance(block, Table):
        yield table("", block.header, block.rows)
    else:
        for paragraph, is_formula in paragraphs(block):
            yield _formula(paragraph) if is_formula else tag("p", " ".join(paragraph.split()))


def _formula(formula: str) -> Markup:
    """Set a formula apart, beside the source of the functions that compute its lines."""
    sources = []
    for function, starts in COMPUTES.items():
        matches = [s for s in starts if any(line.startswith(s) for line in formula.split("\n"))]
        if matches:
            path = tag("small", f"{function.__module__.replace('.', '/')}.py")
            summary = tag("summary", tag("code", function.__qualname__), " ", path)
            source = textwrap.dedent(inspect.getsource(function)).rstrip()
            head, docstring, body = map(escape, source.split('"""', 2))
            code = Markup(f'{head}<span>"""{docstring}"""</span>{body}')
            is_open = {"open": ""} if starts[0] in matches else {}
            sources.append(tag("details", summary, tag("pre", code, tabindex="0"), **is_open))
    written = tag("pre", Markup(escape(formula)), tabindex="0")
    return tag("div", tag("aside", *sources), written, class_="formula")


def _places(material: Material) -> dict[int, Markup]:
    """Give the sections that end in a place to touch, each with the figures that it is made of."""
    w, (_, u, start) = np.linspace(-8, 8, 321), loss_and_descent.one_feature(material)
    J = np.array([logistic.cost(v * u, material.Y) for v in w])
    curve, top = Curve(w, J, dashed=True), float(J.max())
    chart = Chart("A cost of one weight", "w", "J(w)", [curve], y_range=(0.0, top))
    descent = {"u": u[0].tolist(), "y": material.Y[0].tolist(), "w": start, "most": 8, "top": top}
    pixels = base64.b64encode(material.images[0].tobytes()).decode()
    steps = table("", ["step", "w", "J(w)", "dJ/dw"], [])
    channels = table("", ["", "in the image", "in x"], [])
    return {
        1: _place("pixel", {"pixels": pixels}, channels),
        4: _place("descent", descent, svg.draw(chart), steps),
        6: _place("graph", {"a": chain_rule.A, "b": chain_rule.B, "c": chain_rule.C}),
    }


def _place(name: str, figures: dict[str, Any], *pieces: Markup) -> Markup:
    """Leave a place that the script fills; without it nothing is seen there."""
    data = to_json(figures)
    return tag("div", *pieces, class_="place", data_place=name, data_figures=data, hidden="")
