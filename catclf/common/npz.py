"""NumPy's .npz, read with care: the arrays of a file from a stranger, none larger than the file.

A .npz is a zip archive of .npy files (numpy.lib.format). Here its members are stored as they are,
each is there once, and holds one array of numbers or text and nothing after it. One of them,
`meta`, is JSON as text, with a SHA-256 of itself and of all the arrays.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import warnings
import zipfile
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from catclf.common.text import parse_json

SUFFIX = ".npy"
MOST_MEMBERS = 100

Arrays = dict[str, NDArray[Any]]


def write_npz(file: BinaryIO, meta: dict[str, Any], arrays: Arrays) -> None:
    """Write arrays and, as `meta`, JSON values with the digest of all.

    Raises
    ------
    ValueError
        If `meta` holds a number that is not finite.
    """
    signed = {**meta, "sha256": digest(meta, arrays)}
    text = np.array(json.dumps(signed, sort_keys=True, allow_nan=False))
    members: dict[str, Any] = {**arrays, "meta": text}
    np.savez(file, **members)


def read_npz(data: bytes, most_members: int = MOST_MEMBERS) -> Arrays:
    """Read the arrays of a .npz by name.

    Raises
    ------
    ValueError
        In whatever way it is not such a file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, warnings.catch_warnings():
            warnings.simplefilter("error")  # of headers that NumPy would have to mend
            members = archive.infolist()
            if len(members) > most_members or len({m.filename for m in members}) < len(members):
                raise ValueError("too many members, or one twice")
            if any(m.compress_type != zipfile.ZIP_STORED for m in members):
                raise ValueError("its members are compressed")
            if any(m.file_size != m.compress_size or m.flag_bits & 1 for m in members):
                raise ValueError("its members are not stored as they are")
            if sum(m.file_size for m in members) > len(data):
                raise ValueError("its members overlap")
            if not all(m.filename.endswith(SUFFIX) for m in members):
                raise ValueError("a member that is no array")
            # Read to the end, so that the checksum is looked at.
            return {m.filename.removesuffix(SUFFIX): _array(archive.read(m)) for m in members}
    except ValueError:
        raise
    except Exception as error:  # zipfile raises a dozen kinds on damaged files
        raise ValueError(str(error)) from error


def _array(data: bytes) -> NDArray[Any]:
    """Read a .npy: its header says how many bytes follow, and as many must be there."""
    file = io.BytesIO(data)
    if npy.read_magic(file) != (1, 0):
        raise ValueError("an array of an unknown version")
    shape, by_columns, dtype = npy.read_array_header_1_0(file)
    if dtype.kind not in "biufU" or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("an array of neither numbers nor text")
    if dtype.itemsize * math.prod(shape) != len(data) - file.tell() or dtype.itemsize == 0:
        raise ValueError("an array of another size than it says")
    array = np.frombuffer(data, dtype, offset=file.tell())
    return array.reshape(shape, order="F" if by_columns else "C").copy()


def take_meta(arrays: Arrays) -> dict[str, Any]:
    """Take `meta` out of the arrays; raise KeyError or ValueError if there is no JSON object."""
    meta = parse_json(str(arrays.pop("meta").item()))
    if not isinstance(meta, dict):
        raise ValueError("its JSON is no object")
    return meta


def check_digest(meta: dict[str, Any], arrays: Arrays) -> None:
    """Take the digest out of `meta`; raise KeyError or ValueError if it is another."""
    if meta.pop("sha256") != digest(meta, arrays):
        raise ValueError("its content does not match its SHA-256")


def digest(meta: dict[str, Any], arrays: Arrays) -> str:
    """Compute the SHA-256 of what a file says: `meta` as JSON, then every array by name.

    Raises
    ------
    ValueError
        If `meta` holds a number that is not finite.
    """
    sha256 = hashlib.sha256(json.dumps(meta, sort_keys=True, allow_nan=False).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        sha256.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()
