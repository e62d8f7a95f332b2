"""Five hundred damaged files a reader; ``python -m tests.fuzz`` makes as many as one likes."""

import os
import random
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
from fuzz.mutations import lookup3, mutate, repair_png
from fuzz.readers import READERS, hdf5_files, images, make, outcome, places_in_hdf5

ROOT = Path(__file__).resolve().parents[1]
COUNT = int(os.environ.get("CATCLF_FUZZ", "500"))


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused_in_a_line(reader, tmp_path):
    sound = READERS[reader].sound()
    assert {outcome(reader, data, tmp_path / "file") for data in sound} == {"read"}
    outcomes = Counter(outcome(reader, make(reader, i), tmp_path / "file") for i in range(COUNT))
    assert set(outcomes) == {"read", "refused"}
    assert make(reader, 5) == make(reader, 5)  # a number always makes the same file
    assert len({make(reader, i) for i in range(20)}) > 10


def test_checksums_are_repaired():
    # The example of the algorithm's author: lookup3.c, driver5.
    assert lookup3(b"Four score and seven years ago") == (0x17770551).to_bytes(4, "little")
    assert any(places_in_hdf5(data)[1] for data in hdf5_files())
    png = bytearray(next(data for data in images() if data[:4] == b"\x89PNG"))
    png[33 - 4 : 33] = b"\0\0\0\0"
    fixed = repair_png(bytes(png))
    assert fixed[29:33] == zlib.crc32(fixed[12:29]).to_bytes(4)


def test_mutations_change_most_files():
    chance = random.Random(0)
    data = bytes(range(256)) * 4
    assert sum(mutate(chance, data, [700]) != data for _ in range(100)) > 80
    assert mutate(chance, b"") == b""


def test_the_command_keeps_what_ends_a_reader(tmp_path):
    """A reader that fails on some files: they are kept, and the rest are tried all the same."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, catclf.data.images as images\n"
        "sound = images.load_image\n"
        "def load_image(data):\n"
        "    if len(data) % 10 == 0: os.abort()\n"
        "    if len(data) % 10 == 1: raise ZeroDivisionError('by this test')\n"
        "    return sound(data)\n"
        "images.load_image = load_image\n"
    )
    words = ["images", "12", "--start", "3", "--keep", str(tmp_path / "kept")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    expected = [i for i in range(3, 15) if len(make("images", i)) % 10 < 2]
    kept = {int(path.name.split("-")[1]): path for path in (tmp_path / "kept").iterdir()}
    assert sorted(kept) == expected != []
    assert all(path.read_bytes() == make("images", i) for i, path in kept.items())
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{len(kept)} failures" in done.stdout
