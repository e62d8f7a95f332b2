"""Real processes killed at random moments: what they write is the old or the new, always whole.

CATCLF_KILLS sets how many there are of each signal; 60 without it.
"""

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from processes import started, unmeasured

from catclf import load_model
from catclf.common import files
from catclf.data.drawn.scenes import draw

KILLS = int(os.environ.get("CATCLF_KILLS", "60"))
# On request one process after another that has just begun to exist: each is a copy of one that has
# everything imported, since nothing that is of interest happens before that.
MOTHER = """
import os, sys
import catclf.solvers.checkpoint, catclf.cli.app, catclf.data.hdf5.reader, catclf.training
import h5py, rich.console, rich.table
from catclf.cli import main
CHANGE
def work(runs, again):
    while True:
        for words in runs:
            sys.argv = ["catclf", *words.split()]
            try:
                main()
            except SystemExit as end:
                if end.code:
                    os._exit(end.code)
        if not again:
            os._exit(0)
again, *runs = sys.argv[1:]
for _ in sys.stdin:
    child = os.fork()
    if not child:
        try:
            # Not before: Python forgets the signals that come in the midst of a fork.
            os.write(1, f"{os.getpid()}\\n".encode())
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            work(runs, again == "again")
        finally:  # a signal between two runs
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
BARE = """
from contextlib import contextmanager
import catclf.common.files
@contextmanager
def bare(path):
    with open(path, "wb") as file:
        yield file
catclf.common.files.replacing = bare
"""


class Nursery:
    """Starts processes that run `catclf` and can be killed."""

    def __init__(self, folder: Path, *runs: str, again: bool = True, change: str = "") -> None:
        code = MOTHER.replace("CHANGE", change)
        self._started = started(
            *("-c", code, "again" if again else "once", *runs),
            cwd=folder,
            env={**unmeasured(), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def start(self) -> int:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._number()

    def end(self) -> int:
        """Wait for the process to end; give its exit code, or the signal's number less than 0."""
        return self._number()

    def _number(self) -> int:
        heard, _, _ = select.select([self.process.stdout], [], [], 120)
        assert heard, "a process did not end"
        return int(self.process.stdout.readline())

    def __enter__(self) -> "Nursery":
        self.process = self._started.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._started.__exit__(*error)


@pytest.fixture
def place(tmp_path):
    images, labels = draw(8, seed=4)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = images, labels
    return tmp_path


RUNS = (
    "train data.h5 -q --iterations 1 --cv 0 --out m.npz",
    "train data.h5 -q --iterations 2 --cv 0 --out m.npz",
)


def both(place: Path) -> dict[bytes, int]:
    """The two models, to the byte, and their numbers of iterations."""
    found = {}
    for i, run in enumerate(RUNS, 1):
        subprocess.run(
            [sys.executable, "-m", "catclf", *run.split()],
            cwd=place,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found[(place / "m.npz").read_bytes()] = i
    assert len(found) == 2
    return found


def sleep_then_kill(nursery: Nursery, number: int, chance: random.Random, longest: float) -> int:
    child = nursery.start()
    time.sleep(chance.uniform(0.0, longest))
    with suppress(ProcessLookupError):  # it ended by itself
        os.kill(child, number)
    return nursery.end()


ENDS = {
    "SIGINT": {130, 1, -signal.SIGINT},
    "SIGTERM": {143, 1, -signal.SIGTERM},  # the last: before the first run had begun
    "SIGKILL": {-signal.SIGKILL},
}


@pytest.mark.parametrize("name", ENDS)
def test_a_model_is_the_old_or_the_new_one(place, name):
    models = both(place)
    chance = random.Random(name)
    seen, left = set(), 0
    with Nursery(place, *RUNS) as nursery:
        for kill in range(KILLS):
            ended = sleep_then_kill(nursery, getattr(signal, name), chance, 0.2)
            assert ended in ENDS[name], kill
            content = (place / "m.npz").read_bytes()
            assert content in models, f"kill {kill}: neither of the two"
            iterations = load_model(place / "m.npz").provenance["solver"]["iterations"]
            assert iterations == models[content]
            seen.add(iterations)
            names = {path.name for path in place.iterdir()}
            temporary = {name for name in names if name.endswith(".tmp")}
            left += len(temporary)
            load_model(place / "m.npz").save(place / "m.npz")
            names = {path.name for path in place.iterdir()} - {"m.npz.checkpoint"}
            assert names == {"data.h5", "m.npz"}, f"kill {kill}: not swept"
    if KILLS >= 60:
        assert seen == {1, 2}
        assert left or name != "SIGKILL"  # else no process was killed while it wrote


def test_a_bare_save_would_be_noticed(place):
    models = both(place)
    chance = random.Random(0)
    with Nursery(place, *RUNS, change=BARE) as nursery:
        for _ in range(600):
            sleep_then_kill(nursery, signal.SIGKILL, chance, 0.2)
            if (place / "m.npz").read_bytes() not in models:
                return
    pytest.fail("600 kills, and no bare save was cut short")


def written(place: Path) -> tuple[bool, int]:
    """What tells one checkpoint, or none, from the next."""
    path = place / "m.npz.checkpoint"
    with suppress(FileNotFoundError):
        return True, path.stat().st_mtime_ns
    return False, 0


def alive(child: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(child, 0)
        return True
    return False


LONG = "train data.h5 -q --iterations 20000 --cv 2 --out m.npz"


@pytest.mark.parametrize("name", ENDS)
def test_a_run_killed_again_and_again_comes_to_the_same_end(place, name):
    command = [sys.executable, "-m", "catclf", *LONG.split()]
    subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
    unbroken = load_model(place / "m.npz")
    (place / "m.npz").unlink()
    chance = random.Random(name)
    run = f"{LONG} --checkpoint-every 0.01 --resume"
    kills = 0
    with Nursery(place, run, again=False) as nursery:
        while True:
            child = nursery.start()
            before = written(place)
            while written(place) == before and alive(child):  # it gets on, however busy we are
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
    assert {path.name for path in place.iterdir()} == {"data.h5", "m.npz"}


# Conversions


@pytest.fixture
def photos(place):
    """Forty photos, in a file and in a folder."""
    images, labels = draw(40, seed=4)
    with h5py.File(place / "forty.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = images, labels
    for i, (image, y) in enumerate(zip(images, labels, strict=True)):
        path = place / "photos" / ("cat" if y else "dog") / f"{i:02}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return place


SMALL_CHUNKS = (
    "import catclf.data.convert, PIL.Image, catclf.data.hdf5.writer as writer; writer.CHUNK = 2"
)
TO_FILE = "data convert -q photos out.h5"


def one_run(nursery: Nursery) -> float:
    """Let a process come to its end; give the seconds that it took."""
    begun = time.monotonic()
    nursery.start()
    assert nursery.end() == 0
    return time.monotonic() - begun


@pytest.mark.parametrize("name", ENDS)
def test_a_conversion_killed_again_and_again_comes_to_the_same_end(photos, name):
    chance = random.Random(name)
    out, partial = photos / "out.h5", photos / "out.h5.partial"
    run = f"{TO_FILE} --resume"
    seen, went_on = set(), 0
    with Nursery(photos, run, again=False, change=SMALL_CHUNKS) as nursery:
        longest = 0.5 * one_run(nursery)
        unbroken = out.read_bytes()
        for kill in range(KILLS):
            out.unlink(missing_ok=True)
            before = partial.read_bytes() if partial.exists() else b""
            ended = sleep_then_kill(nursery, getattr(signal, name), chance, longest)
            assert ended in ENDS[name] | {0}, kill
            if out.exists():
                assert out.read_bytes() == unbroken, kill
            after = partial.read_bytes() if partial.exists() else b""
            assert after.startswith(before) or out.exists(), f"kill {kill}: work was lost"
            went_on += len(before) > 0
            seen.add((out.exists(), partial.exists()))
        one_run(nursery)
    assert out.read_bytes() == unbroken
    assert {path.name for path in photos.iterdir()} == {"data.h5", "forty.h5", "photos", "out.h5"}
    if KILLS >= 60:
        assert {(True, False), (False, True)} <= seen
        assert went_on


@pytest.mark.parametrize("name", ENDS)
def test_a_folder_is_there_whole_or_not_at_all(photos, name):
    chance = random.Random(name)
    out = photos / "out"
    run = "data convert -q forty.h5 out"
    seen, left = set(), 0
    with Nursery(photos, run, again=False, change=SMALL_CHUNKS) as nursery:
        longest = 1.2 * one_run(nursery)
        unbroken = content(out)
        assert len(unbroken) == 40
        for kill in range(KILLS):
            if out.exists():
                shutil.rmtree(out)
            ended = sleep_then_kill(nursery, getattr(signal, name), chance, longest)
            assert ended in ENDS[name] | {0}, kill
            if out.exists():
                assert content(out) == unbroken, kill
            seen.add(out.exists())
            left += sum(path.name.endswith(".tmp") for path in photos.iterdir())
            with files.replacing(photos / "another"):  # what writes there next sweeps
                pass
            names = {path.name for path in photos.iterdir()} - {"out"}
            assert names == {"data.h5", "forty.h5", "photos", "another"}, kill
    if KILLS >= 60:
        assert seen == {False, True}
        assert left or name != "SIGKILL"


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
