"""Images made to cost time and memory, and what any of them costs."""

import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from image_files import encode, png
from PIL import Image, ImageOps

from catclf.common import threads
from catclf.data import images
from catclf.data.image_limits import LARGE_FILE, strip_metadata
from catclf.data.images import load_image
from catclf.errors import ImageError


def zeros(n):
    packer = zlib.compressobj(1)
    block = b"\0" * 2**20
    parts = [packer.compress(block[: n - at]) for at in range(0, n, 2**20)]
    return b"".join([*parts, packer.flush()])


def encoded(kind, image=None, **options):
    return encode(image or Image.new("RGB", (64, 64), "red"), kind, **options)


def segment(marker, body):
    return bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg(*segments, image=None, **options):
    """A JPEG with these segments in front."""
    data = encoded("JPEG", image, **options)
    return data[:2] + b"".join(segments) + data[2:]


def gif(*blocks):
    data = encoded("GIF", Image.new("P", (64, 64)))
    at = data.index(b",")
    return data[:at] + b"".join(blocks) + data[at:]


def progressive(scans, side):
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded("JPEG", Image.new("L", (side, side), 128), progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + b"\xff\xd9"


def small(*chunks):
    """A black PNG with these chunks in it."""
    return png(64, 64, 8, 2, zlib.compress(b"\0" * 64 * 193), *chunks)


SIDE = 7071
CHEAP = {
    "a million segments": lambda: jpeg(segment(0xFE, b"") * 10**6),
    "EXIF of 62 MiB in a thousand parts": lambda: jpeg(
        segment(0xE1, b"Exif\0\0" + b"a" * 65000) * 1000
    ),
    "fill bytes": lambda: jpeg(b"\xff" * 50_000_000),
    "a thousand scans": lambda: progressive(1000, 64),
    "scans of many pixels": lambda: progressive(100, 5000),
    "a million chunks": lambda: small(*[(b"abCd", b"")] * 10**6),
    "a profile of 900 MiB": lambda: small((b"iCCP", b"x\0\0" + zeros(900 * 2**20))),
    "texts": lambda: small(*[(b"zTXt", b"k\0\0" + zeros(2**20))] * 60),
    "comments": lambda: gif(b"!\xfe\1a\0" * 10**7),
    "parts of a comment": lambda: gif(b"!\xfe" + b"\1a" * 10**7 + b"\0"),
    "runs": lambda: (
        b"BM"
        + struct.pack("<IIIIiiHHII", 0, 0, 1078, 40, SIDE, SIDE, 1, 8, 1, 0)
        + b"\0" * 1040
        + b"\0\2\1\0" * 10**7
    ),
    "a stream longer than its image": lambda: png(64, 64, 8, 2, zeros(2**30)),
    "50 megapixels of 16 bits": lambda: png(SIDE, SIDE, 16, 6, zeros((SIDE * 8 + 1) * SIDE)),
    "interlaced": lambda: png(SIDE, SIDE, 16, 6, zeros((SIDE * 8 + 9) * SIDE), interlaced=1),
    "grey of 16 bits": lambda: png(
        SIDE, SIDE, 16, 0, zeros((SIDE * 2 + 1) * SIDE), (b"tRNS", b"\0\0")
    ),
    "palette": lambda: png(
        SIDE, SIDE, 8, 3, zeros((SIDE + 1) * SIDE), (b"PLTE", b"abc"), (b"tRNS", b"\1")
    ),
    "progressive, 50 megapixels": lambda: encoded(
        "JPEG", photo(SIDE, SIDE), progressive=True, quality=90
    ),
    "WebP of 16 megapixels": lambda: encoded(
        "WEBP", photo(4000, 4000, "RGBA"), lossless=True, method=0, quality=0
    ),
    "AVIF of 16 megapixels": lambda: encoded("AVIF", photo(4000, 4000, "RGBA"), speed=10),
    "flat JPEG of 250 megapixels": lambda: encoded("JPEG", Image.new("L", (22_000, 11_360), 99)),
    "progressive, 200 megapixels, grey": lambda: progressive(1, 14_100),
    "progressive, too large": lambda: jpeg_of(SOF2, 11_600, 11_600, 3),
    "21 million by one": lambda: png(1, 21_000_000, 1, 0, zeros(42_000_000)),
}

MEASURE = """
import sys, time
from catclf.errors import ImageError
from catclf.data.images import load_image
start = time.process_time()
try:
    load_image(sys.argv[1])
    found = "read"
except ImageError as error:
    found = str(error)
spent = time.process_time() - start
status = open("/proc/self/status").read()
print(spent, status.split("VmHWM:")[1].split()[0], found)
"""


def cost(path):
    """Read an image in a process of its own: seconds of processor time, MB at most, and outcome."""
    command = [sys.executable, "-c", MEASURE, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    seconds, kibibytes, found = done.stdout.split(maxsplit=2)
    return float(seconds), int(kibibytes) * 1024 / 1e6, found.strip()


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no figures of memory here")
@pytest.mark.parametrize("name", CHEAP)
def test_no_image_costs_much(tmp_path, name):
    """Memory is measured; of time, a bound so wide that it tells seconds from hours."""
    (tmp_path / "x").write_bytes(CHEAP[name]())
    seconds, megabytes, found = cost(tmp_path / "x")
    assert megabytes < 500, found
    assert seconds < 20, found


# What is left out of a file does not show


def photo(width=300, height=200, mode="RGB"):
    rng = np.random.default_rng(3)
    small = Image.fromarray(rng.integers(0, 256, (9, 13, 4), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("place", ["exif", "xmp", "large"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_orientation_is_kept_wherever_it_stands(kind, place):
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"></x>'
    upright = photo(1500, 1000) if place == "large" else photo()
    if place != "xmp":
        turned = encoded(kind, upright, exif=exif)
    elif kind == "JPEG":
        turned = encoded(kind, photo(), xmp=xmp)
    else:
        info = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
        data = encoded(kind, photo())
        chunk = struct.pack(">I", len(info)) + b"iTXt" + info
        turned = data[:33] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + data[33:]
    with Image.open(io.BytesIO(turned)) as image:
        assert ImageOps.exif_transpose(image).size == upright.size[::-1]
    expected = encoded("PNG", upright.transpose(Image.Transpose.ROTATE_270))
    distance = np.abs(load_image(turned).astype(int) - load_image(expected))
    assert distance.mean() < 2


def test_segments_chunks_and_blocks_play_no_part():
    noise = photo(64, 64)
    data = encoded("JPEG", noise)
    more = [segment(0xE2, b"ICC_PROFILE\0\1\1" + b"a" * 99), segment(0xFE, b"hello"), b"\xff\xff"]
    dense = data[:2] + b"".join(more) + data[2:] + b"after the end"
    np.testing.assert_array_equal(load_image(dense), load_image(data))
    np.testing.assert_array_equal(load_image(gif(b"!\xfe\5hello\0")), load_image(gif()))
    notes = [(b"tEXt", b"a\0b"), (b"iCCP", b"not a profile"), (b"acTL", b"\0" * 8)]
    assert not load_image(small(*notes)).any()


SHAPES = [(641, 3001), (129, 9999), (20_000, 51), (1000, 1001)]
MODES = ["RGB", "P", "L", "LA", "I;16", "1"]


@pytest.mark.parametrize(
    ("mode", "size"), [*(("RGBA", size) for size in SHAPES), *((m, (1500, 1100)) for m in MODES)]
)
def test_bands_give_what_the_whole_gives(monkeypatch, mode, size):
    if mode == "I;16":
        grey = np.asarray(photo(*size, mode="L"), dtype=np.uint16) * 257
        data = encoded("PNG", Image.fromarray(grey))
    else:
        data = encoded("PNG", photo(*size, mode=mode))
    in_bands = load_image(data)
    monkeypatch.setattr(images, "BAND_PIXELS", 10**9)
    whole = load_image(data)
    np.testing.assert_array_equal(in_bands, whole)
    assert whole.std() > 5


def test_webp_and_avif_have_limits_of_their_own():
    for kind, options in (("WEBP", {"method": 0}), ("AVIF", {"speed": 10})):
        data = encoded(kind, Image.new("RGB", (4100, 4000)), **options)
        with pytest.raises(ImageError, match=f"at most 16 million.*of {kind}; save it as JPEG, or"):
            load_image(data)
    data = encoded("AVIF", photo())
    assert load_image(data + b"\0" * 2**20).std() > 5
    with pytest.raises(ImageError, match="AVIF of more than 12 MiB"):
        load_image(data + b"\0" * 12 * 2**20)


SOF0, SOF2, SOF3 = 0xC0, 0xC2, 0xC3


def jpeg_of(frame, width, height, components, scans=1, factors=(0x22, 0x11, 0x11)):
    """The head of a JPEG of this size, with its colours in so many scans, and no pixels."""
    size = struct.pack(">BHHB", 8, height, width, components)
    samples = b"".join(bytes([i + 1, factors[i], 0]) for i in range(components))
    each = components // scans
    of_scan = bytes([each]) + b"".join(bytes([i + 1, 0]) for i in range(each)) + b"\0\x3f\0"
    return b"\xff\xd8" + segment(frame, size + samples) + segment(0xDA, of_scan) + b"\xff\xd9"


JPEG_SIZES = [
    ("250 megapixels at once", (SOF0, 22_000, 11_360, 3), "damaged"),
    ("a long side", (SOF0, 65_500, 3_000, 3), "damaged"),
    ("one more row", (SOF0, 22_000, 11_364, 3), r"at most 250 million, .*; make it smaller"),
    ("a longer side", (SOF0, 65_501, 10, 3), r"65501 × 10 pixels; .* 65500 on a side"),
    ("progressive, 133", (SOF2, 11_500, 11_500, 3), "damaged"),
    ("progressive, 134", (SOF2, 11_600, 11_600, 3), r"404 MB .at most 400.; save it as baseline"),
    ("progressive, 4:4:4", (SOF2, 8_300, 8_300, 3, 1, (0x11,) * 3), "413 MB"),
    ("progressive, crossed", (SOF2, 10_000, 10_000, 3, 1, (0x21, 0x12, 0x11)), "damaged"),
    ("progressive, grey", (SOF2, 14_000, 14_000, 1), "damaged"),
    ("progressive, four colours", (SOF2, 8_000, 8_000, 4, 1, (0x11,) * 4), "512 MB"),
    ("three scans", (SOF0, 11_600, 11_600, 3, 3), "a JPEG in several scans, .* 404 MB"),
    ("lossless", (SOF3, 7_100, 7_100, 3), "unusual kind"),
]


@pytest.mark.parametrize(
    ("head", "line"), [case[1:] for case in JPEG_SIZES], ids=[n for n, *_ in JPEG_SIZES]
)
def test_a_jpeg_may_be_as_large_as_its_decoding_is_cheap(head, line):
    with pytest.raises(ImageError, match=line) as caught:
        load_image(jpeg_of(*head))
    assert len(str(caught.value)) < 150


def test_of_a_large_jpeg_a_smaller_scale_is_decoded(monkeypatch):
    """However much is wanted each way, no more pixels are decoded than of other formats."""
    data = encoded("JPEG", photo(1600, 640), quality=95)
    expected = load_image(data, size=(400, 400)).astype(int)
    monkeypatch.setattr("catclf.data.image_limits.MAX_PIXELS", 1600 * 640 // 4)
    monkeypatch.setattr("catclf.data.image_limits.MAX_PARTS", 10**6)
    decoded = []
    sound = images._scale
    monkeypatch.setattr(
        images, "_scale", lambda image, *rest: decoded.append(image.size) or sound(image, *rest)
    )
    assert np.abs(load_image(data, size=(400, 400)) - expected).mean() < 3
    assert decoded == [(800, 320)]


RUNS = b"".join(
    [
        b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 40 + 1024),
        struct.pack("<IiiHHIIiiII", 40, 64, 64, 1, 8, 1, 4 * 64 + 2, 0, 0, 256, 0),
        bytes(range(256)) * 4,
        b"\x40\1\0\0" * 64 + b"\0\1",
    ]
)
REFUSED = {
    "segments": (jpeg(segment(0xFE, b"") * 20_000), "more than 20000 segments"),
    "no end": (b"\xff\xd8\xff\xe0\0\4ab", "damaged"),
    "an end before the picture": (b"\xff\xd8\xff\xd9", "damaged"),
    "chunks": (small(*[(b"abCd", b"")] * 20_000), "more than 20000 chunks"),
    "blocks": (gif(b"!\xfe\1a\0" * 10_001), "more than 20000 blocks"),
    "scans": (progressive(600, 64), "too many scans"),
    "a GIF of a header": (gif()[:20], "damaged"),
    "a BMP that is run-length coded": (RUNS + b"\0" * 2**21, "run-length"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_take_too_long_is_refused(name):
    data, pattern = REFUSED[name]
    with pytest.raises(ImageError, match=pattern):
        load_image(data)


def test_what_is_just_within_the_limits_is_read(monkeypatch):
    load_image(jpeg(segment(0xFE, b"") * 19_000))
    load_image(small(*[(b"abCd", b"")] * 19_900))
    load_image(gif(b"!\xfe\1a\0" * 9_990))
    load_image(jpeg(b"\xff\xd0", segment(0xE0, b"x")))  # a marker without a length
    load_image(progressive(400, 64))
    load_image(RUNS)
    monkeypatch.setattr("catclf.data.image_limits.MAX_PROGRESSIVE_BYTES", 100)
    with pytest.raises(ImageError, match="progressive JPEG of more than"):
        load_image(progressive(1, 64))


def test_markers_within_and_between_scans_and_no_end_at_all():
    data = encoded("JPEG", photo())
    np.testing.assert_array_equal(load_image(data[:-2] + b"\xff\x01\xff\xd9"), load_image(data))
    with pytest.raises(ImageError, match="truncated"):
        load_image(data[:-2])
    data = encoded("JPEG", Image.linear_gradient("L"), progressive=True)
    at = data.rindex(b"\xff\xda")
    marked = data[:at] + b"\xff\x01" + data[at:]
    np.testing.assert_array_equal(load_image(marked), load_image(data))


def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path, monkeypatch):
    from catclf.common import files

    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    sound = os.stat(tmp_path / "file")
    monkeypatch.setattr(files.os, "stat", lambda path: sound)  # it was a file when looked at
    with pytest.raises(ImageError, match="not a regular file"):
        load_image(tmp_path / "pipe")


# Several at a time


def at_once(monkeypatch, sources):
    """Read images in a thread each; give how many at most were being decoded at once."""
    lock, now, most = threading.Lock(), 0, 0
    sound = images._scale

    def counted(*arguments):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.3)  # long enough for the others to get here too
        try:
            return sound(*arguments)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(images, "_scale", counted)
    found = list(threads.ordered(load_image, sources, len(sources)))
    assert len(found) == len(sources)
    return most


LARGE = {
    "PNG": (encoded("PNG", Image.new("L", (4000, 3000))), 1),
    "progressive JPEG": (encoded("JPEG", Image.new("L", (4000, 3000)), progressive=True), 1),
    "WebP": (encoded("WEBP", Image.new("RGB", (2000, 1700)), method=0), 1),
    "JPEG, however large": (encoded("JPEG", Image.new("L", (4000, 3000))), 3),
    "small PNG": (encoded("PNG", Image.new("L", (1000, 1000))), 3),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_images_are_decoded_one_at_a_time(monkeypatch, name):
    data, expected = LARGE[name]
    assert at_once(monkeypatch, [data] * 3) == expected


def test_a_jpeg_whose_colours_come_one_after_another_counts_as_held_whole():
    data = jpeg(segment(0xE1, b"Exif\0\0" + encoded("JPEG")))
    assert not strip_metadata(data)[1]
    assert not strip_metadata(data + data)[1]  # a second picture after the first
    at = data.rindex(b"\xff\xda")
    of_one = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
    assert strip_metadata(data[:at] + of_one + data[at + 14 :])[1]


def test_large_files_are_read_one_at_a_time(monkeypatch, tmp_path):
    data = encoded("PNG", Image.new("L", (100, 100)))
    (tmp_path / "small").write_bytes(data)
    (tmp_path / "large").write_bytes(data + b"\0" * LARGE_FILE)
    assert at_once(monkeypatch, [tmp_path / "large"] * 3) == 1
    assert at_once(monkeypatch, [tmp_path / "small"] * 3) == 3
    (tmp_path / "refused").write_bytes(b"\0" * LARGE_FILE)
    for _ in range(2):  # one that is refused leaves room for the next
        with pytest.raises(ImageError):
            load_image(tmp_path / "refused")
    assert at_once(monkeypatch, [LARGE["PNG"][0]] * 2) == 1


def test_pillows_warnings_are_not_shown_in_any_thread():
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\x0f\x01\x02\0\xff"
    data = jpeg(segment(0xE1, exif))
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        Image.open(io.BytesIO(data)).getexif()
    code = """
import sys
from catclf.common import threads
from catclf.data.images import load_image
list(threads.ordered(load_image, [sys.stdin.buffer.read()] * 40, 4))
"""
    command = [sys.executable, "-W", "always", "-c", code]
    assert subprocess.run(command, input=data, capture_output=True, check=True).stderr == b""


def detailed(width, height, **options):
    """A photo with noise in it, as large ones have."""
    image = photo(width, height)
    rng = np.random.default_rng(0)
    for top in range(0, height, 500):
        part = np.asarray(image.crop((0, top, width, min(top + 500, height)))).astype(np.int16)
        part += rng.integers(-20, 21, part.shape, dtype=np.int16)
        image.paste(Image.fromarray(part.clip(0, 255).astype(np.uint8)), (0, top))
    return encoded("JPEG", image, **options)


DETAILED = {
    "JPEG of 108 megapixels, in detail": lambda: detailed(12_000, 9_000, quality=80),
    "JPEG of 200 megapixels, in detail": lambda: detailed(16_384, 12_288, quality=80),
    "progressive, 132 megapixels": lambda: detailed(11_500, 11_500, quality=60, progressive=True),
}


if __name__ == "__main__":  # the figures of SECURITY.md
    from test_heic import LARGE as HEIC

    with TemporaryDirectory() as folder:
        print(f"{'image':36} {'MiB':>6} {'seconds':>8} {'MB':>5}  outcome")
        for title, make in (CHEAP | DETAILED | HEIC).items():
            file = Path(folder, "x")
            file.write_bytes(make())
            size, (spent, peak, outcome) = file.stat().st_size / 2**20, cost(file)
            print(f"{title:36} {size:6.1f} {spent:8.2f} {peak:5.0f}  {outcome}")
