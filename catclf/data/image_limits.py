"""What an image file may ask of its decoder: only what its pixels need, and little of that.

A JPEG, PNG or GIF is cut down to what plays a part in its picture before Pillow sees it, for Pillow
reads comments, profiles and other small parts one by one, in time that can grow with their number
squared. The time that pixels themselves take is bounded by the numbers below; SECURITY.md has the
figures behind them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from catclf.errors import ImageError

MAX_FILE_BYTES = 64 * 2**20
"""The largest file that is read, unless another size is asked for."""
MOST_PARTS = 20_000
"""Segments of a JPEG, chunks of a PNG, blocks before a GIF's first frame; real files have tens."""
MOST_SCANS = 500
MAX_SCANNED = 1_500_000_000
"""Pixels of a JPEG times its scans; a progressive one has about ten."""
MAX_PROGRESSIVE_BYTES = 32 * 2**20
MAX_AVIF_BYTES = 12 * 2**20
MAX_RLE_BYTES = 2 * 2**20
"""Of a BMP of runs of pixels, which Pillow decodes in Python."""
MAX_NOTE_BYTES = 2**20
"""Of a block of EXIF or XMP, of which the orientation is read."""

_GIF_BLOCK = re.compile(b"[!,;]")
_TRANSPARENCY = b"\xf9"
# Fill bytes, more 0xff before it, may precede a marker. To say so, \xff+, would make the search
# for one byte ten times slower; the last of them will do.
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_MARKER_IN_SCAN = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_END, _SCAN, _ADOBE, _COMMENT = 0xD9, 0xDA, 0xEE, 0xFE
_SEQUENTIAL, _NO_FRAMES = (0xC0, 0xC1), (0xC4, 0xC8, 0xCC)
_NOTES = (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0")
_PNG_NOTES = (b"eXIf", b"iTXtXML:com.adobe.xmp\0")


def trimmed(data: bytes) -> bytes:
    """Leave out of an image file what plays no part in its picture.

    Raises
    ------
    ImageError
        If the file is damaged, or its decoder would take too long.
    """
    if data.startswith(b"\xff\xd8\xff"):
        parts = list(_jpeg(data))
        # Most photos are kept as they are, and need no copy.
        return data if sum(map(len, parts)) == len(data) else b"".join(parts)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"".join(_png(data))
    if data.startswith(b"GIF8"):
        return b"".join(_gif(data))
    if data[4:8] == b"ftyp" and len(data) > MAX_AVIF_BYTES:
        raise ImageError(f"an AVIF of more than {MAX_AVIF_BYTES // 2**20} MiB")
    rle = data.startswith(b"BM") and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if rle and len(data) > MAX_RLE_BYTES:
        raise ImageError(f"a run-length coded BMP of more than {MAX_RLE_BYTES // 2**20} MiB")
    return data


def is_held_whole(data: bytes) -> bool:
    """Tell whether a decoder holds all of an image at once, as of a JPEG in several scans."""
    if not data.startswith(b"\xff\xd8\xff"):
        return True
    *parts, scans = _jpeg(data)
    frames = [part for part in parts if part[1] in _SEQUENTIAL]
    return not (frames and _in_one_scan(frames[-1], scans))


def _jpeg(data: bytes) -> Iterator[memoryview]:
    """Keep tables, frame and scans, and a block each of EXIF and XMP (ITU-T T.81, annex B)."""
    kept = memoryview(data)
    yield kept[:2]
    at, pixels, progressive, frame = 2, 0, False, kept[:0]
    notes = list(_NOTES)
    for _ in range(MOST_PARTS):
        found = _MARKER.search(data, at)
        if found is None or found[1][0] == _END:
            raise ImageError("a damaged or truncated image")
        marker, at = found[1][0], found.end()
        if marker in _WITHOUT_LENGTH:
            continue
        start, at = at - 2, at + int.from_bytes(data[at : at + 2])
        body = data[start + 4 : at]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            pixels = max(pixels, int.from_bytes(body[1:3]) * int.from_bytes(body[3:5]))
            progressive |= marker not in _SEQUENTIAL
            frame = kept[start:at]
        if marker == _SCAN:
            if not progressive and _in_one_scan(frame, kept[start:at]):
                yield kept[start:]  # what follows the scan is not looked at: nor is it here
                return
            yield kept[start : _end_of_scans(data, at, pixels)]
            if progressive and len(data) - start > MAX_PROGRESSIVE_BYTES:
                most = MAX_PROGRESSIVE_BYTES // 2**20
                raise ImageError(f"a progressive JPEG of more than {most} MiB; save it as baseline")
            return
        if marker == 0xE1:
            kind = next((note for note in notes if body.startswith(note)), None)
            if kind is None:
                continue
            notes.remove(kind)
        elif (0xE1 < marker <= 0xEF and marker != _ADOBE) or marker == _COMMENT:
            continue
        yield kept[start:at]
    raise ImageError(f"a JPEG of more than {MOST_PARTS} segments")


def _in_one_scan(frame: memoryview, scan: memoryview) -> bool:
    """Tell whether the first scan of a sequential JPEG has all the components of its frame."""
    return len(frame) > 9 and len(scan) > 4 and frame[9] == scan[4]


def _end_of_scans(data: bytes, at: int, pixels: int) -> int:
    """Find where the picture ends, and check that it does not come in too many scans."""
    scans, parts = 1, 0
    while found := _MARKER_IN_SCAN.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == _END:
            return at
        scans += marker == _SCAN
        parts += 1
        if scans > MOST_SCANS or scans * pixels > MAX_SCANNED or parts > MOST_PARTS:
            raise ImageError("a JPEG in too many scans; save it as baseline")
        if marker not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2])
    return len(data)


def _png(data: bytes) -> Iterator[bytes]:
    """Keep the chunks of the picture, and one of EXIF and XMP (W3C PNG, 3rd edition)."""
    yield data[:8]
    at, notes = 8, list(_PNG_NOTES)
    for _ in range(MOST_PARTS):
        start, at = at, at + 12 + int.from_bytes(data[at : at + 4])
        kind = data[start + 4 : start + 8]
        if kind[:1].isupper() or kind == b"tRNS" or len(kind) < 4:
            yield data[start:at]
        elif at - start < MAX_NOTE_BYTES:
            note = next((note for note in notes if data.startswith(note, start + 4)), None)
            if note:
                notes.remove(note)
                yield data[start:at]
        if kind == b"IEND" or at >= len(data):
            return
    raise ImageError(f"a PNG of more than {MOST_PARTS} chunks")


def _gif(data: bytes) -> Iterator[bytes]:
    """Keep all from the first frame on, and of what precedes it the sizes and colours (GIF89a)."""
    flags = int.from_bytes(data[10:11])
    at = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0)
    yield data[:at]
    left = MOST_PARTS
    while left > 0 and (found := _GIF_BLOCK.search(data, at)):
        start, at = found.start(), found.end()
        if found[0] != b"!":
            yield data[start:]
            return
        at += 1
        while left > 0 and (size := int.from_bytes(data[at : at + 1])):
            at, left = at + 1 + size, left - 1
        at, left = at + 1, left - 1
        if data[start + 1 : start + 2] == _TRANSPARENCY:
            yield data[start:at]
    if left <= 0:
        raise ImageError(f"a GIF of more than {MOST_PARTS} blocks before its first frame")
