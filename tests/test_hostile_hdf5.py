"""HDF5 files made to do harm: each is refused in a line, and what is merely unusual is read."""

import os
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

from catclf.data import hdf5 as reader
from catclf.data.drawn import draw
from catclf.data.load import load_dataset
from catclf.errors import DataError

SHAPE = (6, 64, 64, 3)
PIXELS = draw(6, seed=5)[0]


def write(path, x=PIXELS, *, labels=(0, 1, 0, 1, 0, 1), names=(b"non-cat", b"cat"), **options):
    """Write an HDF5 file; `x` is an array, or a function that puts train_set_x into the file."""
    version = options.pop("libver", None)
    with h5py.File(path, "w", libver=version, **options.pop("file", {})) as file:
        if callable(x):
            x(file)
        else:
            file.create_dataset("train_set_x", data=x, **options)
        file["train_set_y"] = np.array(labels)
        fixed = isinstance(names[0], bytes)
        file["list_classes"] = np.array(names) if fixed else names
    return path


def low_level(prepare, pixels=None):
    """Put train_set_x into a file with a creation property list of h5py's low level."""

    def put(file):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        prepare(plist)
        space = h5py.h5s.create_simple(SHAPE if pixels is None else pixels.shape)
        x = h5py.h5d.create(file.id, b"train_set_x", h5py.h5t.NATIVE_UINT8, space, dcpl=plist)
        if pixels is not None:
            x.write(h5py.h5s.ALL, h5py.h5s.ALL, pixels)

    return put


def refused(path, pattern, **how):
    with pytest.raises(DataError, match=pattern) as caught:
        load_dataset(path, **how)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# What other files, code or memory could be reached by


def external(plist):
    """Say that the pixels are in another file."""
    plist.set_external(b"/etc/passwd", 0, int(np.prod(SHAPE)))


def virtual(file):
    """Say so, of a file that is missing: the library would make up zeros, black images."""
    layout = h5py.VirtualLayout(SHAPE, np.uint8)
    layout[:] = h5py.VirtualSource("missing.h5", "x", SHAPE)
    file.create_virtual_dataset("train_set_x", layout)


def link(target):
    def put(file):
        file["other"] = PIXELS
        file["train_set_x"] = target

    return put


def shared_type(file):
    file["kind"] = np.dtype(np.uint8)
    file.create_dataset("train_set_x", data=PIXELS, dtype=file["kind"])


@pytest.mark.parametrize("version", ["earliest", "v108"])
@pytest.mark.parametrize(
    ("x", "pattern"),
    [
        (low_level(external), "external storage"),
        (virtual, "virtual|version"),
        (link(h5py.SoftLink("/other")), "soft or external link"),
        (link(h5py.ExternalLink("/etc/passwd", "/x")), "soft or external link"),
        (lambda file: file.create_dataset("train_set_x", (6,), h5py.ref_dtype), "reference"),
        (shared_type, "shared"),
        (lambda file: file.create_group("train_set_x"), "no array"),
        (np.full(SHAPE, b"abc"), "S3 .*expected uint8"),
        (np.zeros(SHAPE, [("r", "u1")]), "compound"),
        (np.zeros(SHAPE, np.complex64), "unknown kind|enumeration"),
        (
            lambda file: file.create_dataset("train_set_x", (6,), h5py.vlen_dtype(np.int32)),
            "unknown kind",
        ),
        (np.zeros(SHAPE, h5py.enum_dtype({"RED": 0, "BLUE": 1}, basetype="i1")), "enumeration"),
        (np.zeros(SHAPE, ">f8"), "float64.*from 0 to 1"),
    ],
)
def test_what_is_no_array_of_numbers_in_the_file_is_refused(tmp_path, version, x, pattern):
    refused(write(tmp_path / "a.h5", x, libver=(version, "latest")), pattern)


def test_filters_other_than_three_are_refused(tmp_path):
    for name, options in (("lzf", {"compression": "lzf"}), ("scaleoffset", {"scaleoffset": 8})):
        path = write(tmp_path / f"{name}.h5", chunks=SHAPE, **options)
        refused(path, f"filter {name}, which is not run; write it with gzip")


def test_an_unknown_filter_loads_no_library(tmp_path):
    """An id that a plugin could have: the folder of plugins is not even looked into."""

    def put(plist):
        plist.set_chunk(SHAPE)
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (1,))

    refused(write(tmp_path / "a.h5", low_level(put)), "filter 32015")
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    os.mkfifo(plugins / "libwaits.so")
    code = (
        f"import os, catclf; catclf.load_dataset({os.fspath(write(tmp_path / 'good.h5'))!r}); "
        "print(os.environ['HDF5_PLUGIN_PRELOAD'])"
    )
    how = {"env": {**os.environ, "HDF5_PLUGIN_PATH": os.fspath(plugins)}, "timeout": 60}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, **how)
    assert done.stdout == b"::\n"


def test_names_in_messages_keep_to_one_line(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["in\nset_x"] = 1
    refused(tmp_path / "a.h5", r"holds 'in\\nset_x' int64 \(\); expected train_set_x")


# Sizes


def test_what_is_much_larger_than_its_file_is_refused_unless_trusted(tmp_path, monkeypatch):
    zeros = np.zeros((400, 64, 64, 3), np.uint8)
    labels = np.arange(400, dtype=np.uint8) % 2
    path = write(tmp_path / "a.h5", zeros, labels=labels, compression=9, chunks=zeros.shape)
    assert 200 < zeros.nbytes / path.stat().st_size
    refused(path, "times the size of the file; at most 200 times is read; --trust")
    assert len(load_dataset(path, trust=True)) == 400
    # A little less, in a file a little larger, is read; but not where the array is large.
    with open(path, "ab") as file:
        file.truncate(-(-zeros.nbytes // 200))
    assert len(load_dataset(path)) == 400
    monkeypatch.setattr(reader, "LARGE", zeros.nbytes - 1)
    refused(path, "at most 20 times")


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("chunks", [None, (1, 64, 64, 3)])
def test_pixels_that_were_never_written_are_refused(tmp_path, chunks, trust):
    """The library would make them up: zeros."""

    def put(file):
        x = file.create_dataset("train_set_x", SHAPE, np.uint8, chunks=chunks)
        if chunks:
            x[:3] = 1

    path = write(tmp_path / "a.h5", put)
    with open(path, "ab") as file:
        file.write(b"\0" * 2000)
    refused(path, "never written|chunks of 6", trust=trust)


def test_large_chunks_are_refused_even_if_trusted(tmp_path):
    def put(file):
        chunk = (10_000, 64, 64, 3)
        shape, most = (6, 64, 64, 3), (None, 64, 64, 3)
        x = file.create_dataset(
            "train_set_x", shape, np.uint8, chunks=chunk, maxshape=most, compression=1
        )
        x[:] = 1

    refused(write(tmp_path / "a.h5", put), "chunks of 117 MiB", trust=True)


def raw_chunk(path, data, fletcher32=False, mask=0):
    """Write a file of one chunk, of which the stored bytes are these."""

    def prepare(plist):
        plist.set_chunk(SHAPE)
        if fletcher32:
            plist.set_fletcher32()
        else:
            plist.set_deflate(4)

    def put(file):
        low_level(prepare)(file)
        file["train_set_x"].id.write_direct_chunk((0, 0, 0, 0), data, mask)

    return write(path, put)


def test_a_chunk_is_never_inflated_beyond_its_size(tmp_path):
    good = PIXELS.tobytes()
    path = raw_chunk(tmp_path / "a.h5", zlib.compress(good))
    np.testing.assert_array_equal(load_dataset(path).images, PIXELS)
    packer = zlib.compressobj()
    bomb = b"".join(packer.compress(b"\0" * 2**20) for _ in range(100)) + packer.flush()
    for data in (bomb, zlib.compress(good[:-1]), b"no deflate", zlib.compress(good)[:-9]):
        refused(raw_chunk(tmp_path / "a.h5", data), "cannot be inflated")
    refused(raw_chunk(tmp_path / "a.h5", good, mask=1), "leaves out filters")
    labels = np.zeros(6, np.uint8)
    with h5py.File(write(tmp_path / "b.h5", labels=labels), "a") as file:
        del file["train_set_y"]
        y = file.create_dataset("train_set_y", (6,), np.uint8, chunks=(6,), compression="gzip")
        y.id.write_direct_chunk((0,), bomb)
    refused(tmp_path / "b.h5", "cannot be inflated")
    refused(raw_chunk(tmp_path / "a.h5", b"abc", fletcher32=True), "without its checksum")
    refused(raw_chunk(tmp_path / "a.h5", good, fletcher32=True), "of another size")
    damaged = raw_chunk(tmp_path / "a.h5", good + b"abcd", fletcher32=True)
    refused(damaged, "not an HDF5 file that can be read")


# Values


@pytest.mark.parametrize(
    ("pixels", "pattern"),
    [
        (np.linspace(0, 1, 73728), r"from 0 to 1: store them as uint8, \(255 \* x\)"),
        (np.linspace(-1, 1, 73728), r"from -1 to 1: store them as uint8, \(127.5"),
        (np.linspace(-3, 300, 73728), "from -3 to 300; expected uint8"),
        (np.full(73728, np.nan), "not finite"),
        (np.arange(73728) % 256, "from 0 to 255: store them as uint8"),
        (np.arange(73728, dtype=np.int32), "from 0 to 73727; expected uint8"),
    ],
)
def test_pixels_of_another_type_are_told_apart_by_their_range(tmp_path, pixels, pattern):
    refused(write(tmp_path / "a.h5", pixels.reshape(SHAPE)), f"{pixels.dtype}.*{pattern}")


def test_labels_and_names_are_checked(tmp_path):
    for labels in ([0, 1, 2, 0, 1, 0], [0, 1], [0.5] * 6, [np.nan] * 6):
        refused(write(tmp_path / "a.h5", labels=labels), "0 or 1|0 and 1 only")
    assert load_dataset(write(tmp_path / "b.h5", labels=np.array([0, 1] * 3) == 1)).Y.sum() == 3
    assert load_dataset(write(tmp_path / "b.h5", labels=np.array([0.0, 1.0] * 3))).Y.sum() == 3
    for names in ([b"a"], ["a" * 2000, "b"], [b"a", b"a"], [b"a"] * 1001):
        refused(write(tmp_path / "c.h5", names=names), "list_classes")
    refused(write(tmp_path / "c.h5", names=[b"a" * 2000, b"b"]), "names of 2000 bytes")
    refused(write(tmp_path / "d.h5", names=[b"a", b"b", b"c"]), "'c'; name those that are cats")
    # Names that a terminal would act on come as they are; where they are printed they are escaped.
    path = write(tmp_path / "e.h5", names=["[/red]\x1b[31m", "cat"])
    assert load_dataset(path).classes == ("[/red]\x1b[31m", "cat")
    assert load_dataset(write(tmp_path / "f.h5", names=["", "cat"])).classes == ("", "cat")


def implicit_index(plist):
    """Lay out chunks one after another: of a fixed shape, without filters, at once."""
    plist.set_chunk((2, 32, 64, 3))
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)


@pytest.mark.parametrize("version", ["earliest", "v108", "v110", "latest"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"x": low_level(implicit_index, PIXELS)},
        {"chunks": (1, 64, 64, 3)},
        {"chunks": (1, 1, 64, 3)},  # 384 chunks: a tree of two levels
        {"chunks": (1, 1, 2, 3)},  # 12,288 chunks: three levels, a paged index
        {"chunks": (4, 40, 64, 2), "compression": 9, "shuffle": True, "fletcher32": True},
        {"chunks": (4, 40, 64, 2), "compression": 9, "shuffle": True},
        {"chunks": SHAPE, "compression": 1},
        {"file": {"userblock_size": 1024}},
        {"file": {"track_order": True}},
        {"fillvalue": 7},
        {"names": ["non-cat", "cat"]},
        {"names": ["猫" * 9, "cat"], "track_times": True},
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_every_way_to_store_the_same_is_read(tmp_path, version, options):
    path = write(tmp_path / "a.h5", libver=(version, "latest"), **options)
    np.testing.assert_array_equal(load_dataset(path).images, PIXELS)


def test_an_array_in_its_header_and_one_of_many_members_are_read(tmp_path):
    def put(file):
        for i in range(100):
            file[f"k{i}"] = i
        compact = low_level(lambda plist: plist.set_layout(h5py.h5d.COMPACT), PIXELS[:2])
        compact(file)

    path = write(tmp_path / "a.h5", put, labels=[0, 1])
    np.testing.assert_array_equal(load_dataset(path).images, PIXELS[:2])
    refused(write(tmp_path / "b.h5", put, labels=[0, 1], libver="v108"), "more than 8 members")


def test_an_array_that_can_grow_is_read_in_the_older_versions_alone(tmp_path):
    options = {"chunks": (1, 64, 64, 3), "maxshape": (None, 64, 64, 3)}
    assert len(load_dataset(write(tmp_path / "a.h5", **options))) == 6
    assert len(load_dataset(write(tmp_path / "b.h5", libver="v108", **options))) == 6
    refused(write(tmp_path / "c.h5", libver="latest", **options), "can grow")
    # Its index is laid out for the largest shape; the library, misled, reads beyond the index.
    fixed = {"chunks": (1, 64, 64, 3), "maxshape": (900, 64, 64, 3), "compression": 1}
    refused(write(tmp_path / "d.h5", libver="latest", **fixed), "can grow")


def test_a_superblock_of_version_1_is_looked_at(tmp_path):
    path = write(tmp_path / "a.h5", chunks=(1, 64, 64, 3))
    data = bytearray(path.read_bytes())
    assert data[8] == 0
    data[8] = 1  # which has four more bytes
    path.write_bytes(data)
    refused(path, "cut short")


def test_a_heap_of_texts_that_is_full_to_the_end_is_read(tmp_path):
    path = write(tmp_path / "a.h5")
    texts = [letter * 800 for letter in "abcde"]
    with h5py.File(path, "a") as file:
        file["source"] = [*texts, ""]  # with 16 bytes each, they fill a heap of 4,096 bytes
    assert load_dataset(path).groups == (*texts, "")
