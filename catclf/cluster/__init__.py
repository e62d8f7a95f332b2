"""A Dask cluster: processes that share the work, here or on other machines. The only user of dask.

Everything that is asked of them is a task made of other tasks: what a worker that dies has held is
made again elsewhere, from the files if need be. Nothing depends on which worker did what.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np

from catclf.common import interruption
from catclf.errors import CatclfError, ClusterError, ParameterError

R = TypeVar("R")

LOCAL = "local"
"""This stands for processes on this machine, one for each processor, in place of an address."""
CONNECT_SECONDS = 10
PATIENCE_SECONDS = 60
"""How long a cluster may be without any worker."""
ATTEMPTS = 3
"""How often a pass is begun anew that the cluster gave up, each after several dead workers."""
DEATHS = 10
"""Workers that may die at one task before the cluster gives it up."""
SILENT = 60
"""Above every level of logging: what goes wrong, catclf says itself."""
AHEAD = 4
"""Batches of a stream under way for each thread of the cluster."""
ENVIRONMENT = {
    # A product needs one thread where there is a process for each processor.
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")},
    "DASK_LOGGING__DISTRIBUTED": "critical",
    "PYTHONWARNINGS": "ignore",
}


QUIET = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
"""
"""What a worker on this machine begins with: Ctrl-C is for the command, which ends its workers."""


class Cluster:
    """A connection to a scheduler and its workers; as a context, closed in the end.

    Parameters
    ----------
    scheduler : str
        The scheduler's address, such as tcp://host:8786, or "local".

    Attributes
    ----------
    passes : int
        How often all data has been gone through.
    callback : callable, optional
        Called after each pass, and about every second while one takes longer.
    generation : int
        How often what was on the workers has been lost.

    Raises
    ------
    ParameterError
        If dask.distributed is not installed, or this is no address.
    ClusterError
        If there is no scheduler at that address.
    """

    def __init__(self, scheduler: str) -> None:
        if scheduler != LOCAL and ":" not in scheduler:
            raise ParameterError(
                f"scheduler is an address such as tcp://host:8786, or local, not {scheduler!r}"
            )
        self.scheduler = scheduler
        self.passes = self.workers = self.generation = 0
        self.callback: Callable[[], None] | None = None
        self._counted = 0.0
        self._stack = ExitStack()
        self._dask, self._distributed = _import()
        killed: type[Exception] = self._distributed.scheduler.KilledWorker
        self._lost = killed, CancelledError  # with workers, and can be asked for again
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        address: Any = self.scheduler
        if address == LOCAL:
            from tempfile import TemporaryDirectory

            from dask.system import CPU_COUNT

            folder = self._stack.enter_context(
                TemporaryDirectory(prefix="catclf-", ignore_cleanup_errors=True)
            )
            self._dask.config.set({"temporary-directory": folder})
            address = self._stack.enter_context(
                self._distributed.LocalCluster(
                    n_workers=CPU_COUNT,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",
                    local_directory=folder,
                    silence_logs=SILENT,
                    preload=[QUIET],
                )
            )
        try:
            self._client = self._stack.enter_context(
                self._distributed.Client(address, timeout=CONNECT_SECONDS, name="catclf")
            )
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"{self.scheduler}: no Dask scheduler answers there ({_line(error)}); "
                "start one with: dask scheduler"
            ) from error
        self._count()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the workers; local ones end."""
        with suppress(Exception):
            self._stack.close()

    def put(self, value: Any) -> Any:
        """Send a value, once for all tasks that take it; give its future."""
        return self._client.submit(_return, value, pure=False)

    def map(self, work: Any, *columns: Iterable[Any]) -> list[Any]:
        """Have work(*row) done for each row of the columns; give the futures.

        What is in the columns may be futures, or lists of them; so may the work, from `put`.
        """
        rows = [list(column) for column in columns]
        works = [work] * len(rows[0])
        futures: list[Any] = self._client.map(_do_silently, works, *rows, pure=False)
        return futures

    def results(self, ask: Callable[[], list[Any]]) -> list[Any]:
        """Wait for the futures that `ask` gives; count that as a pass, and tell of it.

        Where the cluster has given them up, it is asked again, and all that is there made again.

        Raises
        ------
        CatclfError
            As raised on a worker.
        ClusterError
            If the cluster fails otherwise, or for good.
        """
        attempts = ATTEMPTS
        while True:
            try:
                futures = ask()
                self._wait(futures)
                results: list[Any] = self._client.gather(futures)
                self.passes += 1
                self._tell()
                return results
            except CatclfError:
                raise
            except Exception as error:
                if self._client.status != "running":
                    raise ClusterError(
                        f"{self.scheduler}: the scheduler is gone; start one with: dask scheduler"
                    ) from error
                attempts -= 1
                if not attempts or not isinstance(error, self._lost):
                    raise ClusterError(
                        f"{self.scheduler}: the work failed there ({_line(error)}); see the "
                        "workers' logs, and that they have this version of catclf"
                    ) from error
            self.generation += 1

    def ordered(self, work: Callable[[Any], R], items: Iterable[Any]) -> Iterator[R]:
        """Do work on each item, a few at a time, and yield the results in the items' order."""
        sent = Recoverable(self, lambda: [self.put(work)])
        waiting: deque[Recoverable] = deque()

        def make(item: Any) -> list[Any]:
            return self.map(sent.futures()[0], [item])

        ahead = AHEAD * max(1, self._count())
        for item in items:
            waiting.append(Recoverable(self, partial(make, item)))
            waiting[-1].futures()  # they are begun
            if len(waiting) == ahead:
                yield from self.results(waiting.popleft().futures)
        while waiting:
            yield from self.results(waiting.popleft().futures)

    def __str__(self) -> str:
        plural = "" if self.workers == 1 else "s"
        return f"pass {self.passes}, {self.workers} worker{plural}"

    def _wait(self, futures: list[Any]) -> None:
        """Wait, telling how many workers there are; not for ever if there are none."""
        since = time.monotonic()
        while True:
            interruption.check()
            with suppress(TimeoutError):
                self._distributed.wait(futures, timeout=1)
                return
            if self._client.status != "running":  # what is asked for now is never answered
                raise ConnectionError("the connection is lost")
            self._tell()
            if self.workers:
                since = time.monotonic()
            elif time.monotonic() - since > PATIENCE_SECONDS:
                raise ClusterError(
                    f"{self.scheduler}: no worker for {PATIENCE_SECONDS} s; start some with: "
                    f"dask worker {self.scheduler}"
                )

    def _count(self) -> int:
        """Count the workers, and their threads."""
        threads = self._client.nthreads()
        self.workers, self._counted = len(threads), time.monotonic()
        return sum(threads.values())

    def _tell(self) -> None:
        if time.monotonic() - self._counted > 1:
            self._count()
        if self.callback is not None:
            self.callback()


class Recoverable:
    """What tasks make on the workers; it is made again if it was lost, or forgotten."""

    def __init__(self, cluster: Cluster, make: Callable[[], list[Any]]) -> None:
        self._cluster, self._make = cluster, make
        self._generation = cluster.generation
        self._futures: list[Any] = []

    def futures(self) -> list[Any]:
        if not self._futures or self._generation != self._cluster.generation:
            self._generation = self._cluster.generation
            self._futures = self._make()
        return self._futures

    def forget(self) -> None:
        """Let the workers drop it."""
        self._futures = []


def _import() -> tuple[Any, Any]:
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ParameterError(
            "--scheduler needs dask.distributed; install it with: pip install 'catclf[dask]'"
        ) from error
    import logging

    for name in ("distributed", "distributed.client"):  # the second has a level of its own
        logging.getLogger(name).setLevel(SILENT)
    dask.config.set(
        {
            "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
            "distributed.scheduler.allowed-failures": DEATHS,
            "distributed.worker.profile.enabled": False,
            "distributed.admin.large-graph-warning-threshold": "1 TB",
        }
    )
    return dask, distributed


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


# What workers do.


def _return(value: Any) -> Any:
    return value


def _do_silently(work: Callable[..., R], *row: Any) -> R:
    with np.errstate(all="ignore"):  # what these would warn of, whoever asked finds
        return work(*row)
