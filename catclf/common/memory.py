"""How much memory there is to be had."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from math import inf
from pathlib import Path

from catclf.errors import ParameterError

UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
LITTLE = 20_000_000
"""So many bytes of images fit anywhere, and what is made of them too."""
UNKNOWN = 2 * 10**9
"""So many bytes are taken to be available where the system does not say."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def parse_size(text: str | None) -> int | None:
    """Read a size such as 500MB or 2GB, in bytes; None stays None.

    Raises
    ------
    ParameterError
        If it is none, or below a megabyte.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().casefold())
    size = float(match[1]) * UNITS[match[2]] if match else 0.0
    if not 1e6 <= size < 1e18:
        raise ParameterError(f"memory is a size from 1MB, such as 500MB or 2GB, not {text!r}")
    return int(size)


def available() -> int:
    """Estimate how many bytes can be taken without swapping, within the limit of a container."""
    sizes = []
    with suppress(OSError, ValueError, AttributeError):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError):
        match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if match:
            sizes = [int(match[1]) * 1024]
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # no such file, or the word max
            sizes.append(int(Path(limit).read_text()))
    return max(min(sizes, default=UNKNOWN), 0)


def budget(size: float | None, needed: float) -> float:
    """Give the bytes that data may take in memory: `size`, else half of what there is.

    The system is asked only if so much is `needed` that it may matter.
    """
    if size is not None:
        return size
    return available() // 2 if needed > LITTLE else inf
