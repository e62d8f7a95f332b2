"""What a benchmark gives, a table and the lines that the README shows, and how it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"

Row = Mapping[str, str | float | None]
"""A row of a table: values by heading, None where there is nothing."""


def headline(work: str, catclf: str, beside: str, times_as_fast: float | None) -> Row:
    """Give a line of the README's table; the last is how many times as fast catclf is."""
    return {"work": work, "catclf": catclf, "beside it": beside, "times as fast": times_as_fast}


@dataclass(frozen=True)
class Result:
    """What a benchmark has measured.

    Attributes
    ----------
    title : str
    work : str
        What was done, on what, and how often.
    rows, headlines : list of Row
        The table, and what the README shows of it.
    notes : list of str
    name, machine, versions : str
        Filled in when the benchmark has run.
    """

    title: str
    work: str
    rows: list[Row]
    headlines: list[Row]
    notes: list[str] = field(default_factory=list)
    name: str = ""
    machine: str = ""
    versions: str = ""

    def save(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text()))


def _write(value: str | float | None) -> str:
    """Write a value of the table: text as it is, of a number three digits or all whole ones."""
    if value is None or isinstance(value, str):
        return value or "–"
    return f"{value:,.0f}" if abs(value) >= 1000 or isinstance(value, int) else f"{value:.3g}"


def seconds(value: float) -> str:
    """Write a time for people: three digits, and a unit that suits it."""
    if abs(value) >= 600:
        return f"{value / 60:,.0f} min"
    units = [("s", 1.0), ("ms", 1e3), ("µs", 1e6)]
    unit, factor = next((u for u in units if abs(value) * u[1] >= 1), units[-1])
    return f"{value * factor:.3g} {unit}"


def markdown(rows: Sequence[Row]) -> str:
    """Write a table of rows with the same headings; numbers stand to the right."""
    rule = [
        "---" if any(isinstance(row[head], str) for row in rows) else "---:" for head in rows[0]
    ]
    cells = [[_write(value) for value in row.values()] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in (list(rows[0]), rule, *cells))


def section(result: Result, chart: bool) -> str:
    """Write what the page says of a result, with the picture beside it if there is one."""
    parts = [
        f"## {result.title}",
        f"`python -m benchmarks {result.name}`. {result.work}",
        markdown(result.rows),
        "\n".join(f"- {note}" for note in result.notes),
        f"![{result.title}]({result.name}.svg)" if chart else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def page(results: Sequence[Result], charts: Container[str]) -> str:
    """Write the page of all results; `charts` names those of which there are pictures."""
    where = dict.fromkeys(f"{result.machine}; {result.versions}" for result in results)
    parts = [
        "# Benchmarks\n",
        "Written by `python -m benchmarks`, from the `.json` files beside it. Times are medians, "
        "and ratios are medians of ratios within a round.\n",
        *(section(result, result.name in charts) for result in results),
        *(f"Measured on {each}.\n" for each in where),
    ]
    return "\n".join(parts)


def readme_table(results: Sequence[Result]) -> str:
    """Write the README's table, without its markers."""
    table = markdown([line for result in results for line in result.headlines])
    machines = dict.fromkeys(result.machine for result in results)
    return f"{table}\n\nMeasured by `python -m benchmarks` on {'; '.join(machines)}."


def put_between_markers(text: str, table: str) -> str:
    """Put the table between the README's markers.

    Raises
    ------
    ValueError
        If the markers are not there, once each and in order.
    """
    parts = re.split(f"(?<={BEGIN}\n)|(?=\n{END})", text)
    if len(parts) != 3:
        raise ValueError(f"expected {BEGIN} and {END}, once each")
    return parts[0] + table + parts[2]


def load_all(folder: Path, names: Iterable[str]) -> list[Result]:
    """Load the results that are there, in this order."""
    paths = [folder / f"{name}.json" for name in names]
    return [Result.load(path) for path in paths if path.exists()]
