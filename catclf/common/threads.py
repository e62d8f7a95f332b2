"""Work shared out to threads: results in the order of the items, few of them under way."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from math import inf
from typing import TYPE_CHECKING, TypeVar

from catclf.common import interruption

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
MOST_FOR_PRODUCTS = 8
"""More would wait for memory, and each needs some for the block that it is at."""
LARGEST_BATCH = 16
AHEAD = 2
"""Each thread has so many items under way, or done and waiting."""
WAIT_SECONDS = 0.5
"""A wait for a result is broken off so often, to see whether there is a stop."""


def count() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def for_products() -> int:
    """Count the threads that matrix products may be shared out to.

    OpenBLAS has threads of its own, unless it is told otherwise before NumPy is loaded; the
    commands tell it so. Both together would get in each other's way.
    """
    return min(count(), MOST_FOR_PRODUCTS) if os.environ.get(BLAS_THREADS) == "1" else 1


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Deal items into batches of 1, 2, 4 and so on, up to LARGEST_BATCH: the first come soon."""
    rest, size = iter(items), 1
    while batch := list(islice(rest, size)):
        yield batch
        size = min(2 * size, LARGEST_BATCH)


def on_a_thread(work: Callable[[], R], seconds: float = inf) -> R:
    """Do the work on a thread of its own, and wait for it, or until there is a stop.

    Python hears a signal between two of its own instructions on its main thread; a product of large
    matrices is one instruction, and can take seconds. The thread may outlive a stop.

    Raises
    ------
    TimeoutError
        If it is not done after so many seconds.
    """
    from concurrent.futures import ThreadPoolExecutor

    return _result(ThreadPoolExecutor(1).submit(work), seconds)


def ordered(work: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Iterator[R]:
    """Do work on each item, in threads, and yield the results in the order of the items.

    Items are taken as results are asked for. A single item is worked on by the caller's own thread.
    An exception of `work` is raised when its turn comes; whatever ends the iteration, no thread
    begins another item, and none is waited for.
    """
    rest = iter(items)
    first = list(islice(rest, 2))
    threads = count() if threads is None else threads
    if len(first) < 2 or threads < 2:
        for item in chain(first, rest):
            yield work(item)
            interruption.check()
        return
    from concurrent.futures import ThreadPoolExecutor  # a photo by itself need not wait for that

    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[R]] = deque()
    try:
        for item in chain(first, rest):
            waiting.append(pool.submit(work, item))
            if len(waiting) == AHEAD * threads:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
        pool.shutdown()  # threads that are still ending would slow down the next pass, by a third
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[R], seconds: float = inf) -> R:
    """Wait for a result, however long; on Windows, no signal is heard without a time-out."""
    interruption.check()
    end = time.monotonic() + seconds
    while not future.done():
        if time.monotonic() > end:
            raise TimeoutError(f"it was not done after {seconds:g} s")
        with suppress(TimeoutError):
            future.exception(WAIT_SECONDS)
        interruption.check()
    return future.result()
