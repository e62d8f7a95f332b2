"""Follow the structure of an HDF5 file in Python before HDF5's own library sees it.

The library follows damaged files out of bounds, round in circles and into any amount of memory.
So all that it will read on the way to an array is read here first, and whatever is not needed to
store arrays of numbers and names is refused. This part leads to the members of the root group and
to the messages that describe each; `storage` checks what those say.
Format: The HDF Group, "HDF5 File Format Specification Version 3.0", whose sections are named.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO


def import_h5py() -> Any:
    """Import h5py so that it starts no process, and HDF5 loads no filter from a shared library."""
    os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
    # h5py looks at the system's name, of which Python finds one part by running `uname -p`.
    vars(platform.uname()).setdefault("processor", "")
    import h5py

    return h5py


SIGNATURE = b"\x89HDF\r\n\x1a\n"
NOWHERE = 2**64 - 1
"""The address of what is not there."""
MAX_HEAP = 2**20
"""The largest heap of names that is read, in bytes."""
MAX_MESSAGES = 1000
CLOSE = "close it there; after a crash: h5clear -s {path}"
LINKED = "{!r} is a soft or external link, which is not followed"
LINK_INFO, LINK, CONTINUATION, SYMBOLS = 2, 6, 16, 17
KNOWN = {0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 16, 17, 18, 21, 22}
"""The kinds of messages that are read: not those of external files, shared tables and drivers."""


COPY = (
    "copy it by h5py: python -c \"import h5py; h5py.File('copy.h5', 'w')"
    '.update({{k: v[()] for k, v in h5py.File({path!r}).items()}})"'
)
"""The remedy for a sound file that is stored in a way that is not read; `path` is the file."""


class StructureError(ValueError):
    """Structure that is damaged, or that is not needed and so not read: why, and the remedy."""

    def __str__(self) -> str:
        return "; ".join(self.args)


def need(condition: bool, *reason: str) -> None:
    """Raise StructureError for this reason, the remedy being the next word, unless it holds."""
    if not condition:
        raise StructureError(*reason)


class Bytes:
    """Bytes of the file, taken from the front; numbers are little-endian and unsigned."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, n: int) -> bytes:
        need(n <= self.left, "a part that is cut short")
        self._at += n
        return self._data[self._at - n : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def numbers(self, count: int, size: int) -> tuple[int, ...]:
        return tuple(self.number(size) for _ in range(count))


Messages = dict[int, list[Bytes]]


class Structure:
    """The structure of one open file.

    Attributes
    ----------
    size : int
        The size of the file in bytes.
    members : dict
        The address of the object header of each member of the root group, by name.

    Raises
    ------
    StructureError
        If something is damaged, or is not read: links other than hard ones, files in several parts.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self._base = self._find_superblock()
        self.leaf_k, self.group_k, self.chunk_k = 4, 16, 32
        self.members = dict(self._read_root())

    def read(self, address: int, length: int, signature: bytes = b"") -> Bytes:
        """Read so many bytes at an address, which begin with this signature."""
        need(address + length <= self.size - self._base, "a part beyond its end")
        self._file.seek(self._base + address)
        cursor = Bytes(self._file.read(length))
        need(cursor.take(len(signature)) == signature, f"no {signature!r} where one is expected")
        return cursor

    # Superblock, II.A

    def _find_superblock(self) -> int:
        place = 0
        while place + len(SIGNATURE) <= self.size:
            self._file.seek(place)
            if self._file.read(len(SIGNATURE)) == SIGNATURE:
                return place
            place = max(512, 2 * place)
        raise StructureError("no HDF5 signature")

    def _check_end(self, end: int) -> None:
        need(end <= self.size, f"cut short, {self.size} bytes of {end}", "fetch it again")

    def _read_root(self) -> Iterator[tuple[str, int]]:
        self._check_end(self._base + 96)
        version = self.read(8, 1).number(1)
        cached = None
        if version in (0, 1):
            head = self.read(9, 15 + 4 * version + 72)
            need(head.take(7)[4:6] == b"\x08\x08", "addresses that are not of 8 bytes")
            self.leaf_k, self.group_k = head.numbers(2, 2)
            head.take(4)
            if version == 1:
                self.chunk_k = head.number(2)
                head.take(2)
            base, _, end, driver, _, root = head.numbers(6, 8)
            self._check_end(end)
            need(driver == NOWHERE, "a file in several parts")
            if head.number(8) & 0xFFFFFFFF == 1:  # the addresses of its links are here as well
                cached = head.numbers(2, 8)
        else:
            need(version in (2, 3), "written in a form that is newer than those known here", COPY)
            head = self.read(9, 35)
            *sizes, flags = head.take(3)
            need(sizes == [8, 8], "addresses that are not of 8 bytes")
            base, extension, end, root = head.numbers(4, 8)
            need(version == 2 or not flags, "open in another program, or never closed by it", CLOSE)
            self._check_end(end)
            need(
                extension == NOWHERE, "stored with fs_strategy or the like, which is not read", COPY
            )
        need(base == self._base, "a wrong base address")
        need(all(0 < k <= 1024 for k in (self.leaf_k, self.group_k, self.chunk_k)), "wrong sizes")
        messages = self.read_messages(root)
        if SYMBOLS in messages:
            tree, heap = messages[SYMBOLS][0].numbers(2, 8)
            need(cached in (None, (tree, heap)), "two roots")
            return self._read_old_links(tree, heap)
        need(LINK_INFO in messages, "a root that is no group")
        return self._read_new_links(messages)

    # Links: III.A to III.D, IV.A.2.c, IV.A.2.g

    def _read_new_links(self, messages: Messages) -> Iterator[tuple[str, int]]:
        info = messages[LINK_INFO][0]
        need(info.number(1) == 0, "links of an unknown version")
        info.take(8 if info.number(1) & 1 else 0)
        few = info.number(8) == NOWHERE
        need(few, "more than 8 members, in HDF5's newest form, which is not read", COPY)
        for link in messages.get(LINK, []):
            need(link.number(1) == 1, "links of an unknown version")
            flags = link.number(1)
            kind = link.number(1) if flags & 8 else 0
            link.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
            name = _text(link.take(link.number(1 << (flags & 3))))
            need(kind == 0, LINKED.format(name), COPY)
            yield name, link.number(8)

    def _read_old_links(self, root: int, heap: int) -> Iterator[tuple[str, int]]:
        names = self._read_names(heap)

        def name(offset: int) -> str:
            end = names.find(b"\0", offset)
            need(offset < len(names) and end >= 0, "a name beyond the end of its heap")
            return _text(names[offset:end])

        for _, _, node in self.leaves(root, 0, self.group_k, 8, lambda key: name(key.number(8))):
            leaf = self.read(node, 8 + 2 * self.leaf_k * 40, b"SNOD")
            count = leaf.number(4) >> 16
            need(count <= 2 * self.leaf_k, "too many members in a node")
            for _ in range(count):
                offset, header, kind, *_ = leaf.numbers(5, 8)
                # 0 or 1: a hard link; a soft one is kept where the addresses of a group would be.
                need(kind & 0xFFFFFFFF < 2, LINKED.format(name(offset)), COPY)
                yield name(offset), header

    def _read_names(self, address: int) -> bytes:
        """Read a local heap, and follow the gaps in it."""
        head = self.read(address, 32, b"HEAP")
        head.take(4)
        size, gap, data = head.numbers(3, 8)
        need(size <= MAX_HEAP, "a heap of names that is too large")
        names = self.read(data, size).take(size)
        seen = set()
        while gap not in (1, NOWHERE):
            need(gap not in seen, "a heap of names that runs into itself")
            seen.add(gap)
            gap, length = (rest := Bytes(names[gap:])).numbers(2, 8)
            need(16 <= length <= rest.left + 16, "a damaged heap of names")
        return names

    def leaves(
        self, root: int, kind: int, k: int, key_size: int, read_key: Callable[[Bytes], Any]
    ) -> Iterator[tuple[Any, Any, int]]:
        """Yield what the leaves of a B-tree of version 1 lead to (III.A.1), each with its two keys.

        Of chunks, the keys of all levels must agree: the library finds only what lies between them.
        """
        seen: set[int] = set()

        def walk(address: int, level: int | None, bounds: Any) -> Iterator[tuple[Any, Any, int]]:
            need(address not in seen, "a tree that runs into itself")
            seen.add(address)
            node = self.read(address, 24 + 2 * k * 8 + (2 * k + 1) * key_size, b"TREE")
            need(node.number(1) == kind, "a tree of another kind")
            height, count = node.number(1), node.number(2)
            need(height == level or (level is None and height < 9), "a tree of uneven height")
            need(count > 0 or level is None, "a node of no children")
            need(count <= 2 * k, "a node of too many children")
            siblings = node.numbers(2, 8)
            need(level is not None or siblings == (NOWHERE, NOWHERE), "a root with siblings")
            keys, children = [read_key(Bytes(node.take(key_size)))], []
            for _ in range(count):
                children.append(node.number(8))
                keys.append(read_key(Bytes(node.take(key_size))))
            need(kind == 0 or bounds in (None, (keys[0], keys[-1])), "a tree out of order")
            for left, right, child in zip(keys, keys[1:], children, strict=False):
                if height == 0:
                    yield left, right, child
                else:
                    yield from walk(child, height - 1, (left, right))

        return walk(root, None, None)

    # Object headers, IV.A.1

    def read_messages(self, address: int) -> Messages:
        """Read the messages that describe an object, by their kind."""
        messages: Messages = {}
        first = self.read(address, 16)
        modern = first.take(4) == b"OHDR"
        if modern:
            need(first.number(1) == 2, "an object header of an unknown version")
            flags = first.number(1)
            start = 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
            width = 1 << (flags & 3)
            length = self.read(address + start, width).number(width)
            blocks, ordered, expected = [(address + start + width, length)], flags & 4, None
        else:
            head = self.read(address, 12)
            need(head.number(1) == 1, "no object header where one is expected")
            expected = head.number(3) >> 8
            blocks, ordered = [(address + 16, head.numbers(2, 4)[1])], 0
        seen, count = set(), 0
        while blocks:
            place, length = blocks.pop()
            need(place not in seen, "an object header that runs into itself")
            seen.add(place)
            block = self.read(place, length)
            if modern and len(seen) > 1:
                need(block.take(4) == b"OCHK", "an object header that is damaged")
                block = Bytes(block.take(block.left - 4))  # without its checksum
            size_of_head = 4 + (2 if ordered else 0) if modern else 8
            while block.left >= size_of_head:
                kind, length = block.number(1 if modern else 2), block.number(2)
                shared = block.number(1) & 2
                block.take(size_of_head - (4 if modern else 5))
                message = Bytes(block.take(length))
                count += 1
                need(count <= MAX_MESSAGES, "an object header that is too long")
                need(kind in KNOWN, f"messages of kind {kind}, such as external storage")
                need(not shared or kind == 12, "parts that are shared between objects", COPY)
                if kind == CONTINUATION:
                    blocks.append(message.numbers(2, 8))  # type: ignore[arg-type]
                else:
                    messages.setdefault(kind, []).append(message)
            need(modern or block.left == 0, "an object header that is cut short")
        need(expected in (None, count), "an object header with too few or too many messages")
        return messages


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
