"""A HEIC file → one that holds its main picture alone, checked and written anew.

A HEIC file is a small file system: the picture, its tiles, thumbnails, depth maps, notes, and how
they belong together (ISO/IEC 14496-12 and 23008-12). A decoder follows whatever it names. So that
is followed here first, within the bounds of `image_limits`, and the decoder sees only what is
written here: one picture or grid of tiles in HEVC, how it is turned, and its transparency.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from catclf.data import image_limits as limits
from catclf.errors import ImageError

_PROPERTIES = (b"hvcC", b"ispe", b"pixi", b"colr", b"clap", b"irot", b"imir", b"auxC")
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
_PARAMETER_SETS, _SIZE_SET = (32, 33, 34), 33
"""Types of HEVC's units that describe pictures (ITU-T H.265, table 7-1); below 32 are slices."""
_DAMAGED = "a damaged or truncated HEIC photo"
_UNUSUAL = "a HEIC photo coded in an unusual way; save it as JPEG"


class _Reader:
    """Numbers, pieces and boxes one after another."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, size: int) -> memoryview:
        piece = self.data[self.at : self.at + size]
        if size < 0 or len(piece) < size:
            raise ImageError(_DAMAGED)
        self.at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def version(self) -> int:
        """Read what a full box begins with, version and flags; give the version."""
        return self.number(4) >> 24

    def boxes(self) -> Iterator[tuple[bytes, _Reader]]:
        """Read boxes to the end, the kind and the content of each."""
        for _ in range(limits.MAX_PARTS):
            if self.at == len(self.data):
                return
            size, kind = self.number(4), bytes(self.take(4))
            size = self.number(8) - 16 if size == 1 else size - 8
            yield kind, _Reader(self.take(len(self.data) - self.at if size == -8 else size))
        raise ImageError(_UNUSUAL)


@dataclass
class _Item:
    """What the tables say of an item; its content lies in the file, or in the box `idat`."""

    kind: bytes = b""
    in_idat: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)
    references: dict[bytes, list[int]] = field(default_factory=dict)
    properties: dict[bytes, memoryview] = field(default_factory=dict)
    content: bytes = b""


def main_picture(data: bytes) -> bytes:
    """Make a HEIC file of the main picture of a HEIC file.

    Raises
    ------
    ImageError
        If the file is damaged, holds its picture in another way than phones do, or is too large.
    """
    meta = next((box for kind, box in _Reader(data).boxes() if kind == b"meta"), None)
    if meta is None or len(meta.data) > limits.MAX_HEIC_TABLES:
        raise ImageError(_UNUSUAL)
    meta.take(4)
    boxes = defaultdict(lambda: _Reader(b""), meta.boxes())
    items = _read_items(boxes)
    main = boxes[b"pitm"].number(4 if boxes[b"pitm"].version() else 2)
    alphas = [
        number
        for number, item in items.items()
        if main in item.references.get(b"auxl", ())
        and bytes(item.properties.get(b"auxC", b"")[4:]).startswith(_ALPHA)
    ]
    kept: dict[int, _Item] = {}
    size = pixels = sliced = 0
    for picture in dict.fromkeys([main, *alphas[:1]]):
        tiles = Counter([picture])
        if items[picture].kind == b"grid":
            tiles = Counter(items[picture].references.get(b"dimg", ()))
        for number in dict.fromkeys([picture, *tiles]):
            item = kept[number] = items[number]
            size += sum(length for _, length in item.places)
            if item.kind not in (b"hvc1", b"grid") or item.in_idat > 1:
                raise ImageError(_UNUSUAL)
            if size > limits.MAX_HEIC_BYTES:
                most = limits.MAX_HEIC_BYTES // 2**20
                raise ImageError(f"a HEIC photo of more than {most} MiB; save it as JPEG")
            source = boxes[b"idat"].data if item.in_idat else memoryview(data)
            item.content = b"".join(source[start : start + n] for start, n in item.places)
        limits.check_size("HEIC", *_size(items[picture], sum(tiles.values())))
        for number, times in tiles.items():
            area, slices = _cost(items[number])
            pixels += area * times
            sliced += area * times * slices
    if pixels > limits.MAX_CODED_PIXELS or sliced > limits.MAX_SLICED_PIXELS:
        raise ImageError("a HEIC photo that would take too long to decode; save it as JPEG")
    return _write(main, kept)


def _read_items(boxes: dict[bytes, _Reader]) -> dict[int, _Item]:
    """Read the tables of items."""
    items: dict[int, _Item] = defaultdict(_Item)
    boxes[b"iinf"].number(4 if boxes[b"iinf"].version() else 2)
    for _, entry in boxes[b"iinf"].boxes():
        item = items[entry.number(4 if entry.version() == 3 else 2)]
        entry.take(2)
        item.kind = bytes(entry.take(4))
    if boxes[b"iref"].data:
        size = 4 if boxes[b"iref"].version() else 2
        for kind, entry in boxes[b"iref"].boxes():
            item = items[entry.number(size)]
            item.references[kind] = [entry.number(size) for _ in range(entry.number(2))]
    iprp = defaultdict(lambda: _Reader(b""), boxes[b"iprp"].boxes())
    properties, table = list(iprp[b"ipco"].boxes()), iprp[b"ipma"]
    flags = table.number(4)
    for _ in range(table.number(4)):
        item = items[table.number(4 if flags >> 24 else 2)]
        for _ in range(table.number(1)):
            at = table.number(2) & 0x7FFF if flags & 1 else table.number(1) & 0x7F
            kind, body = (b"", _Reader(b"")) if at > len(properties) else properties[at - 1]
            if kind in _PROPERTIES and (kind != b"colr" or bytes(body.data[:4]) == b"nclx"):
                item.properties.setdefault(kind, body.data)
    table = boxes[b"iloc"]
    version, sizes = table.version(), table.number(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    if not length:  # there could be any number of places
        raise ImageError(_UNUSUAL)
    size = 4 if version == 2 else 2
    for _ in range(table.number(size)):
        item = items[table.number(size)]
        item.in_idat = table.number(2) & 15 if version else 0
        table.take(2)
        start = table.number(base)
        for _ in range(table.number(2)):
            table.take(index if version else 0)
            item.places.append((start + table.number(offset), table.number(length)))
    return items


def _size(picture: _Item, tiles: int) -> tuple[int, int]:
    """Read the size of a picture, of a grid its own (ISO/IEC 23008-12, 6.6.2.3)."""
    if picture.kind != b"grid":
        fields, size = _Reader(picture.properties.get(b"ispe", b"")), 4
        fields.version()
    else:
        fields = _Reader(picture.content)
        size = 4 if fields.number(2) & 1 else 2
        if (fields.number(1) + 1) * (fields.number(1) + 1) != tiles:
            raise ImageError(_DAMAGED)
    return fields.number(size), fields.number(size)


def _cost(picture: _Item) -> tuple[int, int]:
    """Give the pixels of a HEVC picture, and in how many slices they are coded.

    A decoder goes by the size in the stream, whatever the tables say; and each slice may take it
    as long as the whole picture.
    """
    config = _Reader(picture.properties.get(b"hvcC", b""))
    config.take(21)
    if config.number(1) & 3 != 3:  # of how many bytes the lengths of units are, less one
        raise ImageError(_UNUSUAL)
    pixels = units = slices = pictures = 0
    for _ in range(config.number(1)):
        config.take(1)
        for _ in range(config.number(2)):
            unit = bytes(config.take(config.number(2)))
            if unit[:1] and unit[0] >> 1 & 63 == _SIZE_SET:
                pixels = max(pixels, _pixels(unit))
    stream = _Reader(picture.content)
    while stream.at < len(stream.data):
        unit = bytes(stream.take(stream.number(4))[:3])
        kind = unit[0] >> 1 & 63 if len(unit) == 3 else _SIZE_SET
        units += 1
        if kind < min(_PARAMETER_SETS):
            slices += 1
            pictures += unit[2] >> 7  # set in the first slice of one
        if kind in _PARAMETER_SETS or pictures > 1 or units > limits.MAX_PARTS:
            raise ImageError(_UNUSUAL)
    if not pixels:
        raise ImageError(_DAMAGED)
    return pixels, slices


def _pixels(unit: bytes) -> int:
    """Read how many pixels a picture has from its sequence parameter set (ITU-T H.265, 7.3.2.2).

    Those whose colours are not at half the resolution, as in photos, count twice.
    """
    bits = "".join(f"{byte:08b}" for byte in unit.replace(b"\0\0\3", b"\0\0")[:400])
    at = 24 + 96  # after the unit's head, three numbers, and the profile

    def number() -> int:  # Exp-Golomb code, 9.2
        nonlocal at
        zeros = bits.index("1", at) - at
        value, at = int(bits[at + zeros : at + 2 * zeros + 1], 2), at + 2 * zeros + 1
        return value - 1

    try:
        if layers := int(bits[20:23], 2):
            flags = bits[at : at + 2 * layers]
            at += 16 + 88 * flags[::2].count("1") + 8 * flags[1::2].count("1")
        number()
        chroma = number()
        at += chroma == 3
        return number() * number() * (1 + (chroma > 1))
    except ValueError:  # the unit ends too early
        raise ImageError(_DAMAGED) from None


def _write(main: int, items: dict[int, _Item]) -> bytes:
    """Write a HEIC file of items; all but the main one are hidden."""
    file = _box(b"ftyp", b"heic\0\0\0\0mif1heic")
    start = len(file) + 8
    file += _box(b"mdat", *(item.content for item in items.values()))
    count, nothing, one = len(items).to_bytes(4), b"\0\0\0\0", b"\1\0\0\0"
    entries, places, of_items, links = [], [], [], []
    properties: dict[bytes, int] = {}  # each once, with its number
    for n, item in items.items():
        number = n.to_bytes(4)
        version = b"\3\0\0\0" if n == main else b"\3\0\0\1"
        entries.append(_box(b"infe", version, number, b"\0\0", item.kind, b"\0"))
        places += [number, b"\0\0\0\0\0\1", start.to_bytes(4), len(item.content).to_bytes(4)]
        start += len(item.content)
        of_items += [number, bytes([len(item.properties)])]
        for kind, body in item.properties.items():
            at = properties.setdefault(_box(kind, body), len(properties) + 1)
            of_items.append((0x8000 | at).to_bytes(2))  # it must be understood
        for kind in (b"auxl", b"dimg"):
            to = [n.to_bytes(4) for n in item.references.get(kind, ()) if n in items]
            if to:
                links.append(_box(kind, number, len(to).to_bytes(2), *to))
    return file + _box(
        b"meta",
        nothing,
        _box(b"hdlr", nothing, nothing, b"pict", b"\0" * 13),
        _box(b"pitm", one, main.to_bytes(4)),
        _box(b"iinf", one, count, *entries),
        *([_box(b"iref", one, *links)] if links else []),
        _box(b"iprp", _box(b"ipco", *properties), _box(b"ipma", b"\1\0\0\1", count, *of_items)),
        _box(b"iloc", b"\2\0\0\0\x44\0", count, *places),
    )


def _box(kind: bytes, *parts: bytes | memoryview) -> bytes:
    return (8 + sum(map(len, parts))).to_bytes(4) + kind + b"".join(parts)
