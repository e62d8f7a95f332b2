"""What an image file may ask of its decoder: only what its pixels need, and little of that.

Whatever decides that an image is too large, or takes too long, is here. A JPEG, PNG or GIF is cut
down to what plays a part in its picture before Pillow sees it, for Pillow reads comments, profiles
and other small parts one by one, in time that can grow with their number squared. The time that
pixels themselves take is bounded by the numbers below; SECURITY.md has the figures behind them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from catclf.errors import ImageError

MAX_FILE_BYTES = 64 * 2**20
"""The largest file that is read, unless another size is asked for."""
MAX_PIXELS = 50_000_000
MAX_SIDE = 20_000
MOST_OF = {
    "JPEG": (250_000_000, 65_500),  # decoded at the scale that is wanted
    "WEBP": (16_000_000, MAX_SIDE),  # decoded as a whole, in many times their pixels' memory
    "AVIF": (16_000_000, MAX_SIDE),
}
"""The most pixels, and the longest side, of formats for which other limits hold."""
MAX_COEFFICIENT_BYTES = 400_000_000
"""The most memory of a JPEG in several scans: its decoder holds all, 2 bytes for each sample."""

MAX_PARTS = 20_000
"""The most segments of a JPEG, chunks of a PNG, blocks before a GIF's first frame; real files have
tens."""
MAX_SCANS = 500
MAX_SCANNED_PIXELS = 1_500_000_000
"""The most pixels of a JPEG times its scans; a progressive one has about ten."""
MAX_PROGRESSIVE_BYTES = 32 * 2**20
MAX_AVIF_BYTES = 12 * 2**20
MAX_HEIC_BYTES = 16 * 2**20
MAX_HEIC_TABLES = 2**20
MAX_CODED_PIXELS = 55_000_000
MAX_SLICED_PIXELS = 200_000_000
"""The most pixels of a HEIC photo in all tiles and its transparency, and those times slices."""
MAX_RLE_BYTES = 2 * 2**20
"""The largest BMP of runs of pixels, which Pillow decodes in Python."""
MAX_NOTE_BYTES = 2**20
"""The largest block of EXIF or XMP of a PNG in which the orientation is looked for."""

LARGE_FILE = 8 * 2**20
LARGE_IMAGE = 64_000_000
"""From so many bytes on, of the file or in decoding, images are read one at a time."""
BYTES_A_PIXEL = {"WEBP": 20, "AVIF": 20, "HEIF": LARGE_IMAGE}
"""The most that decoding takes, where that is more than 6; of HEIC it is bounded otherwise."""

_GIF_BLOCK = re.compile(b"[!,;]")
_TRANSPARENCY = b"\xf9"
# Fill bytes, more 0xff before it, may precede a marker. To say so, \xff+, would make the search
# for one byte ten times slower; the last of them will do.
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_MARKER_IN_SCAN = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_END, _SCAN, _ADOBE, _COMMENT = 0xD9, 0xDA, 0xEE, 0xFE
_SEQUENTIAL, _SCALED, _NO_FRAMES = (0xC0, 0xC1), (0xC0, 0xC1, 0xC2), (0xC4, 0xC8, 0xCC)
_NOTES = (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0")
_PNG_NOTES = (b"eXIf", b"iTXtXML:com.adobe.xmp\0")


def check_size(form: str, width: int, height: int) -> None:
    """Raise ImageError if an image of this format, by Pillow's name, has too many pixels."""
    most, side = MOST_OF.get(form, (MAX_PIXELS, MAX_SIDE))
    if width * height > most or max(width, height) > side:
        remedy = "make it smaller" if form == "JPEG" else "save it as JPEG, or smaller"
        raise ImageError(
            f"{width} × {height} pixels; at most {most // 10**6} million, "
            f"and {side} on a side, are read of {form}; {remedy}"
        )


def most_to_decode(width: int, height: int, held_whole: bool) -> int:
    """Give how many pixels each way may be asked of a JPEG's decoder, which halves up to thrice.

    One that holds the image's coefficients besides is asked for fewer.
    """
    most = MAX_PIXELS // 4 if held_whole else MAX_PIXELS
    scale = next(scale for scale in (1, 2, 4, 8) if width * height <= most * scale**2)
    return max(1, min(width, height) // scale)


def is_large(form: str, width: int, height: int) -> bool:
    """Tell whether an image that its decoder holds whole is to be decoded without others beside."""
    return width * height * BYTES_A_PIXEL.get(form, 6) >= LARGE_IMAGE


def strip_metadata(data: bytes) -> tuple[bytes, bool]:
    """Leave out of an image file what plays no part in its picture.

    Returns
    -------
    bytes
        The rest of the file.
    bool
        Whether its decoder holds all of the image at once, as of a JPEG in several scans.

    Raises
    ------
    ImageError
        If the file is damaged, or its decoder would take too long.
    """
    if data.startswith(b"\xff\xd8\xff"):
        parts, held_whole = _jpeg(data)
        # Most photos are kept as they are, and need no copy.
        whole_file = sum(map(len, parts)) == len(data)
        return data if whole_file else b"".join(parts), held_whole
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"".join(_png(data)), True
    if data.startswith(b"GIF8"):
        return b"".join(_gif(data)), True
    if data[4:8] == b"ftyp" and len(data) > MAX_AVIF_BYTES:
        raise ImageError(f"an AVIF of more than {MAX_AVIF_BYTES // 2**20} MiB")
    rle = data.startswith(b"BM") and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if rle and len(data) > MAX_RLE_BYTES:
        raise ImageError(f"a run-length coded BMP of more than {MAX_RLE_BYTES // 2**20} MiB")
    return data, True


def _jpeg(data: bytes) -> tuple[list[memoryview], bool]:
    """Keep tables, frame and scans, and a block each of EXIF and XMP (ITU-T T.81, annex B)."""
    view = memoryview(data)
    parts, notes = [view[:2]], list(_NOTES)
    at, pixels, progressive, frame = 2, 0, False, b""
    for _ in range(MAX_PARTS):
        match = _MARKER.search(data, at)
        if match is None or match[1][0] == _END:
            raise ImageError("a damaged or truncated image")
        marker, at = match[1][0], match.end()
        if marker in _WITHOUT_LENGTH:
            continue
        start, at = at - 2, at + int.from_bytes(data[at : at + 2])
        body = data[start + 4 : at]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            pixels = max(pixels, int.from_bytes(body[1:3]) * int.from_bytes(body[3:5]))
            progressive |= marker not in _SEQUENTIAL
            frame = body
            if marker not in _SCALED and pixels > MAX_PIXELS:
                raise ImageError("a JPEG of an unusual kind, too large; save it as baseline")
        if marker == _SCAN:
            # A sequential JPEG whose first scan has all components of its frame has one scan.
            if not progressive and len(frame) > 5 and body[:1] == frame[5:6]:
                return [*parts, view[start:]], False  # what follows that scan is not looked at
            needed = 2 * pixels * _samples_a_pixel(frame)
            if needed > MAX_COEFFICIENT_BYTES:
                raise ImageError(
                    f"a JPEG in several scans, progressive say, which takes {needed / 1e6:.0f} MB "
                    f"(at most {MAX_COEFFICIENT_BYTES // 10**6}); save it as baseline, or smaller"
                )
            end = _end_of_scans(data, at, pixels)
            if progressive and len(data) - start > MAX_PROGRESSIVE_BYTES:
                most = MAX_PROGRESSIVE_BYTES // 2**20
                raise ImageError(f"a progressive JPEG of more than {most} MiB; save it as baseline")
            return [*parts, view[start:end]], True
        if marker == 0xE1:
            kind = next((note for note in notes if body.startswith(note)), None)
            if kind is None:
                continue
            notes.remove(kind)
        elif (0xE1 < marker <= 0xEF and marker != _ADOBE) or marker == _COMMENT:
            continue
        parts.append(view[start:at])
    raise ImageError(f"a JPEG of more than {MAX_PARTS} segments")


def _samples_a_pixel(frame: bytes) -> float:
    """Tell how many samples a pixel has, by the sampling factors of a JPEG's frame header."""
    factors = [(factor >> 4, factor & 15) for factor in frame[7::3]]
    most = max((h for h, _ in factors), default=0) * max((v for _, v in factors), default=0)
    return sum(h * v for h, v in factors) / max(most, 1)


def _end_of_scans(data: bytes, at: int, pixels: int) -> int:
    """Find where the picture ends, and check that it does not come in too many scans."""
    scans, parts = 1, 0
    while match := _MARKER_IN_SCAN.search(data, at):
        marker, at = match[1][0], match.end()
        if marker == _END:
            return at
        scans += marker == _SCAN
        parts += 1
        if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS or parts > MAX_PARTS:
            raise ImageError("a JPEG in too many scans; save it as baseline")
        if marker not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2])
    return len(data)


def _png(data: bytes) -> Iterator[bytes]:
    """Keep the chunks of the picture, and one of EXIF and XMP (W3C PNG, 3rd edition)."""
    yield data[:8]
    at, notes = 8, list(_PNG_NOTES)
    for _ in range(MAX_PARTS):
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
    raise ImageError(f"a PNG of more than {MAX_PARTS} chunks")


def _gif(data: bytes) -> Iterator[bytes]:
    """Keep all from the first frame on, and of what precedes it the sizes and colours (GIF89a)."""
    flags = int.from_bytes(data[10:11])
    at = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0)
    yield data[:at]
    left = MAX_PARTS
    while left > 0 and (match := _GIF_BLOCK.search(data, at)):
        start, at = match.start(), match.end()
        if match[0] != b"!":
            yield data[start:]
            return
        at += 1
        while left > 0 and (size := int.from_bytes(data[at : at + 1])):
            at, left = at + 1 + size, left - 1
        at, left = at + 1, left - 1
        if data[start + 1 : start + 2] == _TRANSPARENCY:
            yield data[start:at]
    if left <= 0:
        raise ImageError(f"a GIF of more than {MAX_PARTS} blocks before its first frame")
