"""HDF5 files as people have them: what is read with a note, and what is refused with the remedy."""

import pickle
import shlex
import zipfile

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf.data.images import load_image
from catclf.data.load import load_dataset
from catclf.errors import DataError, ModelError
from catclf.model import load_model

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
Y = np.array([0, 1, 1, 1])
ONE_HOT = np.eye(2, dtype=int)[Y]
TEN = [b"plane", b"car", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]


def pixels(*shape):
    return RANDOM.integers(0, 255, shape, dtype=np.uint8)


def write(path, version=None, how=None, **keys):
    """Write arrays; of a pair, the second part says how to store the first."""
    with h5py.File(path, "w", libver=version, **(how or {})) as file:
        for key, value in keys.items():
            data, options = value if isinstance(value, tuple) else (value, {})
            file.create_dataset(key, data=data, **options)
    return path


def course(x=X, y=Y, **keys):
    return {"train_set_x": x, "train_set_y": y, **keys}


SWAPS = "label 1 counts as cat; --cat-class 0 swaps"
READ = {
    "happy house": (course(list_classes=[0, 1]), {}, 3, (SWAPS,)),
    "its other class": (course(list_classes=np.uint8([0, 1])), {"cat_class": "0"}, 1, ()),
    "two names": (
        course(list_classes=[b"dog", b"my horse"]),
        {},
        3,
        ("label 1 counts as cat; --cat-class dog swaps",),
    ),
    "signs": (course(y=[0, 5, 5, 1], list_classes=np.arange(6)), {"cat_class": "5"}, 2, ()),
    "a class of ten": (course(y=[3, 9, 3, 3], list_classes=TEN), {}, 3, ()),
    "ten without names": (course(y=[3, 9, 0, 3]), {"cat_class": "3"}, 2, ()),
    "capitals": (
        {"X_train": X, "Y_train": Y, "X_test": X[:3], "Y_test": Y[:3]},
        {"split": "test"},
        2,
        ("images are 'X_test', labels 'Y_test'", SWAPS),
    ),
    "a set": ({"train_set_X": X, "train_set_Y": Y}, {"split": "test"}, 3, ("train_set_X", SWAPS)),
    "a column and a mean": (
        {"train_img": X, "train_labels": Y.reshape(4, 1), "train_mean": X.mean(0), "val_x": X},
        {},
        3,
        ("'train_img', labels 'train_labels'", SWAPS),
    ),
    "PCam": (
        {"x": (pixels(4, 96, 96, 3), {"chunks": (1, 96, 96, 3), "compression": "gzip"}),
         "y": Y.reshape(4, 1, 1, 1)},
        {"cat_class": "0"},
        1,
        ("'x', labels 'y'", "label 0 counts", "x, uint8 (4, 96, 96, 3), is resized to 64 × 64"),
    ),
    "fashion": (
        {"images": (pixels(4, 28, 28), {"chunks": (3, 28, 28), "compression": "gzip"}),
         "labels": [0, 9, 3, 3]},
        {"cat_class": "3"},
        2,
        ("'images', labels 'labels'", "label 3 counts as cat", "resized"),
    ),
    "grey with an axis": (course(pixels(4, 100, 80, 1)), {}, 3, ("resized",)),
    "grey": (course(pixels(4, 64, 64)), {}, 3, ("train_set_x, uint8 (4, 64, 64), is grey",)),
    "a MATLAB file": (course() | {"how": {"userblock_size": 512}}, {}, 3, ()),
    "a row": (course(y=Y.reshape(1, 4)), {}, 3, ()),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_is_clear_is_read_and_told(tmp_path, name):
    keys, how, cats, notes = READ[name]
    data = load_dataset(write(tmp_path / "a.h5", **keys), **how)
    assert (data.Y.sum(), data.images.shape) == (cats, (data.Y.size, 64, 64, 3))
    assert len(data.notes) == len(notes)
    for note, pattern in zip(data.notes, notes, strict=True):
        assert note.startswith("a.h5: ")
        assert pattern in note
        assert "resized" not in note or "resized" in pattern


@pytest.mark.parametrize("shape", [(3, 128, 96, 3), (3, 200, 300), (3, 28, 28, 1), (3, 64, 64)])
def test_images_are_resized_as_photos_are(tmp_path, monkeypatch, shape):
    monkeypatch.setattr("catclf.data.hdf5.rows_of_block", lambda size: 2)
    images = pixels(*shape)
    data = load_dataset(write(tmp_path / "a.h5", **course(images, [0, 1, 1])))
    for stored, read in zip(images, data.images, strict=True):
        Image.fromarray(stored.squeeze()).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read, load_image(tmp_path / "a.png"))
    assert data.sizes == (shape[2:0:-1],) * 3


REFUSED = {
    "channels first": (course(X.transpose(0, 3, 1, 2)), "store x.transpose(0, 2, 3, 1)"),
    "flat": (course(X.reshape(4, -1)), "store x.reshape(-1, 64, 64, 3)"),
    "the lesson's X": (course(X.reshape(4, -1).T, [Y]), "store x.T.reshape(-1, 64, 64, 3)"),
    "flat and grey": ({"x": pixels(4, 784), "y": Y}, "store x.reshape(-1, 28, 28)"),
    "MATLAB's": (course(X.transpose(3, 2, 1, 0)), "store x.T"),
    "SVHN's": (course(X.transpose(1, 2, 3, 0)), "store x.transpose(3, 0, 1, 2)"),
    "grey, last": (course(pixels(28, 28, 4)), "store x.transpose(2, 0, 1)"),
    "with alpha": (course(pixels(4, 64, 64, 4)), "store x[..., :3]"),
    "one": (course(X[0], [1]), "store x[None]"),
    "tiny": (course(pixels(4, 4, 4)), "8 to 4096 on a side"),
    "large": (course(pixels(1, 4097, 8), [1]), "8 to 4096 on a side"),
    "from 0 to 1": ({"x": pixels(4, 32, 32, 3) / 255, "y": Y}, "(255 * x).round()"),
    "one-hot": (course(y=ONE_HOT), "store y.argmax(1)"),
    "one-hot rows": ({"x": X, "y": ONE_HOT.T}, "store y.argmax(0)"),
    "-1 and 1": (course(y=2 * Y - 1), "labels are -1, 1; expected 0 and 1 only; store y > 0"),
    "1 and 2": (course(y=Y + 1), "store y > 1"),
    "1 to 3": (course(y=[1, 2, 3, 3]), "store y - 1"),
    "text": (course(y=[b"cat", b"dog", b"cat", b"cat"]), "store y == b'cat'"),
    "signs": (course(y=[0, 1, 2, 2], list_classes=[0, 1, 2]), "'0', '1', '2'; name those"),
    "more labels than names": (course(y=[0, 1, 2, 2], list_classes=[0, 1]), "labels are 0, 1, 2"),
    "two images": ({"a": X, "b": X, "y": Y}, "f.move('IMAGES', 'train_set_x')"),
    "two labels": ({"imgs": X, "ids": Y, "y": Y}, "f.move('imgs', 'train_set_x'); f.move('LABELS'"),
    "no labels": ({"x": X}, "f.move('x', 'train_set_x'); f['train_set_y'] = LABELS"),
    "a group": ({"train/x": X, "train/y": Y}, "'train' (a group)"),
    "Keras": ({"model_weights/a": 1, "optimizer_weights/a": 1}, "Keras network.*--features onnx:"),
    "weights": ({f"conv2d_{i}/kernel": 1 for i in range(12)}, "Keras network"),
    "can grow": (
        {"version": "latest"}
        | course((X, {"maxshape": (None, 64, 64, 3), "chunks": (1, 64, 64, 3)})),
        "can grow.*copy it by h5py",
    ),
    "members": ({"version": "v108", **course(), **dict.fromkeys("abcdefgh", 1)}, "h5py.File('copy"),
    "pages": ({"how": {"fs_strategy": "page"}, **course()}, "fs_strategy.*copy it by h5py"),
    "a soft link": (course(x=h5py.SoftLink("/z"), z=X), "'train_set_x' is a soft.*copy it by h5py"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_stored_otherwise_is_refused_with_the_remedy(tmp_path, name):
    keys, parts = REFUSED[name]
    links = {k: keys[k] for k in keys if isinstance(keys[k], h5py.SoftLink)}
    path = write(tmp_path / "a.h5", **{k: keys[k] for k in keys if k not in links})
    with h5py.File(path, "a") as file:
        for key, target in links.items():
            file[key] = target
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert all(part in line for part in parts.split(".*")), line
    assert "superblock" not in line


def test_the_copy_that_is_proposed_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("a.h5", how={"fs_strategy": "page"}, **course(list_classes=["cat", "dog"]))
    with pytest.raises(DataError) as caught:
        load_dataset("a.h5")
    command = str(caught.value).partition("copy it by h5py: ")[2]
    exec(shlex.split(command)[2])
    assert load_dataset("copy.h5").counts == {"dog": 3, "cat": 1}


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_a_file_cut_short_or_open_elsewhere_says_so(tmp_path, version):
    path = write(tmp_path / "a.h5", version, **course())
    whole = path.read_bytes()
    for n in (20, 60, 3000, len(whole) - 1):
        path.write_bytes(whole[:n])
        with pytest.raises(DataError, match=f"cut short, {n} bytes of .*; fetch it again"):
            load_dataset(path)
    with h5py.File(path, "w", libver=version) as file:
        file["train_set_x"], file["train_set_y"] = X, Y
        with pytest.raises(DataError, match=r"open in another program.*close it there"):
            load_dataset(path)
        file.flush()
        (tmp_path / "b.h5").write_bytes(path.read_bytes())  # as a crash leaves it
    if version == "latest":
        with pytest.raises(DataError, match=r"never closed.*h5clear -s .*b\.h5"):
            load_dataset(tmp_path / "b.h5")
    assert len(load_dataset(path)) == 4


def zip_of(path, name):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "x")
    return path.read_bytes()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
KINDS = {
    "nothing": (b"", "an empty file.*fetch it again", "an empty file"),
    "a pointer": (POINTER, "a Git LFS pointer.*git lfs pull", "git lfs pull"),
    "a page": (b"\n<!DOCTYPE html>\n<html>", "a web page.*Raw", "a web page"),
    "MATLAB": (b"MATLAB 5.0 MAT-file".ljust(200), "before version 7.3.*-v7.3", "MATLAB"),
    "a table": (b"id,label\n1,cat\n", "a table as text", "a table as text"),
    "text": (b"Not Found", "text, not a data set", "text, not a catclf model"),
    "NumPy": (b"\x93NUMPY\1\0", "a NumPy file.*train_set_x", "a damaged one"),
    "pickle": (pickle.dumps({}), "a Python pickle", "a Python pickle.*catclf train"),
    "ONNX": (b"\x08\x08\x12\7pytorch", "an ONNX network.*onnx:PATH", "DATA --features onnx:"),
    "safetensors": (b"\x30" + b"\0" * 7 + b'{"a":1}', "a safetensors file", "onnx:PATH"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "cut short", "an HDF5 file.*catclf train .*Keras"),
    "JPEG": (b"\xff\xd8\xff\xe0", "an image.*catclf predict", "an image"),
    "cat/1.jpg": (zip_of, "an archive.*unpack it", "an archive"),
    "archive/data.pkl": (zip_of, "a PyTorch file", "a PyTorch file.*onnx:PATH"),
    "metadata.json": (zip_of, "a Keras model", "a Keras model.*onnx:PATH"),
    "w.npy": (zip_of, "a catclf model.*--model", "not a catclf model"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_another_kind_are_named(tmp_path, kind):
    content, as_data, as_model = KINDS[kind]
    path = tmp_path / "a.h5"
    path.write_bytes(content(path, kind) if callable(content) else content)
    with pytest.raises(DataError, match=as_data):
        load_dataset(path)
    with pytest.raises(ModelError, match=as_model):
        load_model(path)


def test_a_larger_set_is_converted_first(catclf, tmp_path):
    labels = [3, 9, 0] * 40
    write(tmp_path / "a.h5", test_images=pixels(120, 32, 32, 3), test_y=labels)
    small = ("--memory", "1MB", "--cat-class", "3", "--model", "photos")
    line = catclf("eval", "a.h5", *small, code=3).stderr.splitlines()[-1]
    command = "catclf data convert a.h5 out.h5 --split test --cat-class 3"
    said = "images, resized, take 1.475 MB of memory, and 1 MB is for data; convert it first: "
    assert line.endswith(said + command)
    done = catclf(*command.split()[1:])
    assert "resized to 64 × 64" in done.stderr
    assert done.stdout == "wrote 120 images to out.h5\n"
    resized = load_dataset(tmp_path / "a.h5", cat_class="3")
    assert load_dataset(tmp_path / "out.h5").sha256 == resized.sha256
    catclf("eval", "out.h5", "--memory", "1MB", "--model", "photos")
    catclf("train", "a.h5", "out.h5", "--cat-class", "3", "--iterations", 2, code=3)
    catclf("train", "a.h5", "a.h5", "--cat-class", "3", "--iterations", 2, "--cv", 0)


def test_a_cluster_asks_for_a_converted_set(tmp_path):
    pytest.importorskip("distributed")
    from catclf.cluster.remote_blocks import load

    path = write(tmp_path / "a.h5", **course(pixels(4, 32, 32, 3)))
    with pytest.raises(DataError, match=r"convert it first: catclf data convert .*a\.h5 out\.h5"):
        load(None, [str(path)], "train")


def test_the_class_that_is_named_is_what_a_model_calls_a_cat(catclf, tmp_path):
    write(tmp_path / "a.h5", **course(list_classes=[0, 1]))
    assert load_dataset(tmp_path / "a.h5").classes == ("0", "1")
    line = catclf("eval", "a.h5", "--model", "photos", code=3).stderr.splitlines()[-1]
    assert "its classes are 0 and 1, the model's non-cat and cat; say with --cat-class" in line
    catclf("eval", "a.h5", "--model", "photos", "--cat-class", "1")
