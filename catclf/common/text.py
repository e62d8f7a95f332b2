"""Words and figures made ready to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catclf.metrics.classification import Proportion

LONGEST_NAME = 1000
"""Of a class, in characters."""
MOST_LEVELS = 30
"""Of nesting."""


def check_depth(value: Any, left: int = MOST_LEVELS) -> None:
    """Raise ValueError if JSON from outside is nested deeper than what shows it could follow."""
    if isinstance(value, dict | list):
        if not left:
            raise ValueError(f"nested more than {MOST_LEVELS} levels deep")
        for part in value.values() if isinstance(value, dict) else value:
            check_depth(part, left - 1)


def printable(text: str) -> str:
    """Escape whatever could act on a terminal or a page: controls, bidi marks, stray bytes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def percent(proportion: Proportion) -> tuple[str, str]:
    """Write a proportion and its 95% interval."""
    low, high = proportion.interval
    return f"{proportion.value:.2%}", f"{low:.1%} to {high:.1%}"
