"""An image file, or its bytes → uint8 (64, 64, 3), or another size: the only reader of images.

Training, evaluation and prediction all read through `load_image`, so that what a model sees later
is what it learned from. `load_photo` reads the same files, to be looked at by a person.
"""

from __future__ import annotations

import os
import struct
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from importlib import import_module
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from catclf.common.files import descriptor_of
from catclf.common.image_size import IMAGE_SIZE
from catclf.data.image_limits import MAX_FILE_BYTES, is_held_whole, trimmed
from catclf.errors import ImageError, NotAnImageError

MAX_PIXELS = 50_000_000
MAX_SIDE = 20_000
MAX_PIXELS_OF = {"WEBP": 16_000_000, "AVIF": 16_000_000}
"""Of formats that are decoded as a whole, in several times the memory of their pixels."""
BAND_PIXELS = 1_000_000
"""From here on an image that is not a JPEG's is shrunk a band of rows at a time."""

LARGE_FILE = 8 * 2**20
LARGE_IMAGE = 64_000_000
"""From so many bytes on, of the file or in decoding, images are read one at a time."""
BYTES_A_PIXEL = {"WEBP": 20, "AVIF": 20}
"""What decoding takes at most, where that is more than 6."""

READERS = {
    "JPEG": "JpegImageFile",  # and MPO, a JPEG followed by others
    "PNG": "PngImageFile",
    "WebP": "WebPImageFile",
    "GIF": "GifImageFile",
    "BMP": "BmpImageFile",
    "AVIF": "AvifImageFile",
}
"""Pillow's class for each format, in a module named alike."""
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")

_LARGE = threading.RLock()

# Pillow warns of damaged EXIF, which does no harm. It is told so once, for the filters of warnings
# belong to all threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def load_image(
    source: str | os.PathLike[str] | bytes,
    *,
    size: tuple[int, int] = (IMAGE_SIZE, IMAGE_SIZE),
    max_bytes: int = MAX_FILE_BYTES,
) -> NDArray[np.uint8]:
    """Read one image and squash its whole frame to 64 × 64, or to another size.

    EXIF orientation is applied; transparency is laid on white; 16 bits are scaled to 8; of an
    animation the first frame is taken. JPEG (and MPO), PNG, WebP, GIF, BMP and AVIF are read.

    Parameters
    ----------
    source : path or bytes
        A regular file, or the content of one.
    size : (int, int)
        Height and width of what is wanted, in pixels.
    max_bytes : int
        The largest file that is read.

    Returns
    -------
    uint8 (height, width, 3)
        Rows, columns, RGB in 0 to 255.

    Raises
    ------
    NotAnImageError
        If the content is in none of these formats.
    ImageError
        If the file cannot be read, is truncated or damaged, or is too large.
    """

    return load_with_size(source, size, max_bytes=max_bytes)[0]


def load_with_size(
    source: str | os.PathLike[str] | bytes,
    size: tuple[int, int] = (IMAGE_SIZE, IMAGE_SIZE),
    *,
    max_bytes: int = MAX_FILE_BYTES,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Do as `load_image`, and give the width and height that the image had, in pixels."""
    height, width = size

    def wanted(*original: int) -> tuple[int, int]:
        return width, height

    return _decode(source, 2 * max(size), wanted, Image.Resampling.BILINEAR, max_bytes)


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Squash an image uint8 (height, width, 3) that was read for a larger size to 64 × 64."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small, dtype=np.uint8)


def load_photo(
    source: str | os.PathLike[str] | bytes, longest: int, *, max_bytes: int = MAX_FILE_BYTES
) -> NDArray[np.uint8]:
    """Read one image in its own proportions: uint8 (height, width, 3), the longer side `longest`.

    What is read, how, and what is raised is as with `load_image`.
    """

    def size(width: int, height: int) -> tuple[int, int]:
        scale = longest / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    return _decode(source, 2 * longest, size, Image.Resampling.BICUBIC, max_bytes)[0]


def _decode(
    source: str | os.PathLike[str] | bytes,
    enough: int,
    size: Callable[[int, int], tuple[int, int]],
    smooth: Image.Resampling,
    max_bytes: int,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Open an image, whatever it may be, scale it to a size that depends on its own; give both."""
    with ExitStack() as turn:
        data = source if isinstance(source, bytes) else _read(source, max_bytes, turn)
        if len(data) > max_bytes:
            raise ImageError(f"more than {max_bytes / 2**20:.4g} MiB; see --max-file-size")
        form = _format(data)
        try:
            with _opened(form, trimmed(data)) as image:
                _check_size(image)
                original = image.size
                needed = image.width * image.height * BYTES_A_PIXEL.get(str(image.format), 6)
                if needed >= LARGE_IMAGE and is_held_whole(data):
                    turn.enter_context(_LARGE)
                # A JPEG is decoded at the smallest scale that leaves `enough` pixels, twice the
                # target: sharper than that need, and several times faster than the whole. Other
                # formats ignore this.
                image.draft("RGB", (enough, enough))
                scaled = _scaled(image, size, smooth)
                return np.asarray(scaled, dtype=np.uint8), original
        except ImageError:
            raise
        except Image.DecompressionBombError:
            raise ImageError(
                f"too large; at most {MAX_PIXELS // 10**6} million pixels are read"
            ) from None
        except Exception as error:  # Pillow's readers raise a dozen kinds on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"a damaged or unusable image ({reason})") from error


def _read(path: str | os.PathLike[str], max_bytes: int, turn: ExitStack) -> bytes:
    try:
        descriptor = descriptor_of(path)  # a file object would ask the system more, and take longer
        try:
            size = os.fstat(descriptor).st_size
            if size >= LARGE_FILE:
                turn.enter_context(_LARGE)
            data = b""
            while more := os.read(descriptor, min(size, max_bytes + 1) - len(data)):
                data += more
            return data
        finally:
            os.close(descriptor)
    except IsADirectoryError:
        raise ImageError("a folder, where an image file was expected") from None
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(getattr(error, "strerror", None) or str(error)) from error


def _format(data: bytes) -> str:
    """Tell by its first bytes which format an image has."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in HEIC_BRANDS and b"avif" not in data[12:64]:
        raise ImageError("a HEIC photo, which is not read; convert it to JPEG first")
    signs = {
        "JPEG": data.startswith(b"\xff\xd8\xff"),
        "PNG": data.startswith(b"\x89PNG"),
        "WebP": data[8:12] == b"WEBP",
        "GIF": data.startswith(b"GIF8"),
        "BMP": data.startswith(b"BM"),
        "AVIF": brand in AVIF_BRANDS,
    }
    form = next((form for form, found in signs.items() if found), None)
    if data.startswith(b"\x89HDF"):
        raise NotAnImageError(
            "an HDF5 file, where an image was expected; measure it with: catclf eval"
        )
    if form is None:
        raise _not_an_image()
    return form


def _not_an_image() -> NotAnImageError:
    return NotAnImageError(
        "not an image that can be read; expected JPEG, PNG, WebP, GIF, BMP or AVIF"
    )


def _opened(form: str, data: bytes) -> Image.Image:
    """Have an image's head read by Pillow's reader of its format.

    That alone is loaded: `Image.open` would load more of Pillow's 40.
    """
    name = READERS[form]
    reader = getattr(import_module(f"PIL.{name.removesuffix('File')}Plugin"), name)
    try:
        opened: Image.Image = reader(BytesIO(data))
    except (SyntaxError, IndexError, TypeError, struct.error):
        if form == "BMP":  # it begins with the letters BM, as other files may
            raise _not_an_image() from None
        raise ImageError("a damaged or truncated image") from None
    return opened


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    most = MAX_PIXELS_OF.get(str(image.format), MAX_PIXELS)
    if width * height > most or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"{width} × {height} pixels; at most {most // 10**6} million, "
            f"and {MAX_SIDE} on a side, are read of {image.format}"
        )


def _scaled(
    image: Image.Image,
    size: Callable[[int, int], tuple[int, int]],
    smooth: Image.Resampling,
) -> Image.Image:
    image.load()
    if image.width * image.height > BAND_PIXELS:
        small = _scaled_in_bands(image, size(*image.size), smooth)
        small.info = {key: value for key, value in image.info.items() if key != "transparency"}
        _turn_upright(small)
        return small
    _turn_upright(image)
    rgb = _on_white(_eight_bits(image))
    return rgb.resize(size(*rgb.size), smooth, reducing_gap=2.0)


def _turn_upright(image: Image.Image) -> None:
    with suppress(Exception):  # an unreadable EXIF block: the picture is good all the same
        ImageOps.exif_transpose(image, in_place=True)


def _scaled_in_bands(
    image: Image.Image, size: tuple[int, int], smooth: Image.Resampling
) -> Image.Image:
    """Do what `resize` with a reducing gap of 2 does, without ever converting the whole."""
    width, height = image.size
    across, down = (
        max(1, int(side / target / 2)) for side, target in zip(image.size, size, strict=True)
    )
    rows = max(1, BAND_PIXELS // (width * down)) * down
    reduced = Image.new("RGB", (-(-width // across), -(-height // down)))
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        reduced.paste(_on_white(_eight_bits(band)).reduce((across, down)), (0, top // down))
    return reduced.resize(size, smooth, box=(0, 0, width / across, height / down))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey, which Pillow's own conversion would clip at 255."""
    if not image.mode.startswith("I"):
        return image
    grey = np.asarray(image).astype(np.int64)
    scaled = Image.fromarray(np.rint(grey / 257).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info:
        opaque = Image.fromarray(np.where(grey == image.info["transparency"], 0, 255).astype("u1"))
        scaled.putalpha(opaque)
    return scaled


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")
