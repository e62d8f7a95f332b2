"""A conversion that was broken off goes on from where it was, and comes to the same end."""

import json
import os
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import started, told_to_stop

from catclf import load_dataset
from catclf.common import files
from catclf.data import convert
from catclf.data.convert import partial_path, to_hdf5
from catclf.data.hdf5 import writer as hdf5_write
from catclf.data.partial import HEAD, MAGIC, Partial
from catclf.errors import CheckpointError, OutputError

N = 40


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Forty images of one colour, and what is skipped; of four are a chunk."""
    monkeypatch.setattr(hdf5_write, "CHUNK", 4)
    folder = tmp_path / "photos"
    for i in range(N):
        sub = folder / ("cat" if i < 15 else "dog")
        sub.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, 2 * i, 255 - i)).save(sub / f"{i:02}.png")
    (folder / "cat" / "03b.png").write_bytes(b"\x89PNG cut short")
    (folder / "dog" / "20b.txt").write_text("no image")
    (folder / "dog" / "99.png").write_bytes(b"\x89PNG cut short")
    return folder


@pytest.fixture
def unbroken(photos, tmp_path):
    """The file that a conversion comes to that nothing breaks off, and what it says."""
    out = tmp_path / "unbroken.h5"
    done = to_hdf5(photos, out)
    assert done[0] == N == len(load_dataset(out))
    assert sorted(os.listdir(tmp_path)) == ["photos", "unbroken.h5"]
    return out.read_bytes(), done


def stop_at(i):
    def progress(done, n):
        if done == i:
            raise KeyboardInterrupt

    return progress


def broken_off(photos, out, i=20):
    with pytest.raises(KeyboardInterrupt):
        to_hdf5(photos, out, progress=stop_at(i))
    return Path(partial_path(out))


@pytest.mark.parametrize("i", range(1, N + 4))
def test_it_goes_on_from_wherever_it_was(photos, unbroken, tmp_path, i):
    out, told, read = tmp_path / "out.h5", [], []
    partial = broken_off(photos, out, i)
    assert not out.exists()
    done = to_hdf5(photos, out, resume=True, note=told.append, progress=lambda *n: read.append(n))
    assert (out.read_bytes(), done) == unbroken
    assert not partial.exists()
    if i < 4:  # the fourth image is damaged, and the first chunk was not full
        assert told == [f"nothing whole in {partial}: beginning anew"]
        assert len(read) == N + 3
    else:
        kept = int(told[0].split()[-2])
        assert told == [f"going on from {partial} after {kept} photos"]
        assert i - 5 <= kept <= i
        assert read == [(k, N + 3) for k in range(kept + 1, N + 4)]


def test_without_resume_it_begins_anew_and_says_that_there_was_something(
    photos, unbroken, tmp_path
):
    out, told = tmp_path / "out.h5", []
    partial = broken_off(photos, out)
    before = partial.read_bytes()
    broken_off(photos, out, 2)  # it has nothing to put in the place of what is there
    assert partial.read_bytes() == before
    assert broken_off(photos, out, 9).stat().st_size < len(before)
    assert (to_hdf5(photos, out, note=told.append), out.read_bytes()) == unbroken[::-1]
    assert told == [f"{partial}, of an interrupted run, is begun anew; --resume would have gone on"]


def test_what_was_cut_short_or_damaged_at_the_end_is_done_again(photos, unbroken, tmp_path):
    out = tmp_path / "out.h5"
    partial = broken_off(photos, out)
    whole = partial.read_bytes()
    first = whole.index(b"\n", len(MAGIC)) + 1
    for size in range(len(whole)):
        cut = whole[:size]
        for content in {cut, cut + b"\0" * 50, cut + bytes([whole[size] ^ 1]) + whole[size + 1 :]}:
            if size < len(MAGIC) or (size < len(whole) - 40 and size % 29):
                continue
            partial.write_bytes(content)
            if size < first - 1 and len(content) == len(whole):  # what is converted, changed
                with pytest.raises(CheckpointError, match="conversion"):
                    to_hdf5(photos, out, resume=True)
            else:
                assert (to_hdf5(photos, out, resume=True), out.read_bytes()) == unbroken[::-1]


@pytest.mark.parametrize("i", [0, 5, 19])
def test_a_first_line_that_was_cut_short_is_nothing(photos, unbroken, tmp_path, i):
    out = tmp_path / "out.h5"
    Path(partial_path(out)).write_bytes(MAGIC[:i])
    assert (to_hdf5(photos, out, resume=True), out.read_bytes()) == unbroken[::-1]
    assert not os.path.exists(partial_path(out))


def touched(photos):
    os.utime(photos / "cat" / "01.png", (1, 1))


def renamed(photos):
    (photos / "cat" / "01.png").rename(photos / "cat" / "1.png")


def enlarged(photos):
    path = photos / "cat" / "01.png"
    before = path.stat()
    path.write_bytes(path.read_bytes() + b" ")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def added(photos):
    (photos / "cat" / "x.txt").write_text("x")


@pytest.mark.parametrize("change", [touched, renamed, enlarged, added])
def test_a_folder_that_has_changed_is_refused(photos, tmp_path, change):
    out = tmp_path / "out.h5"
    partial = broken_off(photos, out)
    before = partial.read_bytes()
    change(photos)
    with pytest.raises(CheckpointError, match="its photos were others, by name, size or time"):
        to_hdf5(photos, out, resume=True)
    assert partial.read_bytes() == before
    assert not out.exists()


def test_other_settings_are_refused(photos, tmp_path, monkeypatch):
    out = tmp_path / "out.h5"
    broken_off(photos, out)
    with pytest.raises(CheckpointError, match="split was train, not test"):
        to_hdf5(photos, out, resume=True, split="test")
    with pytest.raises(CheckpointError, match="cat class was cat or cats, not dog"):
        to_hdf5(photos, out, resume=True, cat_class="dog")
    monkeypatch.setattr("catclf.data.partial.__version__", "0.0")
    with pytest.raises(CheckpointError, match=r"version was .*, not 0\.0"):
        to_hdf5(photos, out, resume=True)


def record(told: bytes, chunk: bytes = b"") -> bytes:
    return HEAD.pack(len(told), len(chunk), zlib.crc32(told + chunk)) + told + chunk


FORGED = {
    "no JSON": b"?",
    "no list": b"{}",
    "numbers": b"[1]",
    "deep": b"[" * 100_000,
    "too many": json.dumps([None] * (N + 4)).encode(),
}


@pytest.mark.parametrize("told", FORGED.values(), ids=FORGED)
def test_a_forged_record_is_refused(photos, tmp_path, told):
    out = tmp_path / "out.h5"
    partial = broken_off(photos, out)
    first = b"\n".join(partial.read_bytes().split(b"\n")[:2]) + b"\n"
    partial.write_bytes(first + record(told))
    with pytest.raises(CheckpointError, match="a damaged conversion; delete it"):
        to_hdf5(photos, out, resume=True)


@pytest.mark.parametrize("line", [b"", b"?", b"[]", b"{}", b"1", b'{"photos": 1', b"[" * 90_000])
def test_a_forged_line_is_refused(photos, tmp_path, line):
    out = tmp_path / "out.h5"
    Path(partial_path(out)).write_bytes(MAGIC + line + b"\n")
    with pytest.raises(CheckpointError, match="a damaged conversion; delete it"):
        to_hdf5(photos, out, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_another_file_is_left_alone(photos, tmp_path, resume):
    out = tmp_path / "out.h5"
    Path(partial_path(out)).write_text("precious")
    with pytest.raises(CheckpointError, match="no unfinished conversion; move it away"):
        to_hdf5(photos, out, resume=resume)
    assert Path(partial_path(out)).read_text() == "precious"
    os.unlink(partial_path(out))
    os.mkdir(partial_path(out))
    with pytest.raises(OutputError, match="not a regular file"):
        to_hdf5(photos, out, resume=resume)
    assert not out.exists()


def test_two_processes_do_not_write_the_same(photos, unbroken, tmp_path):
    out = tmp_path / "out.h5"
    with (
        Partial(partial_path(out), {}),
        pytest.raises(OutputError, match="another process is at work on it"),
    ):
        to_hdf5(photos, out)
    assert (to_hdf5(photos, out), out.read_bytes()) == unbroken[::-1]


def test_a_file_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    path, lock = tmp_path / "a", files._lock_or_refuse
    removed = []

    def remove_first(descriptor):
        if not removed:
            path.unlink()
            removed.append(path)
        lock(descriptor)

    monkeypatch.setattr(files, "_lock_or_refuse", remove_first)
    with files.open_locked(path) as file:
        assert os.fstat(file.fileno()).st_ino == path.stat().st_ino
    assert removed


def test_records_that_are_gone_by_the_time_they_are_gathered_are_missed(
    photos, tmp_path, monkeypatch
):
    out, gather = tmp_path / "out.h5", convert._gathered

    def damaged_first(partial, found):
        data = bytearray(Path(partial.path).read_bytes())
        data[-1] ^= 1
        Path(partial.path).write_bytes(data)
        return gather(partial, found)

    monkeypatch.setattr(convert, "_gathered", damaged_first)
    with pytest.raises(CheckpointError, match="a damaged conversion"):
        to_hdf5(photos, out)
    assert not out.exists()
    monkeypatch.undo()
    monkeypatch.setattr(hdf5_write, "CHUNK", 4)
    assert to_hdf5(photos, out, resume=True)[0] == N == len(load_dataset(out))


def test_images_are_read_by_blocks_on_the_way_back(drawn, tmp_path, monkeypatch):
    """Anything that can be sliced serves for the images; no slice is larger than a block."""
    taken = []

    class Sliced:
        dtype, ndim, shape = drawn.images.dtype, 4, drawn.images.shape

        def __len__(self):
            return len(drawn)

        def __getitem__(self, rows):
            taken.append(len(drawn.images[rows]))
            return drawn.images[rows]

    data = type(drawn)(Sliced(), drawn.Y, drawn.classes, "sliced")
    monkeypatch.setattr(convert, "BLOCK", 7)
    convert.to_folder(data, tmp_path / "f")
    assert taken == [7] * 8 + [4]
    back = load_dataset(tmp_path / "f")
    order = np.argsort([os.path.basename(path) for path in back.paths])
    np.testing.assert_array_equal(back.images[order], drawn.images)


# Real processes


def many(tmp_path, n=2000):
    chance = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "many" / name).mkdir(parents=True)
        for i in range(n // 2):
            image = chance.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "many" / name / f"{i:04}.bmp")


@pytest.mark.parametrize(
    ("sent", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_an_interruption_says_how_to_go_on(catclf, tmp_path, sent, code, word):
    many(tmp_path)
    partial = tmp_path / "out.h5.partial"

    def ready():
        return partial.exists() and partial.stat().st_size > 10_000

    command = ["-m", "catclf", "data", "convert", "many", "out.h5"]
    with started(*command, cwd=tmp_path) as process:
        _, said = told_to_stop(process, sent, ready)
    again = "catclf data convert --resume many out.h5"
    assert said == f"error: {word}; go on with: {again}\n"
    assert process.returncode == code
    assert sorted(os.listdir(tmp_path)) == ["many", "out.h5.partial"]
    done = catclf(*again.split()[1:])
    assert done.stderr.startswith("going on from out.h5.partial after ")
    catclf("data", "convert", "many", "unbroken.h5", "-q")
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "unbroken.h5").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["many", "out.h5", "unbroken.h5"]


def test_a_disk_that_is_full_costs_nothing_that_was_done(catclf, tmp_path):
    many(tmp_path, 100)

    words = ["data", "convert", "many", "out.h5"]
    assert catclf(*words, code=3, largest=700_000).stderr == (
        "what was converted is in out.h5.partial: --resume goes on from it\n"
        "error: out.h5.partial: it cannot be written (File too large)\n"
    )
    told = catclf(*words, "--resume").stderr
    assert told.startswith("going on from out.h5.partial after 48 photos\n")
    assert sorted(os.listdir(tmp_path)) == ["many", "out.h5"]
    assert len(load_dataset(tmp_path / "out.h5")) == 100


def test_resume_is_for_one_direction(catclf, tmp_path):
    assert "--resume is for folders" in catclf(
        "data", "convert", "a.h5", "b", "--resume", code=2
    ).stderr.replace("\n", " ")
    assert struct.calcsize(HEAD.format) == 12
