"""A folder becomes an HDF5 file and comes back; half of either is never seen."""

import os
import re
import signal
from queue import SimpleQueue

import h5py
import numpy as np
import pytest
from PIL import Image
from processes import started, told_to_stop

from catclf import load_dataset
from catclf.data import convert
from catclf.data.convert import draw_to_hdf5, to_folder, to_hdf5
from catclf.data.dataset import Dataset
from catclf.data.drawn.scenes import draw
from catclf.data.hdf5 import writer as hdf5_write
from catclf.errors import DataError, OutputError


@pytest.fixture
def mixed(class_folder):
    """A folder with what is skipped as well."""
    (class_folder / "dogs" / "notes.txt").write_text("x")
    (class_folder / "dogs" / "bad.png").write_bytes(b"\x89PNG cut short")
    (class_folder / "birds").mkdir()
    Image.new("RGB", (90, 30), "blue").save(class_folder / "birds" / "sky.webp", lossless=True)
    return class_folder


@pytest.mark.parametrize("chunk", [1, 5, 13, 16, 256])
def test_the_file_holds_what_the_folder_does(mixed, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(hdf5_write, "CHUNK", chunk)
    seen = []
    out = tmp_path / "new" / "out.h5"
    count, notes = to_hdf5(mixed, out, progress=lambda i, n: seen.append((i, n)))
    folder, file = load_dataset(mixed), load_dataset(out)
    assert count == len(file) == 13
    np.testing.assert_array_equal(file.images, folder.images)
    np.testing.assert_array_equal(file.Y, folder.Y)
    assert file.sha256 == folder.sha256
    assert file.classes == folder.classes
    assert notes == folder.notes
    assert seen == [(i + 1, 15) for i in range(15)]
    assert os.listdir(out.parent) == ["out.h5"]


def test_the_file_is_chunked_compressed_and_the_same_each_time(mixed, tmp_path):
    to_hdf5(mixed, tmp_path / "a.h5", split="test")
    to_hdf5(mixed, tmp_path / "b.h5", split="test")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == {"test_set_x", "test_set_y", "list_classes"}
        x = file["test_set_x"]
        assert (x.chunks, x.compression, x.dtype) == ((16, 64, 64, 3), "gzip", np.uint8)


def test_the_class_that_is_the_cat_can_be_named(mixed, tmp_path):
    to_hdf5(mixed, tmp_path / "a.h5", cat_class="birds")
    assert load_dataset(tmp_path / "a.h5").counts == {"non-cat": 12, "cat": 1}


def test_there_and_back_gives_the_same_pixels(drawn, tmp_path):
    data = Dataset(drawn.images, drawn.Y, ("dog", "Cat"), "d")
    to_folder(data, tmp_path / "f")
    assert sorted(os.listdir(tmp_path / "f")) == ["Cat", "dog"]
    back = load_dataset(tmp_path / "f")
    rows = [int(os.path.splitext(os.path.basename(path))[0]) for path in back.paths]
    assert sorted(rows) == list(range(60))
    np.testing.assert_array_equal(back.images, data.images[rows])
    np.testing.assert_array_equal(back.Y[0], data.Y[0, rows])
    assert {os.path.basename(os.path.dirname(path)) for path in back.paths} == {"Cat", "dog"}
    to_hdf5(tmp_path / "f", tmp_path / "f.h5")
    assert load_dataset(tmp_path / "f.h5").sha256 == back.sha256
    assert set(back.sizes) == {(64, 64)}


def test_names_sort_by_row(tmp_path):
    images = np.zeros((11, 64, 64, 3), np.uint8)
    to_folder(Dataset(images, np.ones((1, 11), int), ("a", "cat"), "d"), tmp_path / "f")
    assert sorted(os.listdir(tmp_path / "f" / "cat")) == [f"{i:02}.png" for i in range(11)]
    assert os.listdir(tmp_path / "f" / "a") == []


def test_drawings_are_the_drawn_set_or_the_start_of_it(tmp_path):
    draw_to_hdf5(7, tmp_path / "a.h5")
    assert (
        load_dataset(tmp_path / "a.h5").sha256
        == Dataset(draw(7, 0)[0], draw(7, 0)[1].reshape(1, -1), ("non-cat", "cat"), "").sha256
    )
    draw_to_hdf5(600, tmp_path / "b.h5", seed=1)
    assert load_dataset(tmp_path / "b.h5").sha256 == load_dataset("drawn", split="test").sha256


HOSTILE = (
    "",
    "..",
    "../up",
    "a/b",
    "nul\0",
    ".hidden",
    "a" * 200,
    "train",
    "\x1b[31m",
    "a\nb",
    "c:",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_class_name_that_is_no_folders_is_refused(drawn, tmp_path, name):
    data = Dataset(drawn.images, drawn.Y, (name, "cat"), "d")
    with pytest.raises(DataError, match="cannot be a folder's"):
        to_folder(data, tmp_path / "f")
    assert os.listdir(tmp_path) == []


def test_two_names_that_are_one_folder_are_refused(drawn, tmp_path):
    with pytest.raises(DataError, match="both classes"):
        to_folder(Dataset(drawn.images, drawn.Y, ("CAT", "cat"), "d"), tmp_path / "f")


# What is in the way


def test_only_an_hdf5_file_is_replaced(mixed, tmp_path):
    out = tmp_path / "out.h5"
    out.write_text("precious")
    with pytest.raises(OutputError, match="no HDF5 file"):
        to_hdf5(mixed, out)
    assert out.read_text() == "precious"
    out.write_text("")
    to_hdf5(mixed, out)
    first = out.read_bytes()
    draw_to_hdf5(4, out)
    assert out.read_bytes() != first
    with pytest.raises(OutputError, match="not a regular file"):
        to_hdf5(mixed, tmp_path)


def test_only_an_empty_folder_is_taken(drawn, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    to_folder(drawn, tmp_path / "link")
    assert sorted(os.listdir(tmp_path / "empty")) == ["cat", "non-cat"]
    (tmp_path / "file").write_text("x")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name, reason in [
        ("../empty", "not an empty folder"),
        ("../file", "not an empty folder"),
        ("../file/sub", "is not a folder"),
        (".", "the current folder"),
        ("nul\0", "null"),
    ]:
        with pytest.raises(OutputError, match=reason):
            to_folder(drawn, name)
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "here", "link"]


def test_a_folder_without_images_gives_no_file(tmp_path):
    (tmp_path / "f" / "cat").mkdir(parents=True)
    (tmp_path / "f" / "cat" / "a.txt").write_text("x")
    with pytest.raises(DataError, match="no image"):
        to_hdf5(tmp_path / "f", tmp_path / "out.h5")
    assert os.listdir(tmp_path) == ["f"]


# What comes between


def test_half_a_file_is_never_seen(mixed, tmp_path):
    out = tmp_path / "out.h5"
    draw_to_hdf5(4, out)
    old = out.read_bytes()

    def progress(i, n):
        if i == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_hdf5(mixed, out, progress=progress)
    assert out.read_bytes() == old
    assert sorted(os.listdir(tmp_path)) == ["out.h5", "photos"]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_half_a_folder_is_never_seen(drawn, tmp_path, problem):
    def progress(i, n):
        assert not (tmp_path / "f").exists()
        if i == 9:
            raise problem

    with pytest.raises((KeyboardInterrupt, OutputError)):
        to_folder(drawn, tmp_path / "f", progress)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_line(catclf, mixed, tmp_path):
    done = catclf("data", "draw", "40", "out.h5", code=3, largest=60_000)
    assert re.fullmatch(r"error: out\.h5: the data cannot be written \(.*\)\n", done.stderr)
    assert sorted(os.listdir(tmp_path)) == ["photos"]


# The command


def test_the_commands_say_what_they_wrote(catclf, mixed, tmp_path):
    done = catclf("data", "convert", mixed, "out.h5")
    assert done.stdout == "wrote 13 images to out.h5\n"
    assert "skipped: not an image (1)\n" in done.stderr
    assert catclf("data", "convert", "out.h5", "again").stdout == "wrote 13 images to again\n"
    assert catclf("data", "draw", 6, "d.h5", "--seed", 3).stdout == "wrote 6 drawings to d.h5\n"
    assert load_dataset(tmp_path / "d.h5").counts == {"non-cat": 3, "cat": 3}
    assert "no folder" in catclf("data", "convert", "out.h5", "b.h5", code=2).stderr
    assert "no such file" in catclf("data", "convert", "none", "f", code=3).stderr
    assert "x>=2" in catclf("data", "draw", 1, "d.h5", code=2).stderr
    with h5py.File(tmp_path / "out.h5", "a") as file:
        file["source"] = np.array([b"s"] * 13)
    done = catclf("data", "convert", "out.h5", "third")
    assert done.stderr == "what the images belong with (source) is not kept in a folder\n"
    assert catclf("data", "convert", "out.h5", "third", code=3).stdout == ""


def test_of_a_file_with_both_sets_the_one_named_is_written(catclf, tmp_path):
    images = draw(3, 1)[0]
    with h5py.File(tmp_path / "both.h5", "w") as file:
        for split, n in (("train", 3), ("test", 2)):
            file[f"{split}_set_x"], file[f"{split}_set_y"] = images[:n], np.arange(n) % 2
    assert "wrote 3" in catclf("data", "convert", "both.h5", "a").stdout
    assert "wrote 2" in catclf("data", "convert", "both.h5", "b", "--split", "test").stdout
    assert convert.SPLIT_NAMES


# What HDF5 itself must not be exposed to


@pytest.mark.parametrize(
    ("sent", "told", "code"),
    [(signal.SIGINT, "error: interrupted\n", 130), (signal.SIGTERM, "error: terminated\n", 143)],
)
def test_being_told_to_stop_while_drawing_leaves_nothing(tmp_path, sent, told, code):
    def ready():
        return any(path.stat().st_size > 2**20 for path in tmp_path.iterdir())

    command = ["-m", "catclf", "data", "draw", "100000", "out.h5"]
    with started(*command, cwd=tmp_path) as process:
        assert told_to_stop(process, sent, ready)[1] == told
    assert process.returncode == code
    assert os.listdir(tmp_path) == []


class FullDisk(hdf5_write._Disk):
    """A disk that is full after so many bytes."""

    left = 20_000

    def write(self, data):
        self.left -= len(data)
        if self.left < 0:
            self.problem = OSError(28, "No space left on device")
        return super().write(data)


def test_a_disk_that_fills_up_ends_the_work_early(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_write, "_Disk", FullDisk)
    taken = []
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    chunk = hdf5_write.Chunk(hdf5_write.compress([image] * 16), [0, 1] * 8)
    chunks = (chunk for i in range(1000) if not taken.append(i))
    with pytest.raises(OutputError, match="No space left"):
        hdf5_write.write_hdf5(tmp_path / "a.h5", chunks)
    assert len(taken) < 1000
    assert os.listdir(tmp_path) == []


def test_whatever_goes_wrong_in_the_thread_is_raised(tmp_path, monkeypatch):
    def write_chunks(*_):
        raise MemoryError

    monkeypatch.setattr(hdf5_write, "_write_chunks", write_chunks)
    with pytest.raises(MemoryError):
        draw_to_hdf5(600, tmp_path / "a.h5")
    assert os.listdir(tmp_path) == []


def test_a_source_that_fails_at_once_is_no_file(tmp_path):
    def chunks():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        hdf5_write.write_hdf5(tmp_path / "a.h5", chunks())
    assert os.listdir(tmp_path) == []


def test_what_comes_after_a_failure_is_not_waited_for(tmp_path, monkeypatch):
    """The queue is full and nobody takes anything out of it any more."""

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hdf5_write, "_write_chunks", fail)
    with open(tmp_path / "a", "w+b", buffering=0) as file:
        writer = hdf5_write._Writer(file, "train")
        writer.start()
        for _ in range(40):
            writer.take(hdf5_write.Chunk(b"", []))
        writer.finish()
    assert writer.problem.strerror == "No space left on device"


def test_what_is_neither_folder_nor_file_is_a_line(tmp_path):
    with pytest.raises(DataError, match="it cannot be read"):
        convert.is_folder(tmp_path / ("a" * 300))
    assert not convert.is_folder(tmp_path / "nul\0")


def test_ctrl_c_in_the_last_moment_waits_for_it(tmp_path, monkeypatch):
    interrupts = [KeyboardInterrupt, KeyboardInterrupt]

    class Interrupted:
        def __init__(self):
            self.queue = SimpleQueue()
            self.of_chunks = False

        def put(self, chunk):
            self.of_chunks |= chunk is not None
            if chunk is None and self.of_chunks and interrupts:
                raise interrupts.pop()
            self.queue.put(chunk)

        def get(self, **limits):
            return self.queue.get(**limits)

    monkeypatch.setattr(hdf5_write, "SimpleQueue", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_to_hdf5(4, tmp_path / "a.h5")
    assert interrupts == []
    assert os.listdir(tmp_path) == []


def test_a_system_without_sync_will_do(drawn, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sync")
    to_folder(drawn, tmp_path / "f")
    assert len(load_dataset(tmp_path / "f")) == 60
