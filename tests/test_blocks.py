"""Arrays that stay on disk read like arrays, and no more of them is in memory than may be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catclf.common.blocks import (
    LazyArray,
    concatenate,
    in_blocks,
    mirror,
    rows_of_block,
    spill_to_disk,
)


def kept_on_disk(array, rows, keep=0):
    stored = LazyArray(lambda start, stop: array[start:stop].copy(), array.shape, array.dtype)
    stored.block_rows, stored.cache_bytes = rows, keep
    return stored


@settings(deadline=None)
@given(st.data(), st.integers(1, 40), st.integers(1, 9), st.integers(0, 900))
def test_it_is_indexed_like_an_array(data, m, rows, keep):
    array = np.arange(m * 6).reshape(m, 3, 2)
    stored = kept_on_disk(array, rows, keep)
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
        np.testing.assert_array_equal(stored[index], array[index])
    assert (len(stored), stored.ndim, stored.nbytes) == (m, 3, array.nbytes)
    np.testing.assert_array_equal(np.stack(list(stored)), array)


def test_an_index_beyond_the_end_is_an_error():
    stored = kept_on_disk(np.arange(7).reshape(7, 1), 3)
    for index in (7, -8, np.array([0, 7])):
        with pytest.raises(IndexError):
            stored[index]


@pytest.mark.parametrize("keep", [0, 60, 100, 1000])
def test_blocks_that_fit_are_read_once_and_the_others_at_each_pass(keep):
    array = np.arange(10 * 10, dtype=np.uint8).reshape(10, 10)
    stored = kept_on_disk(array, 3, keep)
    found = []
    for _ in range(3):
        found.append([(part, block.copy()) for part, block in in_blocks(stored)])
    for blocks in found:
        assert [part for part, _ in blocks] == [slice(i, min(i + 3, 10)) for i in range(0, 10, 3)]
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), array)
    fits = {0: 0, 60: 60, 100: 100, 1000: 100}[keep]
    assert stored.bytes_read == 100 + 2 * (100 - fits)
    stored.stop_caching()
    stored[:]
    assert stored.bytes_read == 200 + 2 * (100 - fits)


def test_a_pass_that_is_left_halfway_ends():
    stored = kept_on_disk(np.arange(10), 2)
    for part, _ in in_blocks(stored):
        if part.start == 4:
            break
    np.testing.assert_array_equal(stored[:], np.arange(10))


def test_what_cannot_be_read_is_told_where_it_is_wanted():
    def read(start, stop):
        if start >= 4:
            raise OSError("gone")
        return np.arange(start, stop)

    stored = LazyArray(read, (10,), int)
    stored.block_rows = 2
    seen = []
    with pytest.raises(OSError, match="gone"):
        seen.extend(part.start for part, _ in in_blocks(stored))
    assert seen == [0, 2]


def test_a_block_is_of_whole_chunks():
    for multiple in (1, 16, 100, 625):
        stored = LazyArray(lambda start, stop: None, (10**6, 64, 64, 3), np.uint8, multiple)
        assert stored.block_rows % multiple == 0
        assert 7 * 2**20 < stored.block_rows * stored.row_bytes <= 12 * 2**20
    assert LazyArray(lambda start, stop: None, (10, 64, 64, 3), np.uint8, 5000).block_rows == 5000


def test_a_block_has_a_power_of_the_trees_width():
    for row_bytes in range(1, 2**25, 9973):
        rows = rows_of_block(row_bytes)
        assert rows in (1, 4, 16, 64, 256, 1024)
        assert rows == 1 or rows * row_bytes <= 12 * 2**20
        assert rows == 1024 or 4 * rows * row_bytes > 12 * 2**20


@pytest.mark.parametrize("on_disk", [(False, False), (True, False), (False, True), (True, True)])
def test_arrays_are_put_together_whichever_of_them_are_on_disk(on_disk):
    arrays = np.arange(12).reshape(6, 2), np.arange(100, 110).reshape(5, 2)
    parts = [kept_on_disk(a, 4) if stays else a for a, stays in zip(arrays, on_disk, strict=True)]
    whole = concatenate(parts)
    assert isinstance(whole, LazyArray) == any(on_disk)
    np.testing.assert_array_equal(whole[:], np.concatenate(arrays))
    np.testing.assert_array_equal(whole[4:8], np.concatenate(arrays)[4:8])
    np.testing.assert_array_equal(whole[7:9], arrays[1][1:3])


def test_images_are_mirrored_left_to_right():
    images = np.arange(2 * 2 * 3).reshape(2, 2, 3, 1)
    expected = np.array([[2, 1, 0], [5, 4, 3]])
    for given_images in (images, kept_on_disk(images, 1)):
        np.testing.assert_array_equal(mirror(given_images)[:][0, :, :, 0], expected)


def test_what_is_stored_comes_back_and_a_full_disk_is_told(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(11, 5)).astype(np.float32)
    stored = spill_to_disk(iter([rows[:4], rows[4:]]), rows.shape, np.float32)
    np.testing.assert_array_equal(stored[:], rows)
    np.testing.assert_array_equal(stored[3:6], rows[3:6])
