"""Check HEIC photos: the main picture, upright, as every other format is read; and hostile ones."""

import os
import subprocess
import sys
from collections import defaultdict
from io import BytesIO

import numpy as np
import pytest
from image_files import encode
from PIL import Image
from test_hostile_images import at_once, cost
from test_images import BLUE, RED, WHITE, halves, looks, noise, stored

from catclf.data import heic, image_limits
from catclf.data.images import load_image
from catclf.errors import ImageError, NotAnImageError

pillow_heif = pytest.importorskip("pillow_heif")

UPRIGHT = noise(4, 6).repeat(32, axis=0).repeat(32, axis=1)


def photo(pixels=UPRIGHT, *others, **options):
    """Encode pixels as HEIC; further pictures follow."""
    mode = {"u1": "RGB", "u2": "RGB;16"}[pixels.dtype.str[1:]]
    if pixels.shape[2:] == (4,):
        mode = "RGBA"
    file = pillow_heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes())
    for other in others:
        file.add_frombytes("RGB", other.shape[1::-1], other.tobytes())
    buffer = BytesIO()
    file.save(buffer, **{"quality": 95, **options})
    return buffer.getvalue()


def turned(orientation, **options):
    """Encode a picture as a phone does: stored as it lies, turned by the container and in EXIF."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return photo(stored(UPRIGHT, orientation), exif=exif.tobytes(), **options)


def changed(data, old, new, times=1):
    assert data.count(old) >= times
    return data.replace(old, new, times)


def distance(data, pixels=UPRIGHT):
    expected = load_image(encode(Image.fromarray(pixels), "PNG"))
    return float(np.abs(load_image(data).astype(int) - expected).mean())


@pytest.mark.parametrize("tiles", [{}, {"tile_size": 64}], ids=["whole", "tiles"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_once(orientation, tiles):
    data = turned(orientation, **tiles)
    assert (b"irot" in data or b"imir" in data) is (orientation > 1)
    assert (b"grid" in data) is bool(tiles)
    assert distance(data) < 2


def test_exif_alone_turns_nothing():  # ISO/IEC 23008-12: what the container says counts
    data = changed(turned(6), b"irot", b"free")
    assert b"Exif" in data
    assert distance(data, stored(UPRIGHT, 6)) < 2


def test_ten_bits_and_transparency():
    ten = photo(UPRIGHT.astype("<u2") * 257)
    assert pillow_heif.open_heif(ten).info["bit_depth"] == 10
    assert distance(ten) < 2
    rgba = np.asarray(halves("RGBA", (*RED, 0), (*BLUE, 255)))
    assert looks(load_image(photo(rgba)), WHITE, BLUE, 8)


@pytest.mark.parametrize("primary", [0, 1, 2])
def test_the_main_picture_is_read_and_no_other(primary):
    red = np.full((80, 100, 3), RED, dtype=np.uint8)
    pictures = [red, red, red]
    pictures[primary] = UPRIGHT
    data = photo(*pictures, primary_index=primary, thumbnails=[32], icc_profile=b"profile" * 99)
    assert b"thmb" in data
    assert distance(data) < 2
    alone = heic.main_picture(data)
    assert all(word not in alone for word in (b"thmb", b"profile", b"Exif"))
    assert len(pillow_heif.open_heif(alone)) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (63, 65), (1200, 1000)])
def test_any_shape_becomes_a_square(size):
    red = np.full((*size, 3), RED, dtype=np.uint8)
    assert looks(load_image(photo(red)), RED, RED, 8)


def test_without_the_extra_a_line_says_what_to_install(tmp_path):
    (tmp_path / "IMG_1.HEIC").write_bytes(photo())
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['pillow_heif'] = None")
    for path, expected in ((str(tmp_path), 3), ("", 0)):
        done = subprocess.run(
            [sys.executable, "-m", "catclf", "predict", "-q", tmp_path / "IMG_1.HEIC"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([path, *sys.path])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stderr
        line = f"error: {tmp_path / 'IMG_1.HEIC'}: a HEIC photo; to read it: "
        line += "pip install 'catclf[heic]'\n"
        assert done.stderr == (line if expected else "")


# Hostile files


def test_photos_are_decoded_one_at_a_time(monkeypatch):
    assert at_once(monkeypatch, [photo()] * 3) == 1


@pytest.mark.parametrize("part", [0.02, 0.1, 0.5, 0.97])
def test_a_truncated_photo_is_damaged_and_not_another_kind_of_file(part):
    data = photo()
    with pytest.raises(ImageError, match="damaged") as caught:
        load_image(data[: int(len(data) * part)])
    assert not isinstance(caught.value, NotAnImageError)


def mosaic(tile, rows, columns, transparent=False):
    """A photo of so many tiles, each with a content of its own that is the same."""
    (item,) = items_of(tile).values()
    height, width = (256 * n for n in (rows, columns))
    grid = bytes([0, 1, rows - 1, columns - 1]) + width.to_bytes(4) + height.to_bytes(4)
    ispe = memoryview(b"\0" * 4 + width.to_bytes(4) + height.to_bytes(4))
    kept, n = {}, rows * columns
    for main in (1, 2)[: 1 + transparent]:
        tiles = range(main * 1000, main * 1000 + n)
        shared = {kind: item.properties[kind] for kind in (b"pixi",)}
        auxiliary = {b"auxC": memoryview(b"\0" * 4 + heic._ALPHA[0])} if main == 2 else {}
        kept[main] = heic._Item(b"grid", content=grid)
        kept[main].properties = {**shared, b"ispe": ispe, **auxiliary}
        kept[main].references = {b"dimg": list(tiles), **({b"auxl": [1]} if main == 2 else {})}
        kept |= {at: heic._Item(b"hvc1", 0, [], {}, item.properties, item.content) for at in tiles}
    return heic._write(1, kept)


def items_of(data):
    """The pictures of a file, with their contents."""
    boxes = dict(heic._Reader(dict(heic._Reader(data).boxes())[b"meta"].data[4:]).boxes())
    items = heic._read_items(defaultdict(lambda: heic._Reader(b""), boxes))
    for item in items.values():
        item.content = b"".join(data[start : start + n] for start, n in item.places)
    return items


LARGE = {
    "HEIC of 50 megapixels": lambda: mosaic(photo(noise(256, 256), quality=26), 27, 28),
    "HEIC of 50 megapixels, 10 bits": lambda: mosaic(
        photo(noise(256, 256).astype("<u2") * 257, quality=26), 27, 28
    ),
    "HEIC of 26 megapixels, 4:4:4": lambda: mosaic(
        photo(noise(256, 256), chroma=444, quality=26), 20, 20
    ),
    "HEIC of 26 megapixels, transparent": lambda: mosaic(
        photo(noise(256, 256), quality=26), 20, 20, transparent=True
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_no_photo_costs_much(tmp_path, name):
    (tmp_path / "x").write_bytes(LARGE[name]())
    seconds, megabytes, outcome = cost(tmp_path / "x")
    assert outcome == "read"
    assert megabytes < 500
    assert seconds < 20


SIZE = (192).to_bytes(4) + (128).to_bytes(4)
HOSTILE = {
    "a size of 2^62 pixels": lambda: changed(
        photo(), SIZE, (2**31).to_bytes(4) + (2**31).to_bytes(4)
    ),
    "just too many pixels": lambda: changed(
        photo(), SIZE, (7072).to_bytes(4) + (7072).to_bytes(4)
    ),
    "a size that is not the stream's": lambda: changed(
        photo(), SIZE, (64).to_bytes(4) + (64).to_bytes(4)
    ),
    "an overlay": lambda: changed(photo(), b"hvc1", b"iovl"),
    "AV1": lambda: changed(photo(), b"hvc1", b"av01"),
    "places of no length": lambda: changed(photo(), b"\x44\x40\0\1", b"\x40\x40\0\1"),
    "boxes within boxes without end": lambda: photo() + b"\0\0\0\x08free" * 10**6,
    "a million boxes first": lambda: b"\0\0\0\x18ftypheic" + b"\0" * 8 + b"mif1"
    + b"\0\0\0\x08free" * 10**6,
    "a box longer than the file": lambda: photo()[:24] + b"\xff\xff\xff\xffmeta",
    "a box of negative length": lambda: photo()[:24] + b"\0\0\0\1meta" + b"\0" * 8,
    "tables of 2 MiB": lambda: photo()[:24] + (2**21 + 8).to_bytes(4) + b"meta" + b"\0" * 2**21,
    "no tables": lambda: photo()[:24],
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_photos_are_refused_at_little_cost(name, tmp_path):
    (tmp_path / "x").write_bytes(HOSTILE[name]())
    seconds, megabytes, outcome = cost(tmp_path / "x")
    if name != "boxes within boxes without end":  # what follows the picture is not looked at
        assert outcome != "read"
    assert megabytes < 150
    assert seconds < 10


def hevc(width, height, chroma=1, layers=0):
    """A sequence parameter set of HEVC up to the size of the picture, within its configuration."""

    def number(n):
        bits = f"{n + 1:b}"
        return "0" * (len(bits) - 1) + bits

    bits = f"{0x4201:016b}" + "0000" + f"{layers:03b}" + "0" + "0" * 96
    if layers:
        bits += "11" * layers + "00" * (8 - layers) + "0" * 96 * layers
    bits += number(0) + number(chroma) + "0" * (chroma == 3) + number(width) + number(height)
    unit = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    unit = unit.replace(b"\0\0\0", b"\0\0\3\0")  # as often as need be, but no more
    return b"\0" * 21 + b"\3\1\x21\0\1" + len(unit).to_bytes(2) + unit


def unit(kind, body=b"\x80"):
    return (len(body) + 2).to_bytes(4) + bytes([kind << 1, 1]) + body


@pytest.mark.parametrize("layers", [0, 1, 6])
@pytest.mark.parametrize("chroma", [0, 1, 2, 3])
def test_the_stream_itself_says_how_many_pixels_it_has(chroma, layers):
    item = heic._Item(properties={b"hvcC": memoryview(hevc(16888, 16384, chroma, layers))})
    item.content = unit(20) + unit(39) + unit(20, b"\0")
    assert heic._cost(item) == (16888 * 16384 * (1 + (chroma > 1)), 2)


@pytest.mark.parametrize(
    "content", [unit(20) * 2, unit(33), b"\0\0\0\1a", unit(39) * 20_001], ids=range(4)
)
def test_a_stream_of_several_pictures_or_sizes_is_refused(content):
    item = heic._Item(properties={b"hvcC": memoryview(hevc(64, 64))}, content=content)
    with pytest.raises(ImageError, match="unusual"):
        heic._cost(item)


@pytest.mark.parametrize(
    ("limit", "most", "reason"),
    [
        ("MAX_HEIC_BYTES", 100, "more than 0 MiB"),
        ("MAX_CODED_PIXELS", 64 * 64 * 6 - 1, "too long to decode"),
        ("MAX_SLICED_PIXELS", 64 * 64 * 6 - 1, "too long to decode"),
        ("MAX_HEIC_TABLES", 100, "unusual"),
        ("MAX_PARTS", 2, "unusual"),
    ],
)
def test_each_limit_holds(monkeypatch, limit, most, reason):
    data = photo(tile_size=64)  # three tiles by two
    load_image(data)
    monkeypatch.setattr(image_limits, limit, most)
    with pytest.raises(ImageError, match=reason):
        load_image(data)


def test_a_tile_that_comes_again_and_again_counts_each_time(monkeypatch):
    data = photo(tile_size=64)
    at = data.index(b"dimg") + 6
    count = int.from_bytes(data[at : at + 2])
    assert count == 6
    again = data[: at + 2] + data[at + 2 : at + 4] * count + data[at + 2 + 2 * count :]
    load_image(again)
    monkeypatch.setattr(image_limits, "MAX_CODED_PIXELS", 64 * 64 * 6 - 1)
    with pytest.raises(ImageError, match="too long to decode"):
        load_image(again)
    short = changed(data, b"\0\0\1\2\0\xc0\0\x80", b"\0\0\7\7\0\xc0\0\x80")
    with pytest.raises(ImageError, match="damaged"):  # a grid of more tiles than there are
        load_image(short)


def test_the_extra_is_imported_only_for_a_heic_photo():
    code = (
        "import sys; from catclf.data.images import load_image; "
        "load_image(sys.stdin.buffer.read()); print('pillow_heif' in sys.modules)"
    )
    for data in (encode(Image.fromarray(UPRIGHT), "PNG"), photo()):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, input=data, capture_output=True, check=True)
        assert done.stdout.strip() == (b"True" if b"heic" in data[:20] else b"False")
    load_image(photo())
    assert "HEIF" not in Image.OPEN  # Pillow itself is left as it was
