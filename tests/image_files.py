"""Images as files: written by Pillow, by hand, and changed as they turn up again in collections."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image


def encode(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width, height, depth, colour, rows, *chunks, interlaced=0):
    """Write a PNG by hand (W3C PNG, 3rd edition): `rows` is the content of its IDAT chunk."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in ((b"IHDR", header), *chunks, (b"IDAT", rows), (b"IEND", b"")):
        crc = zlib.crc32(body, zlib.crc32(kind))
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", crc)]
    return b"".join(parts)


def recompressed(image):
    data = encode(Image.fromarray(np.ascontiguousarray(image)), "JPEG", quality=75)
    return np.asarray(Image.open(BytesIO(data)))


def resized(image, side):
    there = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(there.resize((64, 64), Image.Resampling.BICUBIC))


COPIES = {
    "exact": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "recompressed": recompressed,
    "enlarged and shrunk": lambda image: resized(image, 150),
    "shrunk and enlarged": lambda image: resized(image, 48),
    "mirrored and recompressed": lambda image: recompressed(image[:, ::-1]),
    "brighter": lambda image: (image * 0.8 + 40).astype(np.uint8),
}
