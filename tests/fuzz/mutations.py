"""Changes to files: bits, bytes, numbers, pieces; and repairs, so that checksums do not end it all.

Without repairs nearly every change ends at the first checksum, and nothing behind it is tried.
"""

from __future__ import annotations

import random
import struct
import zlib

WORDS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
LONG_WORDS = (*WORDS, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)


def mutate(chance: random.Random, data: bytes, places: list[int] | None = None) -> bytes:
    """Change a file in a few places, most of them among `places`."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        if not changed:
            break
        at = chance.choice(places) if places and chance.random() < 0.9 else chance.randrange(2**30)
        _change(chance, changed, at % len(changed))
    return bytes(changed)


def _change(chance: random.Random, data: bytearray, at: int) -> None:
    kind = chance.randrange(20)
    if kind < 6:
        data[at] ^= 1 << chance.randrange(8)
    elif kind < 9:
        data[at] = chance.randrange(256)
    elif kind < 11:
        data[at] = (data[at] + chance.choice((-2, -1, 1, 2))) & 255
    elif kind < 16:
        size = chance.choice((1, 2, 4, 8))
        value = chance.choice((*LONG_WORDS, len(data), len(data) - 1, chance.randrange(len(data))))
        order = chance.choice(("little", "big"))
        data[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, order)[: len(data) - at]
    elif kind < 18:
        size, source = chance.choice((1, 4, 8, 16, 40)), chance.randrange(len(data))
        data[at : at + size] = data[source : source + size][: len(data) - at]
    elif kind == 18:
        del data[at : at + chance.choice((1, 2, 4, 100, 10**9))]
    else:
        data[at:at] = data[max(0, at - chance.choice((1, 4, 16, 300))) : at] * chance.choice((1, 3))


def repair_png(data: bytes) -> bytes:
    """Give every chunk of a PNG its right CRC."""
    fixed, at = bytearray(data), 8
    while at + 12 <= len(fixed):
        end = at + 8 + int.from_bytes(fixed[at : at + 4])
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


HDF5_BLOCKS = (b"OHDR", b"OCHK", b"FAHD", b"FADB", b"FRHP", b"BTHD", b"EAHD")


def hdf5_blocks(data: bytes) -> list[tuple[int, int]]:
    """Find what ends in a checksum in an HDF5 file: where, and how many bytes that covers."""
    found = [(0, 44)] if data[8:9] in (b"\2", b"\3") else []
    for signature in HDF5_BLOCKS:
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            lengths = range(8, min(2100, len(data) - at - 3))
            ends = (n for n in lengths if data[at + n : at + n + 4] == lookup3(data[at : at + n]))
            if length := next(ends, 0):
                found.append((at, length))
    return found


def repair_hdf5(data: bytes, blocks: list[tuple[int, int]]) -> bytes:
    """Give these blocks their right checksums."""
    fixed = bytearray(data)
    for at, length in blocks:
        if at + length + 4 <= len(fixed):
            fixed[at + length : at + length + 4] = lookup3(bytes(fixed[at : at + length]))
    return bytes(fixed)


def lookup3(data: bytes) -> bytes:
    """Compute the checksum of HDF5's newer structures: Bob Jenkins, lookup3.c, hashlittle."""
    most = 0xFFFFFFFF

    def turn(x: int, k: int) -> int:
        return (x << k | x >> 32 - k) & most

    a = b = c = (0xDEADBEEF + len(data)) & most
    if not data:
        return struct.pack("<I", c)
    last = (len(data) - 1) // 12 * 12
    for at in range(0, last, 12):
        x, y, z = struct.unpack_from("<III", data, at)
        a, b, c = (a + x) & most, (b + y) & most, (c + z) & most
        a = ((a - c) & most) ^ turn(c, 4)
        c = (c + b) & most
        b = ((b - a) & most) ^ turn(a, 6)
        a = (a + c) & most
        c = ((c - b) & most) ^ turn(b, 8)
        b = (b + a) & most
        a = ((a - c) & most) ^ turn(c, 16)
        c = (c + b) & most
        b = ((b - a) & most) ^ turn(a, 19)
        a = (a + c) & most
        c = ((c - b) & most) ^ turn(b, 4)
        b = (b + a) & most
    x, y, z = struct.unpack("<III", data[last:].ljust(12, b"\0"))
    a, b, c = (a + x) & most, (b + y) & most, (c + z) & most
    for k in (14, 11, 25, 16, 4, 14, 24):
        # c ^= b; c -= rot(b, 14); a ^= c; a -= rot(c, 11); b ^= a; ... each in its turn
        c = ((c ^ b) - turn(b, k)) & most
        a, b, c = b, c, a
    return struct.pack("<I", (b, c, a)[0])
