"""Arrays that stay on disk read like arrays, and no more of them is in memory than may be."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catclf.common import blocks
from catclf.common.blocks import (
    LazyArray,
    available,
    in_blocks,
    parse_size,
    spill_to_disk,
)
from catclf.errors import OutputError, ParameterError


def on_disk(array, rows, cache_bytes=0, reads=None):
    """Keep an array aside, to be read so many rows at a time; `reads` gets where each begins."""

    def read(start, stop):
        if reads is not None:
            reads.append(start)
        return array[start:stop].copy()

    lazy = LazyArray(read, array.shape, array.dtype)
    lazy.block_rows, lazy.cache_bytes = rows, cache_bytes
    return lazy


@settings(deadline=None)
@given(st.data(), st.integers(1, 40), st.integers(1, 9), st.integers(0, 900))
def test_it_is_indexed_like_an_array(data, m, rows, cache_bytes):
    array = np.arange(m * 6).reshape(m, 3, 2)
    lazy = on_disk(array, rows, cache_bytes)
    numbers = st.integers(-m, m - 1)
    index = data.draw(
        st.one_of(
            numbers,
            st.slices(m),
            st.lists(numbers).map(lambda found: np.array(found, dtype=int)),
            st.lists(st.booleans(), min_size=m, max_size=m).map(np.array),
        )
    )
    for _ in range(2):  # the second time some of it is in memory
        np.testing.assert_array_equal(lazy[index], array[index])
    assert (len(lazy), lazy.nbytes) == (m, array.nbytes)
    np.testing.assert_array_equal(np.stack(list(lazy)), array)


@pytest.mark.parametrize(("cache_bytes", "fits"), [(0, 0), (60, 2), (100, 4), (1000, 4)])
def test_blocks_that_fit_are_read_once_and_the_others_at_each_pass(cache_bytes, fits):
    array, reads = np.arange(10 * 10, dtype=np.uint8).reshape(10, 10), []
    lazy = on_disk(array, 3, cache_bytes, reads)
    for _ in range(3):
        parts, blocks = zip(*in_blocks(lazy), strict=True)
        assert list(parts) == [slice(i, min(i + 3, 10)) for i in range(0, 10, 3)]
        np.testing.assert_array_equal(np.concatenate(blocks), array)
    assert len(reads) == 4 + 2 * (4 - fits)
    next(in_blocks(lazy))  # a pass that is left halfway ends


def test_what_cannot_be_read_is_told_where_it_is_wanted():
    def read(start, stop):
        if start >= 4:
            raise OSError("gone")
        return np.arange(start, stop)

    lazy = LazyArray(read, (10,), int)
    lazy.block_rows = 2
    seen = []
    with pytest.raises(OSError, match="gone"):
        seen.extend(part.start for part, _ in in_blocks(lazy))
    assert seen == [0, 2]


def test_what_is_spilled_comes_back_and_a_full_disk_is_told(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(11, 5)).astype(np.float32)
    spilled = spill_to_disk(iter([rows[:4], rows[4:]]), rows.shape, np.float32)
    np.testing.assert_array_equal(spilled[:], rows)
    np.testing.assert_array_equal(spilled[3:6], rows[3:6])
    monkeypatch.setattr(blocks, "TemporaryFile", partial(open, "/dev/full", "w+b"))
    with pytest.raises(OutputError, match=r"No space left on device.*TMPDIR"):
        spill_to_disk(iter([rows]), rows.shape, np.float32)


# How much of them may stay in memory


@pytest.mark.parametrize(
    ("text", "size"), [("1GB", 1e9), ("1.5 gb", 1.5e9), ("500m", 5e8), ("1000000", 1e6)]
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1.2.3GB", "-1GB", "1PB", "999kB", "1e300GB"])
def test_what_is_no_size_is_told(text):
    with pytest.raises(ParameterError, match="such as 500MB or 2GB, not"):
        parse_size(text)


def test_a_containers_limit_counts_and_the_word_max_does_not(monkeypatch, tmp_path):
    everything = available()
    assert 10**7 < everything < 10**15
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(blocks, "_LIMITS", (str(limit),))
    limit.write_text("max\n")
    assert available() > everything / 2
    limit.write_text("123456\n")
    assert available() == 123456
