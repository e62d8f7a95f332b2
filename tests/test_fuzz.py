"""A thousand damaged files a reader; ``python -m tests.fuzz`` makes as many as one likes."""

import os
import random
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
from fuzz.mutations import lookup3, mutate, repair_png
from fuzz.readers import READERS, checkpoints, hdf5_files, images, make, models, outcome

ROOT = Path(__file__).resolve().parents[1]
COUNT = int(os.environ.get("CATCLF_FUZZ", "1000"))


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused_in_a_line(reader, tmp_path):
    found = Counter(outcome(reader, make(reader, i), tmp_path / "file") for i in range(COUNT))
    assert set(found) == {"read", "refused"}


def test_a_number_always_makes_the_same_file_and_another_another():
    for reader in READERS:
        assert make(reader, 5) == make(reader, 5)
        assert len({make(reader, i) for i in range(20)}) > 10


def test_the_files_that_are_damaged_were_sound(tmp_path):
    sound = {
        "images": images(),
        "hdf5": [data for data, _, _ in hdf5_files()],
        "model": models(),
        "checkpoint": checkpoints(),
    }
    for reader, files in sound.items():
        for data in files:
            assert outcome(reader, data, tmp_path / "file") == "read"


def test_checksums_are_repaired(tmp_path):
    # The example of the algorithm's author: lookup3.c, driver5.
    assert lookup3(b"Four score and seven years ago") == (0x17770551).to_bytes(4, "little")
    assert any(blocks for _, _, blocks in hdf5_files())
    png = bytearray(next(data for data in images() if data[:4] == b"\x89PNG"))
    png[33 - 4 : 33] = b"\0\0\0\0"
    fixed = repair_png(bytes(png))
    assert fixed[29:33] == zlib.crc32(fixed[12:29]).to_bytes(4)


def test_mutations_change_most_files():
    chance = random.Random(0)
    data = bytes(range(256)) * 4
    changed = [mutate(chance, data, [700]) for _ in range(100)]
    assert sum(new != data for new in changed) > 80
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
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    words = ["images", "12", "--start", "3", "--keep", str(tmp_path / "kept")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    expected = [i for i in range(3, 15) if len(make("images", i)) % 10 < 2]
    kept = sorted(int(path.name.split("-")[1]) for path in (tmp_path / "kept").iterdir())
    assert kept == expected != []
    assert (tmp_path / "kept" / f"images-{kept[0]}").read_bytes() == make("images", kept[0])
    assert done.returncode == 1
    assert f"images: 12 files, {12 - len(kept)} " not in done.stdout
    assert f"{len(kept)} failures" in done.stdout
    assert done.stderr == ""
