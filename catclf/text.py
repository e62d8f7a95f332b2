"""Words and figures made ready to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catclf.metrics import Proportion


def printable(text: str) -> str:
    """Escape whatever could act on a terminal or a page: controls, bidi marks, stray bytes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def percent(proportion: Proportion) -> tuple[str, str]:
    """Write a proportion and its 95% interval."""
    low, high = proportion.interval
    return f"{proportion.value:.2%}", f"{low:.1%} to {high:.1%}"
