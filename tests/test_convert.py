"""A folder becomes an HDF5 file and comes back; half of either is never seen."""

import os
import re
import signal

import h5py
import numpy as np
import pytest
from PIL import Image
from processes import started, told_to_stop

from catclf import load_dataset
from catclf.common.blocks import LazyArray
from catclf.data.convert import dataset_to_folder, to_hdf5
from catclf.data.dataset import Dataset
from catclf.data.drawn import draw, drawings
from catclf.data.hdf5 import writer
from catclf.errors import DataError, OutputError


@pytest.fixture
def mixed(class_folder):
    """A folder with what is skipped as well."""
    (class_folder / "dogs" / "notes.txt").write_text("x")
    (class_folder / "dogs" / "bad.png").write_bytes(b"\x89PNG cut short")
    (class_folder / "birds").mkdir()
    Image.new("RGB", (90, 30), "blue").save(class_folder / "birds" / "sky.webp", lossless=True)
    return class_folder


@pytest.mark.parametrize("chunk", [5, 13])
def test_the_file_holds_what_the_folder_does(mixed, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(writer, "CHUNK", chunk)
    seen = []
    out = tmp_path / "new" / "out.h5"
    count, notes = to_hdf5(mixed, out, progress=lambda *step: seen.append(step))
    folder, file = load_dataset(mixed), load_dataset(out)
    assert count == len(file) == 13
    assert file.sha256 == folder.sha256
    assert file.classes == folder.classes
    assert notes == folder.notes
    assert seen == [(i + 1, 15) for i in range(15)]
    assert os.listdir(out.parent) == ["out.h5"]
    before = out.read_bytes()
    to_hdf5(mixed, out)
    assert out.read_bytes() == before
    with h5py.File(out) as opened:
        assert set(opened) == {"train_set_x", "train_set_y", "list_classes"}
        x = opened["train_set_x"]
        assert (x.chunks, x.compression, x.dtype) == ((chunk, 64, 64, 3), "gzip", np.uint8)


def test_there_and_back_gives_the_same_pixels(drawn, tmp_path):
    """Names sort by row; images that stay on disk are read in blocks."""
    lazy = LazyArray(lambda start, stop: drawn.images[start:stop], drawn.images.shape, multiple=7)
    dataset_to_folder(Dataset(lazy, drawn.Y, ("dog", "Cat"), "d"), tmp_path / "f")
    back = load_dataset(tmp_path / "f")
    names = [os.path.basename(path) for path in back.paths]
    assert sorted(names) == [f"{i:02}.png" for i in range(60)]
    rows = [int(name[:2]) for name in names]
    np.testing.assert_array_equal(back.images, drawn.images[rows])
    np.testing.assert_array_equal(back.Y[0], drawn.Y[0, rows])
    assert back.notes == ("cat: Cat (30)", "non-cat: dog (30)")


HOSTILE = ("", "..", "a/b", "nul\0", ".hidden", "a" * 200, "train", "\x1b[31m\n", "c:", "CAT")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_class_name_that_is_no_folders_is_refused(drawn, tmp_path, name):
    data = Dataset(drawn.images, drawn.Y, (name, "cat"), "d")
    with pytest.raises(DataError, match=r"cannot be a folder's|both classes"):
        dataset_to_folder(data, tmp_path / "f")
    assert os.listdir(tmp_path) == []


# What is in the way


def test_only_an_empty_folder_is_taken(drawn, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    monkeypatch.delattr(os, "sync")  # a system without it will do
    dataset_to_folder(drawn, tmp_path / "link")
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
            dataset_to_folder(drawn, name)
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "here", "link"]


# What comes between


@pytest.mark.parametrize(
    ("command", "sent", "told", "code"),
    [
        ("draw 100000", signal.SIGINT, "error: interrupted\n", 130),
        ("convert many", signal.SIGTERM, "error: terminated\n", 143),
    ],
)
def test_being_told_to_stop_leaves_nothing(tmp_path, command, sent, told, code):
    (tmp_path / "many" / "cat").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "many" / "cat" / "0.bmp")
    for i in range(1, 5000):
        os.link(tmp_path / "many" / "cat" / "0.bmp", tmp_path / "many" / "cat" / f"{i}.bmp")

    def ready():
        return any(path.stat().st_size for path in tmp_path.glob(".catclf-*.tmp/new"))

    with started("-m", "catclf", "data", *command.split(), "out.h5", cwd=tmp_path) as process:
        assert told_to_stop(process, sent, ready)[1] == told
        assert process.returncode == code
    assert os.listdir(tmp_path) == ["many"]


# What HDF5 itself must not be exposed to


def test_a_full_disk_is_one_line_and_ends_the_work_early(catclf_process, tmp_path):
    done = catclf_process("data", "draw", "100000", "out.h5", code=3, largest=60_000)
    assert re.fullmatch(r"error: out\.h5: the data cannot be written \(.*\)\n", done.stderr)
    assert os.listdir(tmp_path) == []


def test_ctrl_c_waits_for_hdf5_however_often_it_comes(tmp_path):
    asked = []

    def examples():
        for image, label in drawings(1000):
            asked.append(label)
            if len(asked) in (40, 41):
                signal.raise_signal(signal.SIGINT)
            yield image, label

    handler = signal.default_int_handler
    before = signal.signal(
        signal.SIGINT, handler
    )  # it is ignored where tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            writer.write_hdf5(tmp_path / "a.h5", examples())
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(asked) == 3 * writer.CHUNK
    assert os.listdir(tmp_path) == []


# The command


def test_the_commands_say_what_they_wrote(catclf, mixed, tmp_path):
    done = catclf("data", "convert", mixed, "out.h5")
    assert done.stdout == "wrote 13 images to out.h5\n"
    assert "skipped: not an image (1)\n" in done.stderr
    assert catclf("data", "convert", "out.h5", "again").stdout == "wrote 13 images to again\n"
    assert catclf("data", "draw", 6, "d.h5", "--seed", 3).stdout == "wrote 6 drawings to d.h5\n"
    assert load_dataset(tmp_path / "d.h5").counts == {"non-cat": 3, "cat": 3}
    np.testing.assert_array_equal(load_dataset(tmp_path / "d.h5").images, draw(6, 3)[0])
    assert catclf("data", "convert", "out.h5", "b.h5").stdout == "wrote 13 images to b.h5\n"
    assert load_dataset(tmp_path / "b.h5").sha256 == load_dataset(tmp_path / "out.h5").sha256
    assert "no such file" in catclf("data", "convert", "none", "f", code=3).stderr
    assert "cannot be read" in catclf("data", "convert", "a" * 300, "f", code=3).stderr
    assert "x>=2" in catclf("data", "draw", 1, "d.h5", code=2).stderr
    os.makedirs(tmp_path / "empty" / "cat")
    assert "no image" in catclf("data", "convert", "empty", "e.h5", code=3).stderr
    assert not (tmp_path / "e.h5").exists()
    with h5py.File(tmp_path / "out.h5", "a") as file:
        file["source"] = np.array([b"s"] * 13)
    done = catclf("data", "convert", "out.h5", "third")
    assert done.stderr == "what the images belong with (source) is not kept in a folder\n"
    assert catclf("data", "convert", "out.h5", "third", code=3).stdout == ""
    with h5py.File(tmp_path / "d.h5", "a") as file:
        file["test_set_x"], file["test_set_y"] = draw(2)[0], [0, 1]
    assert "wrote 2" in catclf("data", "convert", "d.h5", "b", "--split", "test").stdout
    catclf("data", "convert", mixed, "named.h5", "--cat-class", "birds", "--split", "test")
    assert load_dataset(tmp_path / "named.h5").counts == {"non-cat": 12, "cat": 1}
