"""Work shared out to threads: results in the order of the items, few of them under way."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
MOST_FOR_PRODUCTS = 8
"""More would wait for memory, and each needs some for the block that it is at."""
LARGEST_BATCH = 16
AHEAD = 2
"""Batches under way for each thread."""
LAST_SECONDS = 0.5
"""How long a thread that is no longer needed is waited for."""


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


def batches(items: Iterable[T], largest: int = LARGEST_BATCH) -> Iterator[list[T]]:
    """Deal items into batches of 1, 2, 4 and so on, up to the largest: the first come out soon."""
    rest, size = iter(items), 1
    while batch := list(islice(rest, size)):
        yield batch
        size = min(2 * size, largest)


def ordered(work: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Iterator[R]:
    """Do work on each item, in threads, and yield the results in the order of the items.

    Items are taken as results are asked for: of each thread, two are under way or done and waiting.
    A single item is worked on by the caller's own thread. An exception of `work` is raised when its
    turn comes; whatever ends the iteration, no thread begins another item.
    """
    rest = iter(items)
    first = list(islice(rest, 2))
    threads = count() if threads is None else threads
    if len(first) < 2 or threads < 2:
        yield from map(work, chain(first, rest))
        return
    todo: SimpleQueue[_Job[T, R] | None] = SimpleQueue()
    workers = [
        threading.Thread(target=_run, args=(work, todo), daemon=True) for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    waiting: deque[_Job[T, R]] = deque()
    try:
        for item in chain(first, rest):
            job: _Job[T, R] = _Job(item)
            waiting.append(job)
            todo.put(job)
            if len(waiting) == AHEAD * threads:
                yield waiting.popleft().outcome()
        while waiting:
            yield waiting.popleft().outcome()
    finally:
        for job in waiting:
            job.wanted = False
        for _ in workers:
            todo.put(None)
        end = time.monotonic() + LAST_SECONDS
        for worker in workers:
            worker.join(max(0.0, end - time.monotonic()))


class _Job(Generic[T, R]):
    def __init__(self, item: T) -> None:
        self.item = item
        self.wanted = True
        self.result: list[R] = []
        self.error: BaseException | None = None
        self.done = threading.Event()

    def outcome(self) -> R:
        while not self.done.wait(timeout=0.5):  # without an end, Windows would not hear Ctrl-C
            pass
        if self.error is not None:
            raise self.error
        return self.result[0]


def _run(work: Callable[[T], R], todo: SimpleQueue[_Job[T, R] | None]) -> None:
    for job in iter(todo.get, None):
        if job.wanted:
            try:
                job.result.append(work(job.item))
            except BaseException as error:
                job.error = error
            job.done.set()
