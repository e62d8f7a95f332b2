"""Check the reader of images: real photos to the byte, every kind of file, and what is refused."""

import os
import warnings
import zlib
from io import BytesIO

import h5py
import numpy as np
import pytest
from image_files import encode, png
from PIL import Image

from catclf.data.image_limits import MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE
from catclf.data.images import load_image
from catclf.errors import ImageError, NotAnImageError
from catclf.features.conv import shipped

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def noise(height=64, width=64):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


NOISE = Image.fromarray(noise())


def halves(mode, left, right):
    """An image of which the left half has one colour, the right half another."""
    image = Image.new(mode, (128, 96), right)
    image.paste(left, (0, 0, 64, 96))
    if mode == "P":
        image.putpalette([*RED, *BLUE])
    return image


def looks(picture, left, right, tolerance=0):
    """Whether the halves have these colours, away from the border between them."""
    assert (picture.shape, picture.dtype) == ((64, 64, 3), np.uint8)
    assert picture.flags.c_contiguous
    off_left = np.abs(picture[:, :30].astype(int) - left).max()
    off_right = np.abs(picture[:, 34:].astype(int) - right).max()
    return bool(max(off_left, off_right) <= tolerance)


def png_halves(depth, colour, left, right, *chunks):
    return png(64, 64, depth, colour, zlib.compress((b"\0" + left * 32 + right * 32) * 64), *chunks)


def test_photos_equal_the_data_set_to_the_byte(shared):
    lines = (shared / "photos" / "rows.tsv").read_text().splitlines()[1:]
    rows = {int(line.split("\t")[1]): line.split("\t")[0] for line in lines}
    assert len(rows) == 213
    with h5py.File(shared / "datasets" / "photos_train.h5") as file:
        stored = file["train_set_x"][sorted(rows)]
    for row, image in zip(sorted(rows), stored, strict=True):
        np.testing.assert_array_equal(load_image(shared / "photos" / rows[row]), image, rows[row])


# Every kind of file

COLOURS = [
    *((("RGB", RED, BLUE), kind, {}, 0) for kind in ("PNG", "BMP", "GIF")),
    *((("RGB", RED, BLUE), kind, {}, 8) for kind in ("WEBP", "JPEG", "AVIF")),
    (("RGB", RED, BLUE), "WEBP", {"lossless": True}, 0),
    (("RGB", RED, BLUE), "JPEG", {"progressive": True}, 8),
    (("CMYK", (0, 255, 255, 0), (255, 255, 0, 0)), "JPEG", {"quality": 95}, 8),
    *((("P", 0, 1), kind, {}, 0) for kind in ("PNG", "GIF", "BMP")),
    *((("L", 40, 200), kind, {}, 2) for kind in ("PNG", "BMP", "GIF", "JPEG")),
    *((("1", 0, 1), kind, {}, 0) for kind in ("PNG", "BMP", "GIF")),
]
SEEN = {"L": (40, 200), "1": (BLACK, WHITE)}
"""Left and right, where they are not red and blue."""


@pytest.mark.parametrize(("drawn", "kind", "options", "tolerance"), COLOURS)
def test_colours(drawn, kind, options, tolerance):
    data = encode(halves(*drawn), kind, **options)
    left, right = SEEN.get(drawn[0], (RED, BLUE))
    with Image.open(BytesIO(data)) as image:
        assert image.mode == drawn[0] or drawn[0] != "CMYK"
    assert looks(load_image(data), left, right, tolerance)
    assert not looks(load_image(data), right, left, tolerance)


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("GIF", 0), ("PNG", 0), ("WEBP", 8), ("AVIF", 8), ("MPO", 8)]
)
def test_of_several_pictures_the_first_is_taken(kind, tolerance):
    frames = [halves("RGB", RED, BLUE), halves("RGB", BLUE, RED), halves("RGB", WHITE, BLACK)]
    for first, second in ((0, 1), (1, 0)):
        data = encode(frames[first], kind, save_all=True, append_images=[frames[second], frames[2]])
        with Image.open(BytesIO(data)) as image:
            assert (image.format, image.n_frames) == (kind, 3)
        picture = load_image(data)
        assert looks(picture, RED, BLUE, tolerance) is (first == 0)
        assert looks(picture, BLUE, RED, tolerance) is (first == 1)


def test_sixteen_bit_grey_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    data = encode(Image.fromarray(ramp), "PNG")
    assert data[24:26] == b"\x10\0", "not 16 bits of grey"
    eight = np.round(ramp / 65535 * 255).astype(int)[:, :, None]
    np.testing.assert_array_equal(load_image(data), eight.repeat(3, axis=2))
    for wrong in (ramp.clip(0, 255), ramp // 256):
        assert np.any(wrong[:, :, None] != eight)


# Transparency

RGBA = "RGBA", (*RED, 0), (*BLUE, 255)
TRANSPARENT = [
    (encode(halves(*RGBA), "PNG"), WHITE, BLUE, 0),
    (encode(halves(*RGBA), "WEBP", lossless=True), WHITE, BLUE, 0),
    (encode(halves(*RGBA), "WEBP"), WHITE, BLUE, 8),
    (encode(halves(*RGBA), "AVIF"), WHITE, BLUE, 8),
    (encode(halves(*RGBA), "GIF"), WHITE, BLUE, 0),
    (
        encode(halves("RGBA", (*RED, 128), (*BLUE, 64)), "PNG"),
        (255, 127, 127),
        (191, 191, 255),
        1,
    ),
    (encode(halves("LA", (0, 0), (90, 255)), "PNG"), WHITE, 90, 0),
    (encode(halves("LA", (0, 128), (90, 255)), "PNG"), 127, 90, 1),
    (encode(halves("P", 0, 1), "PNG", transparency=0), WHITE, BLUE, 0),
    (encode(halves("P", 0, 1), "PNG", transparency=b"\x80\xff"), (255, 127, 127), BLUE, 1),
    (encode(halves("P", 0, 1), "GIF", transparency=0), WHITE, BLUE, 0),
    (encode(halves("RGB", RED, BLUE), "PNG", transparency=RED), WHITE, BLUE, 0),
    (encode(halves("L", 30, 90), "PNG", transparency=30), WHITE, 90, 0),
    (encode(halves("1", 0, 1), "PNG", transparency=0), WHITE, WHITE, 0),
    (png_halves(16, 4, b"\x75\x30\0\0", b"\x9c\x40\xff\xff"), WHITE, 156, 1),
    (png_halves(16, 0, b"\x01\x2c", b"\x9c\x40", (b"tRNS", b"\x01\x2c")), WHITE, 156, 1),
]


@pytest.mark.parametrize(("data", "left", "right", "tolerance"), TRANSPARENT, ids=range(16))
def test_transparency_is_laid_on_white(data, left, right, tolerance):
    assert looks(load_image(data), left, right, tolerance)
    with Image.open(BytesIO(data)) as image:  # dropping the transparency is not the same
        image.load()
        image.info.pop("transparency", None)
        dropped = np.asarray(image.convert("RGB").resize((64, 64)))
    assert not looks(dropped, left, right, tolerance)


def test_only_the_very_grey_of_sixteen_bits_is_transparent():
    near = png_halves(16, 0, b"\x01\x2c", b"\x01\x2d", (b"tRNS", b"\x01\x2c"))
    assert looks(load_image(near), WHITE, 1)


# Orientation


def stored(upright, orientation):
    """Turn an image as a camera stores it (Exif 2.3, tag 0x0112: where row 0 and column 0 lie)."""
    turned = upright if orientation <= 4 else upright.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 6, 7) else 1  # row 0 is the bottom, or the right side
    columns = -1 if orientation in (2, 3, 7, 8) else 1  # column 0 is the right side, or the bottom
    return np.ascontiguousarray(turned[::rows, ::columns])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}, 2),
        ("JPEG", {"quality": 95, "subsampling": 0}, 2),
    ],
)
def test_exif_orientation(kind, options, tolerance, orientation):
    upright = noise(4, 6).repeat(16, axis=0).repeat(16, axis=1)
    as_stored = Image.fromarray(stored(upright, orientation))
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = load_image(encode(Image.fromarray(upright), "PNG")).astype(int)

    def distance(**more):
        picture = load_image(encode(as_stored, kind, **options, **more))
        return float(np.abs(picture - expected).mean())

    assert distance(exif=exif) <= tolerance
    assert (distance() <= tolerance) is (orientation == 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "block",
    [
        b"II*\0\xff\xff\xff\xff",  # the directory lies beyond the end
        b"II*\0\x08\0\0\0\x05\0\x12\x01\x03\0",  # cut within the first of five entries
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\x7f\0\0\0\0",  # a value of 2 GiB
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",  # orientation 99
        b"no TIFF header at all",
    ],
)
def test_a_damaged_exif_block_does_no_harm(kind, block):
    with_block = encode(NOISE, kind, exif=b"Exif\0\0" + block)
    assert block in with_block
    np.testing.assert_array_equal(load_image(with_block), load_image(encode(NOISE, kind)))


# Names and sources


@pytest.mark.parametrize("name", ["cat.png", "cat.jpg", "cat", "Katze Ä 猫.PNG"])
def test_the_content_counts_not_the_name_and_64_pixels_stay_as_they_are(tmp_path, name):
    path = tmp_path / name
    for kind, options in (("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})):
        path.write_bytes(encode(NOISE, kind, **options))
        for source in (path, str(path), path.read_bytes()):
            np.testing.assert_array_equal(load_image(source), noise())
    (tmp_path / "link").symlink_to(name)
    np.testing.assert_array_equal(load_image(tmp_path / "link"), noise())


# What is refused


def written(write):
    """What a function writes to a file."""
    buffer = BytesIO()
    write(buffer)
    return buffer.getvalue()


FTYP = b"\0\0\0\x18ftyp"
ARRAY = "a NumPy file, .*; make an image of an array x: PIL.Image.fromarray"
PAGE = "a web page, .*; open it, and save the picture itself"
ARCHIVE = "an archive, .*; unpack it, and name the folder"
SAVE = ", which is not read; save it as JPEG or PNG"
RAW, OTHER = f"a TIFF or raw photo{SAVE}", f"an image of another kind{SAVE}"
VIDEO = "a video, .*; save a picture of it"
READ = "JPEG, PNG, WebP, GIF, BMP, AVIF and HEIC are read"
OTHER_FILES = {
    "empty": (b"", "an empty file, .*; fetch or copy it again"),
    "zeros": (b"\0" * 5000, "a file of zeros, .*; fetch or copy it again"),
    "HTML": (b"<!DOCTYPE html><html><body>404</body></html>", PAGE),
    "HTML after lines": (b"\xef\xbb\xbf\r\n\n <HTML lang=en>", PAGE),
    "XHTML": (b'<?xml version="1.0"?>\n<!DOCTYPE html>\n<html>', PAGE),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', f"an SVG drawing{SAVE}"),
    "SVG after a comment": (b'<?xml version="1.0"?>\n<!-- Inkscape -->\n<svg/>', "an SVG drawing"),
    "PDF": (b"%PDF-1.7\n%%EOF\n", f"a PDF{SAVE}"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "an HDF5 file, .*; measure it with: catclf eval"),
    "ZIP": (b"PK\3\4" + b"\0" * 26 + b"cats/1.jpg", ARCHIVE),
    "gzip": (b"\x1f\x8b\x08\0", ARCHIVE),
    ".npy": (written(lambda file: np.save(file, noise())), ARRAY),
    ".npz": (written(lambda file: np.savez(file, x=noise())), ARRAY),
    ".mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", r"a MATLAB file .*; .* imwrite\("),
    ".csv": (b"path,label\ncat.jpg,1\n", f"a table as text, .*; {READ}"),
    "JSON": (b'{"error": "not found"}', f"text, .*; {READ}"),
    "text that begins with BM": (b"BMW is no cat\n" * 20, f"text, .*; {READ}"),
    "TIFF": (encode(NOISE, "TIFF"), RAW),
    "NEF": (b"MM\0*\0\0\0\x08" + b"\0" * 50, RAW),
    "CR3": (FTYP + b"crx \0\0\0\1crx isom", RAW),
    "RAF": (b"FUJIFILMCCD-RAW 0201", RAW),
    **{kind: (encode(NOISE, kind), OTHER) for kind in ("EPS", "PPM", "ICO")},
    "JPEG XL": (b"\xff\x0a\xfa\x1f", OTHER),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", OTHER),
    "PSD": (b"8BPS\0\1", OTHER),
    "MP4": (FTYP + b"isom\0\0\2\0isomiso2avc1mp41", VIDEO),
    "QuickTime": (FTYP + b"qt  \0\0\2\0qt  ", VIDEO),
    "Matroska": (b"\x1aE\xdf\xa3\x01\0", VIDEO),
    "AVI": (b"RIFF\0\0\0\0AVI LIST", VIDEO),
    "sound": (b"ID3\4\0\0\0\0", f"a file of an unknown kind, .*; {READ}"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_other_files_are_named_with_the_remedy(tmp_path, name):
    data, line = OTHER_FILES[name]
    path = tmp_path / "cat.jpg"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(NotAnImageError, match=line) as caught:
            load_image(source)
        assert len(str(caught.value)) < 130


def test_a_model_where_a_photo_was_expected():
    with pytest.raises(NotAnImageError, match=r"a catclf model, .*; name it with --model"):
        load_image(shipped("photos.npz"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_a_truncated_image_is_damaged_and_not_another_kind_of_file(kind):
    data = encode(NOISE, kind)
    assert load_image(data).shape == (64, 64, 3)
    for length in (20, len(data) // 2, len(data) * 19 // 20):
        with pytest.raises(ImageError, match="damaged" if kind != "AVIF" else ".") as caught:
            load_image(data[:length])
        assert not isinstance(caught.value, NotAnImageError)


def test_avif_is_not_taken_for_heic():
    avif = encode(NOISE, "AVIF")
    assert avif[4:12] == b"ftypavif"
    general = avif[:8] + b"mif1" + avif[12:]  # the brand that both may carry
    np.testing.assert_array_equal(load_image(general), load_image(avif))


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    for name, reason in {
        tmp_path / "pipe": "not a regular file",
        tmp_path: "a folder",
        tmp_path / "missing.jpg": "no such file",
        tmp_path / "dangling": "no such file",
        tmp_path / "no" / "such" / "folder.jpg": "no such file",
        "": "no such file",
        "cat\0.jpg": "null",
        "x" * 5000: "too long",
    }.items():
        with pytest.raises(ImageError, match=reason):
            load_image(name)


def test_a_file_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "sparse.png"
    path.write_bytes(encode(NOISE, "PNG"))
    os.truncate(path, MAX_FILE_BYTES)
    np.testing.assert_array_equal(load_image(path), noise())
    os.truncate(path, MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match="more than 64 MiB; see --max-file-size"):
        load_image(path)
    data = encode(NOISE, "PNG")
    path.write_bytes(data)
    for source in (data, path):
        load_image(source, max_bytes=len(data))
        with pytest.raises(ImageError, match=r"more than .* MiB; see --max-file-size"):
            load_image(source, max_bytes=len(data) - 1)


@pytest.mark.parametrize(
    ("width", "height", "error"),
    [
        *((*size, "damaged") for size in [(64, 64), (MAX_SIDE, 10), (10, MAX_SIDE)]),
        (10_000, MAX_PIXELS // 10_000, "damaged"),
        (10_000, MAX_PIXELS // 10_000 + 1, "10000 × 5001 pixels"),
        (MAX_SIDE + 1, 1, "20001 × 1 pixels"),
        (1, MAX_SIDE + 1, "1 × 20001 pixels"),
        (60_000, 10, "60000 × 10 pixels"),
        (10_000, 10_000, "10000 × 10000 pixels"),
        (2**31 - 1, 2**31 - 1, "too large|pixels"),  # Pillow itself refuses it
    ],
)
def test_too_many_pixels_are_refused_before_decoding(width, height, error):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match=error):
            load_image(png(width, height, 8, 0, b"no pixels"))
    assert warned == []


@pytest.mark.parametrize(("width", "height"), [(1, 1), (MAX_SIDE, 1), (1, MAX_SIDE), (63, 65)])
def test_any_shape_becomes_a_square(width, height):
    assert looks(load_image(encode(Image.new("RGB", (width, height), RED), "PNG")), RED, RED)
