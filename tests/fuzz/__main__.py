"""Try readers with damaged files: ``python -m tests.fuzz READER COUNT``; see --help.

Each reader runs in a process of its own, under limits; the file that ends it is kept.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from .readers import READERS, make, outcome

SECONDS = 2.0
"""Of processor time, for one file."""
MEGABYTES = 500
"""At most, the whole process."""
WALL_SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("reader", choices=[*READERS, "all"])
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--start", type=int, default=0, help="the number of the first file")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where to")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _inside(options.reader, options.start, options.count, options.inside)
    readers = list(READERS) if options.reader == "all" else [options.reader]
    return max(_outside(reader, options.start, options.count, options.keep) for reader in readers)


def _outside(reader: str, start: int, count: int, keep: Path) -> int:
    """Run a reader in processes of its own until all files have been tried."""
    began, failures, seen = time.perf_counter(), 0, Counter[str]()
    number, end, peak = start, start + count, 0
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a disk would be waited for
    with TemporaryDirectory(dir=memory) as folder:
        while number < end:
            Path(folder, "number").unlink(missing_ok=True)
            words = [reader, str(end - number), "--start", str(number), "--inside", folder]
            done = subprocess.run(
                [sys.executable, "-W", "error", "-m", "tests.fuzz", *words],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # products here are small
            )
            for line in done.stdout.splitlines():
                key, n = line.split("=")
                seen[key] += int(n)
            peak = max(peak, seen.pop("peak", 0))
            reached = int(Path(folder, "number").read_text())
            number = reached + 1
            if done.returncode or done.stderr:
                failures += 1
                keep.mkdir(exist_ok=True)
                path = keep / f"{reader}-{reached}"
                path.write_bytes(make(reader, reached))
                last = (done.stderr.strip().splitlines() or ["it was ended by the system"])[-1]
                print(f"{path}: exit {done.returncode}: {last}")
    seconds = time.perf_counter() - began
    print(
        f"{reader}: {count} files, {seen['read']} read, {seen['refused']} refused, "
        f"{failures} failures; at most {peak} MB; {seconds:.0f} s"
    )
    return int(failures > 0)


def _inside(reader: str, start: int, count: int, folder: Path) -> int:
    # A file that is read for too long, even within C, ends the process; so does too much memory.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    place = os.open(folder / "number", os.O_CREAT | os.O_WRONLY)
    seen = Counter[str]()
    try:
        for number in range(start, start + count):
            os.pwrite(place, f"{number:<20}".encode(), 0)
            data = make(reader, number)
            signal.alarm(WALL_SECONDS)
            before = time.process_time()
            seen[outcome(reader, data, folder / "file")] += 1
            spent = time.process_time() - before
            signal.alarm(0)
            assert spent < SECONDS, f"{spent:.1f} s"
            assert _peak() < MEGABYTES, f"{_peak()} MB"
    finally:
        print(*(f"{key}={n}" for key, n in {**seen, "peak": _peak()}.items()), sep="\n")
    return 0


def _peak() -> int:
    """Tell the largest size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6


if __name__ == "__main__":
    sys.exit(main())
