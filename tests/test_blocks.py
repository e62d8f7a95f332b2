"""Arrays that stay on disk read like arrays, and no more of them is in memory than may be."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catclf.common import blocks
from catclf.common.blocks import (
    LazyArray,
    concatenate,
    in_blocks,
    mirror,
    rows_of_block,
    spill_to_disk,
)
from catclf.errors import OutputError


def on_disk(array, rows, cache_bytes=0):
    lazy = LazyArray(lambda start, stop: array[start:stop].copy(), array.shape, array.dtype)
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
    assert (len(lazy), lazy.ndim, lazy.nbytes) == (m, 3, array.nbytes)
    np.testing.assert_array_equal(np.stack(list(lazy)), array)


def test_an_index_beyond_the_end_is_an_error():
    lazy = on_disk(np.arange(7).reshape(7, 1), 3)
    for index in (7, -8, np.array([0, 7])):
        with pytest.raises(IndexError):
            lazy[index]


@pytest.mark.parametrize(("cache_bytes", "fits"), [(0, 0), (60, 60), (100, 100), (1000, 100)])
def test_blocks_that_fit_are_read_once_and_the_others_at_each_pass(cache_bytes, fits):
    array = np.arange(10 * 10, dtype=np.uint8).reshape(10, 10)
    lazy = on_disk(array, 3, cache_bytes)
    for _ in range(3):
        parts, blocks = zip(*in_blocks(lazy), strict=True)
        assert list(parts) == [slice(i, min(i + 3, 10)) for i in range(0, 10, 3)]
        np.testing.assert_array_equal(np.concatenate(blocks), array)
    assert lazy.bytes_read == 100 + 2 * (100 - fits)
    lazy.stop_caching()
    next(in_blocks(lazy))  # a pass that is left halfway ends
    before = lazy.bytes_read
    lazy[:]
    assert lazy.bytes_read >= before + 100


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


def test_a_block_is_of_whole_chunks_or_has_a_power_of_the_trees_width():
    for multiple in (1, 16, 100, 625):
        rows, row_bytes = rows_of_block(12288, multiple), 12288
        assert rows % multiple == 0
        assert 7 * 2**20 < rows * row_bytes <= 12 * 2**20
    assert rows_of_block(12288, 5000) == 5000
    for row_bytes in range(1, 2**25, 99_991):
        rows = rows_of_block(row_bytes)
        assert rows in (1, 4, 16, 64, 256, 1024)
        assert rows == 1 or rows * row_bytes <= 12 * 2**20
        assert rows == 1024 or 4 * rows * row_bytes > 12 * 2**20


@pytest.mark.parametrize("lazy", [(), (0,), (1,), (0, 1)])
def test_arrays_are_put_together_whichever_of_them_are_on_disk(lazy):
    arrays = np.arange(12).reshape(6, 2), np.arange(100, 110).reshape(5, 2)
    whole = concatenate([on_disk(a, 4) if i in lazy else a for i, a in enumerate(arrays)])
    assert isinstance(whole, LazyArray) == bool(lazy)
    for part in (slice(None), slice(4, 8), slice(7, 9)):
        np.testing.assert_array_equal(whole[part], np.concatenate(arrays)[part])


def test_images_are_mirrored_left_to_right():
    images = np.arange(2 * 2 * 3).reshape(2, 2, 3, 1)
    expected = np.array([[2, 1, 0], [5, 4, 3]])
    for given_images in (images, on_disk(images, 1)):
        np.testing.assert_array_equal(mirror(given_images)[:][0, :, :, 0], expected)


def test_what_is_spilled_comes_back_and_a_full_disk_is_told(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(11, 5)).astype(np.float32)
    spilled = spill_to_disk(iter([rows[:4], rows[4:]]), rows.shape, np.float32)
    np.testing.assert_array_equal(spilled[:], rows)
    np.testing.assert_array_equal(spilled[3:6], rows[3:6])
    monkeypatch.setattr(blocks, "TemporaryFile", partial(open, "/dev/full", "w+b"))
    with pytest.raises(OutputError, match=r"No space left on device.*TMPDIR"):
        spill_to_disk(iter([rows]), rows.shape, np.float32)
