"""What is written of stored results: a table on the terminal, the page, the README's table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import frame
from benchmarks.frame import Line, Result

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def terminal(result: Result) -> str:
    """Lay a result out in columns, numbers to the right."""
    table = [[column.head for column in result.columns], *result.cells()]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    lines = [
        "  ".join(
            f"{cell:>{width}}" if column.form else f"{cell:<{width}}"
            for cell, width, column in zip(row, widths, result.columns, strict=True)
        ).rstrip()
        for row in table
    ]
    return "\n".join(
        ["", result.title, result.work, frame.version_line(result), "", *lines, *result.notes]
    )


def markdown(head: Sequence[str], right: Sequence[bool], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---:" if one else "---" for one in right]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def page(results: Sequence[Result]) -> str:
    """Write the page of all results."""
    parts = [
        "# Benchmarks",
        "Written by `python -m benchmarks` (the extra `bench`), from the `.json` files beside it. "
        "Times are medians, and ratios are medians of ratios within a round.",
    ]
    for result in results:
        table = markdown(
            [column.head for column in result.columns],
            [bool(column.form) for column in result.columns],
            result.cells(),
        )
        parts += [
            f"## {result.title}",
            f"`python -m benchmarks {result.name}`. {result.work}",
            table,
            "\n".join(f"- {note}" for note in result.notes),
            f"![{result.title}]({result.name}.svg)",
            f"On {frame.version_line(result)}.",
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readme_table(results: Sequence[tuple[Result, Sequence[Line]]]) -> str:
    """Write the README's table, without its markers."""
    lines = [line for _, summary in results for line in summary]
    machines = list(dict.fromkeys(result.machine for result, _ in results))
    table = markdown(
        ["work", "catclf", "beside it", "times as fast"], [False, True, False, True], lines
    )
    return f"{table}\n\nMeasured by `python -m benchmarks` on {'; '.join(machines)}."


def between(text: str, table: str) -> str:
    """Put the table between the README's markers.

    Raises
    ------
    ValueError
        If the markers are not there, once each and in order.
    """
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended) or BEGIN in after or END in after:
        raise ValueError(f"expected {BEGIN} and {END}, once each")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def stored(folder: Path, names: Sequence[str]) -> list[Result]:
    """Load the results that are there, in this order."""
    return [Result.load(folder / f"{n}.json") for n in names if (folder / f"{n}.json").exists()]
