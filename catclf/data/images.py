"""An image file, or its bytes → uint8 (64, 64, 3), or another size: the only reader of images.

Training, evaluation and prediction all read through `load_image`, so that what a model sees later
is what it learned from. `load_photo` reads the same files, to be looked at by a person.
"""

from __future__ import annotations

import os
import re
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

from catclf.common.files import LFS_POINTER, describe_content, open_regular
from catclf.common.types import IMAGE_SIZE
from catclf.data import image_limits as limits
from catclf.data.heic import main_picture
from catclf.data.image_limits import MAX_FILE_BYTES
from catclf.errors import ImageError, NotAnImageError

BAND_PIXELS = 1_000_000
"""From here on an image that is not a JPEG's is shrunk a band of rows at a time."""
HEIC_READER = "HeifImageFile"
READERS = {
    rb"\xff\xd8\xff": "JpegImageFile",  # and MPO, a JPEG followed by others
    rb"\x89PNG": "PngImageFile",
    rb".{8}WEBP": "WebPImageFile",
    rb"GIF8": "GifImageFile",
    rb"BM.{12}[\x0c(48@l|]\0\0\0": "BmpImageFile",  # by its header's size, for text may begin so
    rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)(?!.{,48}avif)": HEIC_READER,
    rb".{4}ftyp(avi[fs]|mif1|msf1)": "AvifImageFile",
}
"""The class that reads what begins so: Pillow's, in a module named alike, or pillow_heif's."""
READ = "JPEG, PNG, WebP, GIF, BMP, AVIF and HEIC are read"
SAVE = "save it as JPEG or PNG"
REMEDIES = {
    "an empty file": "fetch or copy it again",
    "a file of zeros": "fetch or copy it again",
    LFS_POINTER: "fetch the file itself with: git lfs pull",
    "a web page": "open it, and save the picture itself",
    "an HDF5 file": "measure it with: catclf eval",
    "a catclf model": "name it with --model",
    "a NumPy file": "make an image of an array x: PIL.Image.fromarray(x).save('x.png')",
    "a MATLAB file of before version 7.3": "make an image of an array x: imwrite(x, 'x.png')",
    "an archive": "unpack it, and name the folder",
    "a video": "save a picture of it as JPEG or PNG",
    **dict.fromkeys(("an image", "an image of another kind", "a TIFF or raw photo"), SAVE),
    **dict.fromkeys(("a PDF", "an SVG drawing"), SAVE),
}
"""What to do with files of other kinds, as `describe_content` calls them."""

_ONE_LARGE = threading.RLock()
"""Who reads or decodes a large image holds this: several at a time would need much memory."""

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
    animation the first frame is taken. JPEG (and MPO), PNG, WebP, GIF, BMP and AVIF are read, and
    HEIC with pillow-heif. Colour profiles are not applied.

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
    bilinear = Image.Resampling.BILINEAR
    return _load(source, lambda *_: (width, height), bilinear, max_bytes)


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

    def in_proportion(width: int, height: int) -> tuple[int, int]:
        scale = longest / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    return _load(source, in_proportion, Image.Resampling.BICUBIC, max_bytes)[0]


def _load(
    source: str | os.PathLike[str] | bytes,
    size_of: Callable[[int, int], tuple[int, int]],
    filter: Image.Resampling,
    max_bytes: int,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read an image, whatever it may be; give it scaled, and the width and height that it had.

    `size_of` says what size is wanted of an image of that width and height.
    """
    with ExitStack() as turn:
        data = source if isinstance(source, bytes) else _read_file(source, max_bytes, turn)
        if len(data) > max_bytes:
            raise ImageError(f"more than {max_bytes / 2**20:.4g} MiB; see --max-file-size")
        reader = _reader_of(data)
        try:
            held_whole = True
            if reader == HEIC_READER:
                data = main_picture(data)
            else:
                data, held_whole = limits.strip_metadata(data)
            with _open(reader, data) as image:
                form, whole = str(image.format), image.size
                limits.check_size(form, *whole)
                # A JPEG's decoder halves: twice what is wanted is as sharp as need be, and several
                # times faster than the whole. Other formats ignore this.
                most = limits.most_to_decode(*whole, held_whole)
                enough = min(2 * max(size_of(*whole)), most)
                image.draft("RGB", (enough, enough))
                if limits.is_large(form, *(whole if held_whole else image.size)):
                    turn.enter_context(_ONE_LARGE)
                return np.asarray(_scale(image, size_of, filter), dtype=np.uint8), whole
        except ImageError:
            raise
        except Image.DecompressionBombError:
            raise ImageError("too large; save it as JPEG, or smaller") from None
        except Exception as error:  # Pillow's readers raise a dozen kinds on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"a damaged or unusable image ({reason})") from error


def _read_file(path: str | os.PathLike[str], max_bytes: int, turn: ExitStack) -> bytes:
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size >= limits.LARGE_FILE:
                turn.enter_context(_ONE_LARGE)
            return file.read(min(size, max_bytes + 1))
    except IsADirectoryError:
        raise ImageError("a folder, where an image file was expected") from None
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(getattr(error, "strerror", None) or str(error)) from error


def _reader_of(data: bytes) -> str:
    """Name the class that reads what has these first bytes; NotAnImageError if there is none."""
    for start, reader in READERS.items():
        if re.match(start, data, re.DOTALL):
            return reader
    kind = describe_content(data) or "a file of an unknown kind"
    remedy = REMEDIES.get(kind, READ)
    where = "which is not read" if remedy == SAVE else "where an image was expected"
    raise NotAnImageError(f"{kind}, {where}; {remedy}")


def _open(reader: str, data: bytes) -> Image.Image:
    """Have an image's head read by one of Pillow's readers, without loading the other 40."""
    where = "pillow_heif" if reader == HEIC_READER else f"PIL.{reader.removesuffix('File')}Plugin"
    try:
        module = import_module(where)
    except ImportError:
        raise ImageError("a HEIC photo; to read it: pip install 'catclf[heic]'") from None
    try:
        image: Image.Image = getattr(module, reader)(BytesIO(data))
    except (SyntaxError, IndexError, TypeError, struct.error):
        raise ImageError("a damaged or truncated image") from None
    return image


def _scale(
    image: Image.Image, size_of: Callable[[int, int], tuple[int, int]], filter: Image.Resampling
) -> Image.Image:
    """Decode an image and scale it, upright and on white."""
    image.load()
    if image.width * image.height > BAND_PIXELS:
        small = _scale_in_bands(image, size_of(*image.size), filter)
        small.info = {key: value for key, value in image.info.items() if key != "transparency"}
        _turn_upright(small)
        return small
    _turn_upright(image)
    rgb = _on_white(_eight_bits(image))
    return rgb.resize(size_of(*rgb.size), filter, reducing_gap=2.0)


def _turn_upright(image: Image.Image) -> None:
    with suppress(Exception):  # an unreadable EXIF block: the picture is good all the same
        ImageOps.exif_transpose(image, in_place=True)


def _scale_in_bands(
    image: Image.Image, size: tuple[int, int], filter: Image.Resampling
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
    return reduced.resize(size, filter, box=(0, 0, width / across, height / down))


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
