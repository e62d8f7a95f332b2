"""An image file, or its bytes → uint8 (64, 64, 3): the only reader of images.

Training, evaluation and prediction all read through `load_image`, so that what a model sees later
is what it learned from. `load_photo` reads the same files, to be looked at by a person.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    # Named, these are loaded alone; left to Pillow, every one of its 40 readers would be.
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from catclf.dataset import IMAGE_SIZE
from catclf.errors import ImageError, NotAnImageError

MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MAX_SIDE = 20_000

FORMATS = tuple(
    str(reader.format)
    for reader in (
        JpegImagePlugin.JpegImageFile,  # reads MPO, a JPEG followed by others, too
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        AvifImagePlugin.AvifImageFile,
    )
)
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def load_image(source: str | os.PathLike[str] | bytes) -> NDArray[np.uint8]:
    """Read one image and squash its whole frame to 64 × 64.

    EXIF orientation is applied; transparency is laid on white; 16 bits are scaled to 8; of an
    animation the first frame is taken. JPEG (and MPO), PNG, WebP, GIF, BMP and AVIF are read.

    Parameters
    ----------
    source : path or bytes
        A regular file, or the content of one.

    Returns
    -------
    uint8 (64, 64, 3)
        Rows, columns, RGB in 0 to 255.

    Raises
    ------
    NotAnImageError
        If the content is in none of these formats.
    ImageError
        If the file cannot be read, is truncated or damaged, or is too large.
    """
    return _decode(source, _squash)


def load_sized(source: str | os.PathLike[str] | bytes) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Do as `load_image`, and give the width and height that the image had, in pixels."""
    sizes = []

    def squash(image: Image.Image) -> Image.Image:
        sizes.append(image.size)  # before a JPEG is decoded at a smaller scale
        return _squash(image)

    return _decode(source, squash), sizes[0]


def load_photo(source: str | os.PathLike[str] | bytes, longest: int) -> NDArray[np.uint8]:
    """Read one image in its own proportions: uint8 (height, width, 3), the longer side `longest`.

    What is read, how, and what is raised is as with `load_image`.
    """

    def fit(image: Image.Image) -> Image.Image:
        rgb = _upright(image, 2 * longest)
        scale = longest / max(rgb.size)
        size = max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale))
        return rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)

    return _decode(source, fit)


def _decode(
    source: str | os.PathLike[str] | bytes, scaled: Callable[[Image.Image], Image.Image]
) -> NDArray[np.uint8]:
    """Open an image, whatever it may be, and give what `scaled` makes of it."""
    data = source if isinstance(source, bytes) else _read(source)
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"more than {MAX_FILE_BYTES // 2**20} MiB in size")
    if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS and b"avif" not in data[12:64]:
        raise ImageError("a HEIC photo, which is not read; convert it to JPEG first")
    with warnings.catch_warnings():
        # Pillow warns of sizes that are refused below, and of damaged EXIF that does no harm.
        warnings.simplefilter("ignore")
        try:
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                _check_size(image)
                return np.asarray(scaled(image), dtype=np.uint8)
        except UnidentifiedImageError:
            if data.startswith(SIGNATURES) or data[4:12] == b"ftypavif" or data[8:12] == b"WEBP":
                raise ImageError("a damaged or truncated image") from None
            raise NotAnImageError(
                "not an image that can be read; expected JPEG, PNG, WebP, GIF, BMP or AVIF"
            ) from None
        except ImageError:
            raise
        except Image.DecompressionBombError:
            raise ImageError(
                f"too large; at most {MAX_PIXELS // 10**6} million pixels are read"
            ) from None
        except Exception as error:  # Pillow's readers raise a dozen kinds on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"a damaged or unusable image ({reason})") from error


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("a folder, where an image file was expected")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            mib, most = status.st_size / 2**20, MAX_FILE_BYTES // 2**20
            raise ImageError(f"{mib:.0f} MiB in size; at most {most} are read")
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(getattr(error, "strerror", None) or str(error)) from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"{width} × {height} pixels; at most {MAX_PIXELS // 10**6} million, "
            f"and {MAX_SIDE} on a side, are read"
        )


def _squash(image: Image.Image) -> Image.Image:
    size = IMAGE_SIZE, IMAGE_SIZE
    rgb = _upright(image, 2 * IMAGE_SIZE)
    return rgb.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _upright(image: Image.Image, enough: int) -> Image.Image:
    # A JPEG is decoded at the smallest scale that leaves `enough` pixels, twice the target: sharper
    # than that need, and several times faster than the whole. Other formats ignore this.
    image.draft("RGB", (enough, enough))
    image.load()
    with suppress(Exception):  # an unreadable EXIF block: the picture is good all the same
        ImageOps.exif_transpose(image, in_place=True)
    return _on_white(_eight_bits(image))


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
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")
