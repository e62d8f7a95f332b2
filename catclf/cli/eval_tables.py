"""What `catclf eval` prints of one model, and of several beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.evaluation import Result

_LABELS, _COLUMN = 25, 17  # the widths of a comparison's columns


def show(result: Result) -> None:
    """Print one model's figures."""
    from catclf.evaluation import rows

    figures, (negative, positive) = result.figures, result.model.classes
    output.table([f"on {figures.n} images", "", "95% interval"], rows(figures, positive))
    print()
    (tn, fp), (fn, tp) = figures.confusion
    output.table(
        ["", f"called {negative}", f"called {positive}"],
        [(f"is {negative}", str(tn), str(fp)), (f"is {positive}", str(fn), str(tp))],
    )


def show_worst(result: Result, n: int, named: bool) -> None:
    """Print the n mistakes that a model is surest of, if it makes any; with its name if wanted."""
    worst = result.listed(result.worst(n))
    if worst:
        rows = [(str(w["path"]), str(w["class"]), f"{w['probability']:.4f}") for w in worst]
        title = f"worst mistakes of {result.name}" if named else "worst mistakes"
        print()
        output.table([title, "is", f"P({result.model.classes[1]})"], rows)


def show_side_by_side(results: Sequence[Result]) -> None:
    """Print several models' figures, a column a model, and McNemar's tests against the first.

    More models than the terminal has room for go into further tables.
    """
    from catclf.evaluation import against_the_first, rows

    width = get_terminal_size().columns
    column = max(_COLUMN, 3 + max(len(output.printable(result.name)) for result in results))
    room = max(1, (width - _LABELS) // column)
    negative, positive = results[0].dataset.classes
    for start in range(0, len(results), room):
        part = results[start : start + room]
        shown = []
        for cells in zip(*(rows(result.figures, positive) for result in part), strict=True):
            shown.append((cells[0][0], *(value for _, value, _ in cells)))
            if any(interval for *_, interval in cells):
                shown.append(("  95% interval", *(interval for *_, interval in cells)))
        for label, cat, called in (
            (f"{negative} called {positive}", 0, 1),
            (f"{positive} called {negative}", 1, 0),
        ):
            shown.append((label, *(str(r.figures.confusion[cat][called]) for r in part)))
        output.table([f"on {results[0].figures.n} images", *(r.name for r in part)], shown)
        print()
    first = output.printable(results[0].name)
    for other, test in against_the_first(results):
        name = output.printable(other.name)
        chance = "" if test.p < 0.05 else ", no more than chance may do"
        line = (
            f"{name} is right on {test.only_a} that {first} gets wrong, and wrong on "
            f"{test.only_b} that it gets right: p {test.p_shown}{chance} (McNemar's exact test)."
        )
        print(fill(line, width))
