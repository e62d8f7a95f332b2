"""Text and JSON from outside, made safe to show."""

from __future__ import annotations

import json
import math
import unicodedata
from bisect import bisect
from collections.abc import Callable
from typing import Any

LONGEST_NAME = 1000
"""The name of a class has so many characters at most."""
MOST_LEVELS = 30
"""JSON from outside is nested so deep at most."""


def parse_json(text: str) -> Any:
    """Read JSON from outside.

    Raises
    ------
    ValueError
        If it is no JSON, is nested deeper than what shows it could follow, or holds a number that
        is not finite.
    """

    def finite(number: str) -> float:
        if not math.isfinite(float(number)):
            raise ValueError("a number that is not finite")
        return float(number)

    try:
        value = json.loads(text, parse_float=finite, parse_constant=finite)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    _check_depth(value, MOST_LEVELS)
    return value


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise ValueError(f"nested more than {MOST_LEVELS} levels deep")
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, left - 1)


def printable(text: str) -> str:
    """Escape whatever could act on a terminal or a page: controls, bidi marks, stray bytes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def to_json(value: Any) -> str:
    """Write JSON that any parser takes: a number that is not finite becomes null."""

    def finite(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: finite(inner) for key, inner in part.items()}
        if isinstance(part, list | tuple):
            return [finite(inner) for inner in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    return json.dumps(finite(value), allow_nan=False)


def width_in_cells(text: str) -> int:
    """Count the cells of a terminal that a text takes: two for a wide letter, none for a mark."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def wrap(text: str, width: float, measure: Callable[[str], float] = width_in_cells) -> list[str]:
    """Cut a text into parts that are no wider, between its words where they are narrow enough."""
    if measure(text) <= width:
        return [text]
    parts = [""]
    for word in text.split(" "):
        longer = f"{parts[-1]} {word}" if parts[-1] else word
        if measure(longer) <= width:
            parts[-1] = longer
            continue
        if parts[-1]:
            parts.append("")
        for c in word:
            if measure(parts[-1] + c) > width:
                parts.append("")
            parts[-1] += c
    return parts


def shorten(text: str, width: float, measure: Callable[[str], float] = width_in_cells) -> str:
    """Leave out the middle of a text that is wider: names differ at their ends.

    No letter is taken for narrower than 1, so that any text has an end.
    """
    if len(text) <= width and measure(text) <= width:
        return text

    def without_middle(n: int) -> str:
        return f"{text[: n // 2]}...{text[len(text) - (n + 1) // 2 :]}"

    lengths = range(1, min(len(text), int(width)) + 1)
    return without_middle(bisect(lengths, width, key=lambda n: measure(without_middle(n))))
