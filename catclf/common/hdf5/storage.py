"""Check how an array is stored in an HDF5 file, to the last chunk, before any of it is read.

See `catclf.common.hdf5` for why. Sections are those of the HDF5 File Format Specification 3.0.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from catclf.common.hdf5 import COPY, NOWHERE, Bytes, Messages, Structure, StructureError, need

SPACE, TYPE, OLD_FILL, FILL, LAYOUT, FILTERS = 1, 3, 4, 5, 8, 11
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
OTHER_FILTERS = {4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf", 32001: "blosc"}
MAX_CHUNK = 64 * 2**20
MAX_RANK = 4
FLOATS = {  # IEEE 754: where exponent and mantissa lie, and the bias of the exponent
    2: bytes([0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0]),
    4: bytes([0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0]),
    8: bytes([0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0]),
}
BOOLEANS = (b"FALSE\0TRUE\0\0\1", b"FALSE\0\0\0TRUE\0\0\0\0\0\1")
VARIABLE_TEXT = "text"
"""The dtype of text of variable length."""


@dataclass(frozen=True)
class ArrayInfo:
    """What the file says of an array: shape, type and the size of an element in bytes."""

    shape: tuple[int, ...]
    dtype: str
    itemsize: int
    grows: bool = False
    """Whether its largest shape is larger."""

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.itemsize

    @property
    def is_text(self) -> bool:
        return self.dtype[0] == "S" or self.dtype == VARIABLE_TEXT

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def describe_array(structure: Structure, name: str) -> ArrayInfo:
    """Say what a member of the root group is, going by its header alone.

    Raises
    ------
    StructureError
        If it is damaged, no array, or an array of what is not read.
    """
    messages = structure.read_messages(structure.members[name])
    need({SPACE, TYPE, LAYOUT} <= set(messages), "no array")
    shape, most = _read_shape(messages[SPACE][0])
    dtype, itemsize = _read_dtype(messages[TYPE][0])
    for fill in messages.get(FILL, []):
        version = fill.number(1)
        need(version in (1, 2, 3), "a fill value of an unknown version")
        flags = fill.number(1) if version == 3 else fill.number(3) >> 16
        if version == 1 or (flags & 32 if version == 3 else flags):
            length = fill.number(4)
            need(length in (0, itemsize, 2**32 - 1), "a fill value of another size")
            fill.take(length if length == itemsize else 0)
    for fill in messages.get(OLD_FILL, []):
        need(fill.number(4) in (0, itemsize), "a fill value of another size")
    return ArrayInfo(shape, dtype, itemsize, grows=most != shape)


def check_storage(structure: Structure, name: str, *, inflated_later: bool = False) -> None:
    """Check where and how an array is stored, and that all of it is there.

    Whole rows of bytes, deflated and no more, need not be inflated here if whoever reads them
    takes care of that.

    Raises
    ------
    StructureError
        If it is damaged, incomplete, or stored in a way that is not read.
    """
    array = describe_array(structure, name)
    messages = structure.read_messages(structure.members[name])
    filters = _read_filters(messages, array)
    layout = messages[LAYOUT][0]
    version, kind = layout.number(1), layout.number(1)
    need(version in (3, 4, 5), f"storage of version {version}")
    need(kind in (0, 1, 2), "virtual storage, in other files", COPY)
    need(kind == 2 or not filters, "filters where there are no chunks")
    if kind == 0:
        data = layout.take(layout.number(2))
        need(len(data) >= array.nbytes, "fewer bytes than the array has")
    elif kind == 1:
        address, length = layout.numbers(2, 8)
        need(address != NOWHERE and length == array.nbytes, "an array that was never written")
        data = structure.read(address, length).take(length) if array.dtype == VARIABLE_TEXT else b""
        structure.read(address + length, 0)
    else:
        need(array.dtype != VARIABLE_TEXT, "text of variable length in chunks")
        later = inflated_later and filters == [DEFLATE] and array.dtype == "uint8"
        _check_chunks(structure, array, layout, version, filters, later)
    if array.dtype == VARIABLE_TEXT:
        _check_texts(structure, Bytes(data), math.prod(array.shape))


def _read_shape(space: Bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Read a dataspace, IV.A.2.b: the shape, and the largest that it may get."""
    version, rank, flags = space.numbers(3, 1)
    need(version in (1, 2) and flags < 2, "an unknown kind of shape")
    need(rank <= MAX_RANK, f"an array of {rank} dimensions")
    last = space.number(1 if version == 2 else 5)
    need(version == 1 or last == (rank > 0), "an empty shape")
    shape = space.numbers(rank, 8)
    most = space.numbers(rank, 8) if flags & 1 else shape
    need(all(n <= top for n, top in zip(shape, most, strict=True)), "a shape beyond its own limits")
    return shape, most


def _read_dtype(kind: Bytes) -> tuple[str, int]:
    """Read a datatype, IV.A.2.d: numbers, text, and NumPy's bool."""
    first, bits, size = kind.number(1), kind.number(3), kind.number(4)
    version, number = first >> 4, first & 15
    need(1 <= version <= 5, "an unknown kind of elements")
    if number == 0 and size in (1, 2, 4, 8) and bits & ~9 == 0:
        need(kind.numbers(2, 2) == (0, 8 * size), "integers with bits left out")
        return f"{'' if bits & 8 else 'u'}int{8 * size}", size
    if number == 1 and size in FLOATS and bits & ~1 == (8 * size - 1) << 8 | 32:
        need(kind.take(12) == FLOATS[size], "floats that are not IEEE 754")
        return f"float{8 * size}", size
    if number == 3 and 0 < size < 2**16 and bits < 32 and bits & 15 < 3:
        return f"S{size}", size
    if number == 8 and size == 1 and bits == 2:
        need(_read_dtype(kind) == ("int8", 1), "an enumeration")
        need(kind.take(kind.left).rstrip(b"\0") in BOOLEANS, "an enumeration")
        return "bool", 1
    if number == 9 and size == 16 and bits & 15 == 1 and bits < 2**12:
        need(_read_dtype(kind) in (("S1", 1), ("uint8", 1)), "lists of variable length")
        return VARIABLE_TEXT, 16
    names = {5: "opaque", 6: "compound", 7: "reference", 8: "enumeration", 10: "array"}
    raise StructureError(f"elements of an unknown kind ({names.get(number, number)})")


def _read_filters(messages: Messages, array: ArrayInfo) -> list[int]:
    """Read the filter pipeline, IV.A.2.l."""
    filters: list[int] = []
    for pipeline in messages.get(FILTERS, []):
        version, count = pipeline.numbers(2, 1)
        need(version in (1, 2), "filters of an unknown version")
        pipeline.take(6 if version == 1 else 0)
        for _ in range(count):
            number = pipeline.number(2)
            need(
                number in (DEFLATE, SHUFFLE, FLETCHER32),
                f"filter {OTHER_FILTERS.get(number, number)}, which is not run",
                "write it with gzip",
            )
            need(number not in filters, "a filter that is applied twice")
            filters.append(number)
            name_length = pipeline.number(2) if version == 1 else 0
            _, values = pipeline.numbers(2, 2)
            pipeline.take(name_length)
            settings = pipeline.numbers(values, 4)
            pipeline.take(4 if version == 1 and values % 2 else 0)
            if number == SHUFFLE:
                need(settings == (array.itemsize,), "a shuffle of another size")
            if number == DEFLATE:
                need(len(settings) == 1 and settings[0] < 10, "a deflate of an unknown level")
    return filters


def _check_chunks(
    structure: Structure,
    array: ArrayInfo,
    layout: Bytes,
    version: int,
    filters: list[int],
    later: bool,
) -> None:
    """Check a chunked array, IV.A.2.i: every chunk is there once, and of the right size."""
    rank = len(array.shape)
    if version == 3:
        need(layout.number(1) == rank + 1, "chunks of another rank")
        root = layout.number(8)
        *sides, itemsize = layout.numbers(rank + 1, 4)
    else:
        flags = layout.number(1)
        need(layout.number(1) == rank + 1, "chunks of another rank")
        *sides, itemsize = layout.numbers(rank + 1, min(layout.number(1), 8))
    need(itemsize == array.itemsize and rank > 0 and min(sides) > 0, "chunks of no size")
    size = math.prod(sides) * itemsize
    need(size <= MAX_CHUNK, f"chunks of {size / 2**20:.0f} MiB; at most 64 are read")
    grid = [-(-n // side) for n, side in zip(array.shape, sides, strict=True)]
    count = math.prod(grid)
    need(count * 8 <= structure.size * 200, "more chunks than fit into it")
    if version == 3:
        need(root != NOWHERE or count == 0, "an array that was never written")
        chunks = _find_tree_chunks(structure, root, sides, grid) if count else iter(())
    else:
        # The index of a growing array is laid out for its largest shape.
        need(not array.grows, "an array that can grow, in HDF5's newest form", COPY)
        chunks = _find_new_chunks(structure, layout, flags, size, count, bool(filters))
    later = later and tuple(sides[1:]) == array.shape[1:]
    total = 0
    for address, stored in chunks:
        total += 1
        need(address != NOWHERE, "an array that was never written in part")
        need(stored == size or bool(filters), "a chunk of another size")
        if later:
            structure.read(address + stored, 0)
        else:
            _check_chunk(structure.read(address, stored), size, filters)
    need(total == count, f"{total} chunks of {count}")


def _check_chunk(chunk: Bytes, size: int, filters: list[int]) -> None:
    """Check that a chunk holds as many bytes as it should, without ever inflating more."""
    for at, number in reversed(list(enumerate(filters))):
        if number == FLETCHER32:
            need(chunk.left >= 4, "a chunk without its checksum")
            chunk = Bytes(chunk.take(chunk.left - 4))
        elif number == DEFLATE:
            expected = size + 4 * (FLETCHER32 in filters[:at])
            inflate = zlib.decompressobj()
            try:
                data = inflate.decompress(chunk.take(chunk.left), expected + 1)
            except zlib.error:
                data = b""
            need(len(data) == expected and inflate.eof, "a chunk that cannot be inflated")
            chunk = Bytes(data)
    need(chunk.left == size, "a chunk of another size")


def _find_tree_chunks(
    structure: Structure, root: int, sides: list[int], grid: list[int]
) -> Iterator[tuple[int, int]]:
    """Find the chunks in their B-tree, III.A.1: the address and the stored size of each."""
    rank = len(sides)

    def read_key(key: Bytes) -> tuple[tuple[int, ...], int, int]:
        stored, mask = key.numbers(2, 4)
        return key.numbers(rank + 1, 8), stored, mask

    last: tuple[int, ...] = ()
    leaves = structure.leaves(root, 1, structure.chunk_k, 8 + 8 * (rank + 1), read_key)
    for (place, stored, mask), (end, *_), address in leaves:
        need(last < place < end, "chunks out of order")
        need(mask == 0, "a chunk that leaves out filters")
        index = [divmod(n, side) for n, side in zip(place, sides, strict=False)]
        inside = all(i < n and not rest for (i, rest), n in zip(index, grid, strict=True))
        need(inside and place[-1] == 0, "a chunk outside the array")
        last = place
        yield address, stored


def _find_new_chunks(
    structure: Structure, layout: Bytes, flags: int, size: int, count: int, filtered: bool
) -> Iterator[tuple[int, int]]:
    """Find the chunks as newer versions of the library place them, III.C, VII.A and VII.C."""
    kind = layout.number(1)
    need(kind in (1, 2, 3), "chunks of an unknown kind")
    need(not flags & ~2 and bool(flags & 2) <= (kind == 1), "chunks of an unknown kind")
    if kind == 1:
        stored, mask = (layout.number(8), layout.number(4)) if flags & 2 else (size, 0)
        need(count == 1 and mask == 0 and bool(flags & 2) == filtered, "a single chunk of several")
        yield layout.number(8), stored
        return
    bits = layout.number(1) if kind == 3 else 0
    start = layout.number(8)
    need(start != NOWHERE, "an array that was never written")
    if kind == 2:
        need(not filtered, "filters where there can be none")
        for i in range(count):
            yield start + i * size, size
        return
    head = structure.read(start, 28, b"FAHD")
    version, client, width, page_bits = head.numbers(4, 1)
    length, block = head.numbers(2, 8)
    need((version, client, page_bits) == (0, int(filtered), bits) and bits <= 32, "a damaged index")
    need(length == count, "an index of another length")
    size_width = width - 12 if filtered else 0
    need(width == 8 if not filtered else 0 < size_width <= 8, "a damaged index")
    paged, pages = count > 1 << bits, -(-count >> bits)
    cursor = structure.read(block, 14, b"FADB")
    need(cursor.number(1) == 0 and cursor.number(1) == client, "a damaged index")
    need(cursor.number(8) == start, "a damaged index")
    at = block + 14
    if paged:
        used = structure.read(at, -(-pages // 8)).take(-(-pages // 8))
        need(sum(byte.bit_count() for byte in used) == pages, "chunks that were never written")
        at += -(-pages // 8) + 4
    for page in range(max(pages, 1)):
        entries = min(count - (page << bits), 1 << bits)
        cursor = structure.read(at, entries * width + 4)
        at += entries * width + 4
        for _ in range(entries):
            address = cursor.number(8)
            stored = cursor.number(size_width) if filtered else size
            need(not filtered or cursor.number(4) == 0, "a chunk that leaves out filters")
            yield address, stored


def _check_texts(structure: Structure, elements: Bytes, count: int) -> None:
    """Check text of variable length, III.E: each lies within a collection that is whole."""
    known: dict[int, dict[int, int]] = {}
    for _ in range(count):
        length, address, index = elements.number(4), elements.number(8), elements.number(4)
        if length == 0 and address in (0, NOWHERE):
            continue
        if address not in known:
            known[address] = _read_heap(structure, address)
        need(length <= known[address].get(index, -1), "text that is not where it should be")


def _read_heap(structure: Structure, address: int) -> dict[int, int]:
    """Read a global heap collection: the size of each object in it, by number."""
    head = structure.read(address, 16, b"GCOL")
    need(head.number(4) == 1, "a heap of an unknown version")
    size = head.number(8)
    need(16 <= size <= MAX_CHUNK, "a heap of texts that is too large")
    rest = structure.read(address + 16, size - 16)
    objects: dict[int, int] = {}
    while rest.left >= 16:
        number, length = rest.number(8) & 0xFFFF, rest.number(8)
        if number == 0:
            need(length == rest.left + 16, "a heap of texts with a gap")
            break
        need(number not in objects, "a heap of texts that is damaged")
        objects[number] = length
        rest.take(min(-(-length // 8) * 8, max(rest.left, length)))
    return objects
