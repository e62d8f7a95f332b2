"""An ONNX file → its bytes, those of the files it names, and a digest of them all.

onnxruntime is given bytes alone and opens no file: what the network's tensors name as external
data is looked up here, by following the file's structure, and read from the network's own folder.
Format: Protocol Buffers' encoding, and onnx.proto of ONNX 1.23, whose messages are named below.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from catclf.common.files import open_regular
from catclf.errors import ModelError

MOST_BYTES = 2**31 - 1
"""Of a file; Protocol Buffers go no further."""
MOST_PARTS = 2_000_000
DEEPEST = 60

TENSORS_IN: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "StringStringEntry"},
}  # fmt: skip
"""Which fields of a message lead to tensors, and from those to where external data lies."""


@dataclass(frozen=True)
class NetworkFile:
    """A network as it was read.

    Attributes
    ----------
    data : bytes
        The ONNX file.
    weights : dict
        The content of each file of external data, by the name the network has for it.
    sha256 : str
        Of the ONNX file; with external data, of it and, for each by name, a line with the name and
        the size, and the content.
    """

    data: bytes
    weights: dict[str, bytes]
    sha256: str


def read(path: str | os.PathLike[str]) -> NetworkFile:
    """Read a network and what it names as external data.

    Raises
    ------
    ModelError
        If a file is missing, cannot be read or is too large, if the network is damaged, or its
        external data lies outside its folder.
    """
    name = os.fspath(path)
    data = _read(name, name)
    if data.startswith(b"version https://git-lfs."):
        raise ModelError(f"{name}: a Git LFS pointer, not the network itself; fetch that")
    digest = hashlib.sha256(data)
    weights = {}
    for location in sorted(_locations(name, data)):
        weights[location] = _read(_inside(name, location), f"{name}: its external data {location}")
        digest.update(f"\n{location} {len(weights[location])}\n".encode(errors="surrogatepass"))
        digest.update(weights[location])
    return NetworkFile(data, weights, digest.hexdigest())


def with_output(data: bytes, tensor: str) -> bytes:
    """Make a tensor within a network one of its outputs.

    A message that comes twice is merged with the first: what is added is Model.graph with nothing
    but Graph.output with nothing but ValueInfo.name.
    """
    return data + _field(7, _field(12, _field(1, tensor.encode())))


def tensors(data: bytes) -> tuple[list[str], list[str]]:
    """Name a network's outputs, and all tensors that its nodes give, in the file's order."""
    outputs: list[str] = []
    inner: list[str] = []
    for graph in _all(memoryview(data), 7):
        for value_info in _all(graph, 12):
            outputs += [str(name, "utf-8", "replace") for name in _all(value_info, 1)]
        for node in _all(graph, 1):
            inner += [str(name, "utf-8", "replace") for name in _all(node, 2)]
    return outputs, inner


def _read(path: str, what: str) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(f"{what}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{what}: it cannot be read ({reason})") from error
    if len(data) > MOST_BYTES:
        raise ModelError(f"{what}: more than {MOST_BYTES // 2**20} MiB")
    return data


def _inside(name: str, location: str) -> str:
    """Find a file of external data; raise ModelError unless it lies in the network's folder."""
    folder = os.path.realpath(os.path.dirname(name) or ".")
    try:
        path = os.path.realpath(os.path.join(folder, location))
        inside = os.path.commonpath([folder, path]) == folder
    except ValueError:  # a null character, or another drive
        inside = False
    if not inside or not location or PurePath(location).is_absolute():
        raise ModelError(
            f"{name}: its external data {location!r} lies outside its folder; "
            "save the network in one file"
        )
    return path


def _locations(name: str, data: bytes) -> set[str]:
    """Find what the tensors of a network name as the place of their data."""
    found: set[str] = set()
    waiting = [("Model", memoryview(data), 0)]
    parts = 0
    try:
        while waiting:
            kind, message, depth = waiting.pop()
            if depth > DEEPEST:
                raise ValueError("it is nested too deeply")
            for number, value in _fields(message):
                parts += 1
                if parts > MOST_PARTS:
                    raise ValueError("it has too many parts")
                inner = TENSORS_IN[kind].get(number)
                if value is None or inner is None:
                    continue
                if inner == "StringStringEntry":
                    found.update(_places(value))
                else:
                    waiting.append((inner, value, depth + 1))
    except ValueError as error:
        raise ModelError(f"{name}: not an ONNX file, or a damaged one ({error})") from error
    return found


def _places(entry: memoryview) -> Iterator[str]:
    """Give the values of an entry one of whose keys is `location`."""
    held = [(number, bytes(value)) for number, value in _fields(entry) if value is not None]
    if (1, b"location") in held:
        yield from (value.decode("utf-8") for number, value in held if number == 2)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Give the number of each field, with its content if it holds bytes, None for a number.

    Raises
    ------
    ValueError
        If the message is damaged.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value = None
        if kind == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("a field of an unknown kind")
        if at > end or number == 0:
            raise ValueError("a part that is cut short")
        yield number, value


def _all(message: memoryview, number: int) -> Iterator[memoryview]:
    return (value for field, value in _fields(message) if field == number and value is not None)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, the lowest first; give where it ends as well."""
    value = 0
    for i, byte in enumerate(message[at : at + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise ValueError("a number that does not end")


def _field(number: int, content: bytes) -> bytes:
    """Write a field that holds bytes."""
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content
