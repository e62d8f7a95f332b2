"""Real processes killed at random moments: what they write is the old or the new, always whole.

CATCLF_KILLS sets how many there are of each signal; 12 without it.
"""

import os
import random
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from processes import catclf_here, started, unmeasured

from catclf import load_dataset, load_model
from catclf.data.convert import dataset_to_folder, draw_to_hdf5
from catclf.data.hdf5.writer import HDF5_FILE

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CATCLF_KILLS", "12"))
# On request one process after another that has just begun to exist: each is a copy of one that has
# everything imported, since nothing that is of interest happens before that.
MOTHER = """
import os, sys
import catclf.solvers.checkpoint, catclf.cli.app, catclf.data.hdf5, catclf.training
import catclf.data.convert, PIL.Image, h5py, rich.console, rich.table
from catclf.cli import main
catclf.data.hdf5.writer.CHUNK = 2
for _ in sys.stdin:
    child = os.fork()
    if not child:
        code = 1
        try:
            # Not before: Python forgets the signals that come in the midst of a fork.
            os.write(1, f"{os.getpid()}\\n".encode())
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
ENDS = {
    "SIGINT": {0, 130, 1, -signal.SIGINT},
    "SIGTERM": {0, 143, 1, -signal.SIGTERM},  # the last: before the command had begun
    "SIGKILL": {0, -signal.SIGKILL},
}


class Nursery:
    """Starts processes that run `catclf` and can be killed."""

    def __init__(self, mother: subprocess.Popen[str]) -> None:
        self._mother = mother

    def start(self) -> int:
        self._mother.stdin.write("go\n")
        self._mother.stdin.flush()
        return self.end()

    def end(self) -> int:
        """Wait for the process to end; give its exit code, or the signal's number less than 0."""
        heard, _, _ = select.select([self._mother.stdout], [], [], 120)
        assert heard, "a process did not end"
        return int(self._mother.stdout.readline())


@contextmanager
def nursery_of(folder: Path, command: str) -> Iterator[Nursery]:
    with started(
        *("-c", MOTHER, *command.split()),
        cwd=folder,
        env={**unmeasured(), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as mother:
        yield Nursery(mother)


@pytest.fixture
def place(tmp_path):
    """Eight drawings in a file, and forty in another and in a folder."""
    for name, n in (("data.h5", 8), ("forty.h5", 40)):
        draw_to_hdf5(n, tmp_path / name, seed=4)
    dataset_to_folder(load_dataset(tmp_path / "forty.h5"), tmp_path / "photos")
    return tmp_path


def content(path: Path) -> dict[str, bytes]:
    """What a file, or a folder and all below it, holds; nothing if it is not there."""
    paths = [path, *path.rglob("*")]
    return {str(p.relative_to(path)): p.read_bytes() for p in paths if p.is_file()}


TRAIN = "train data.h5 -q --cv 0 --out out --iterations"
COMMANDS = {  # what writes the old content, and what the new
    "a model": (f"{TRAIN} 1", f"{TRAIN} 2"),
    "a file": ("data draw 4 out -q", "data convert -q photos out"),
    "a folder": (None, "data convert -q forty.h5 out"),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("kind", COMMANDS)
def test_what_is_written_is_the_old_or_the_new(place, kind, name):
    before, command = COMMANDS[kind]
    chance, out = random.Random(name), place / "out"
    if before is not None:
        catclf_here(*before.split(), cwd=place)
    old = content(out)
    seen, left = set(), 0
    with nursery_of(place, command) as nursery:
        begun = time.monotonic()
        nursery.start()
        assert nursery.end() == 0
        longest = 1.2 * (time.monotonic() - begun)
        new = content(out)
        inputs = {"data.h5", "forty.h5", "photos", "another"}
        assert new != old
        for kill in range(KILLS):
            if before is None:
                shutil.rmtree(out, ignore_errors=True)
            else:
                out.write_bytes(old["."])
            child = nursery.start()
            time.sleep(chance.uniform(0.0, longest))
            with suppress(ProcessLookupError):  # it ended by itself
                os.kill(child, getattr(signal, name))
            assert nursery.end() in ENDS[name], kill
            assert content(out) in (old, new), f"kill {kill}: neither of the two"
            seen.add(content(out) == new)
            left += sum(path.suffix == ".tmp" for path in place.iterdir())
            with HDF5_FILE.replacing(place / "another"):  # what writes there next sweeps
                pass
            names = {path.name for path in place.iterdir()} - {"out", "out.checkpoint"}
            assert names == inputs, f"kill {kill}: not swept"
    if KILLS >= 60:
        assert seen == {False, True}
        assert left or name != "SIGKILL"  # else no process was killed while it wrote


def checkpoint_written(place: Path) -> int:
    """What tells one checkpoint, or none, from the next."""
    path = place / "m.npz.checkpoint"
    return path.stat().st_mtime_ns if path.exists() else 0


def alive(child: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(child, 0)
        return True
    return False


LONG = "train data.h5 -q --iterations 20000 --cv 2 --out m.npz"


@pytest.mark.parametrize("name", ENDS)
def test_a_run_killed_again_and_again_comes_to_the_same_end(place, name):
    catclf_here(*LONG.split(), cwd=place)
    unbroken = load_model(place / "m.npz")
    (place / "m.npz").unlink()
    chance = random.Random(name)
    kills = 0
    with nursery_of(place, f"{LONG} --checkpoint-every 0.01 --resume") as nursery:
        while True:
            child = nursery.start()
            before = checkpoint_written(place)
            while checkpoint_written(place) == before and alive(child):  # it gets on, if slowly
                time.sleep(0.001)
            time.sleep(chance.uniform(0.0, 0.1))
            with suppress(ProcessLookupError):
                os.kill(child, getattr(signal, name))
            if (ended := nursery.end()) == 0:
                break
            assert ended in ENDS[name]
            kills += 1
    assert kills > 0
    model = load_model(place / "m.npz")
    assert np.abs(model.w - unbroken.w).max() <= 1e-10 * np.abs(unbroken.w).max()
    assert model.b == pytest.approx(unbroken.b, rel=1e-10)
    np.testing.assert_allclose(model.costs, unbroken.costs, rtol=1e-12)
    assert model.provenance == unbroken.provenance
    assert "m.npz.checkpoint" not in {path.name for path in place.iterdir()}
