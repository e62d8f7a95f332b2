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

from catclf.common.files import LFS_POINTER, describe_content, open_regular
from catclf.errors import ModelError

MAX_BYTES = 2**31 - 1
"""The largest file that is read; Protocol Buffers go no further."""
MAX_FIELDS = 2_000_000
MAX_DEPTH = 60

FIELDS_TO_TENSORS: dict[str, dict[int, str]] = {
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
    "StringStringEntry": {},
}  # fmt: skip
"""Which fields of a message lead to tensors, and from those to where external data lies."""


@dataclass(frozen=True)
class NetworkFile:
    """A network's bytes, and those of the files that it names."""

    data: bytes
    external_data: dict[str, bytes]
    """The content of each file of external data, by the name the network has for it."""
    sha256: str
    """The digest of `data` and, for each file by name, of a line with name and size, and of the
    content."""


def read_network(path: str | os.PathLike[str]) -> NetworkFile:
    """Read a network and what it names as external data.

    Raises
    ------
    ModelError
        If a file is missing, cannot be read or is too large, if the network is damaged, or its
        external data lies outside its folder.
    """
    name = os.fspath(path)
    data = _read_bytes(name, name)
    if describe_content(data) == LFS_POINTER:
        raise ModelError(f"{name}: {LFS_POINTER}, not the network itself; fetch that")
    try:
        locations = find_locations(data)
    except ValueError as error:
        raise _damaged(name, error) from error
    digest = hashlib.sha256(data)
    contents = {}
    for location in sorted(locations):
        content = _read_bytes(_inside(name, location), f"{name}: its external data {location!r}")
        digest.update(f"\n{location} {len(content)}\n".encode(errors="surrogatepass"))
        digest.update(content)
        contents[location] = content
    return NetworkFile(data, contents, digest.hexdigest())


def find_locations(data: bytes) -> set[str]:
    """Find what the tensors of a network name as the place of their data.

    Raises
    ------
    ValueError
        If the network is damaged, or nested too deeply, or has too many fields.
    """
    locations: set[str] = set()
    waiting = [("Model", memoryview(data), 0)]
    count = 0
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        entry: list[tuple[int, bytes]] = []
        for number, value in _fields(message):
            count += 1
            if count > MAX_FIELDS:
                raise ValueError("it has too many parts")
            if value is None:
                continue
            if kind == "StringStringEntry":
                entry.append((number, bytes(value)))
            elif number in FIELDS_TO_TENSORS[kind]:
                waiting.append((FIELDS_TO_TENSORS[kind][number], value, depth + 1))
        if (1, b"location") in entry:
            locations.update(value.decode() for number, value in entry if number == 2)
    return locations


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
        number, wire_type = tag >> 3, tag & 7
        value = None
        if wire_type == 0:
            _, at = _varint(message, at)
        elif wire_type == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            raise ValueError("a field of an unknown kind")
        if at > end or number == 0:
            raise ValueError("a part that is cut short")
        yield number, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, the lowest first; give where it ends as well."""
    value = 0
    for i, byte in enumerate(message[at : at + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise ValueError("a number that does not end")


def _read_bytes(path: str, what: str) -> bytes:
    """Read a regular file; errors call it `what`."""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ModelError(f"{what}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{what}: it cannot be read ({reason})") from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"{what}: more than {MAX_BYTES // 2**20} MiB")
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


def with_output(name: str, data: bytes, tensor: str) -> bytes:
    """Make a tensor within a network one of its outputs.

    Raises
    ------
    ModelError
        If the network has no such tensor, or is damaged.
    """

    def contents(messages: list[memoryview], wanted: int) -> list[memoryview]:
        fields = (field for message in messages for field in _fields(message))
        return [value for number, value in fields if number == wanted and value is not None]

    try:
        graphs = contents([memoryview(data)], 7)
        outputs = contents(contents(graphs, 12), 1)  # the names of Graph.output
        inner = contents(contents(graphs, 1), 2)  # what Graph.node gives
    except ValueError as error:
        raise _damaged(name, error) from error
    encoded = tensor.encode()
    if encoded in outputs:
        return data
    if encoded not in inner:
        last = ", ".join(repr(str(value, "utf-8", "replace")) for value in inner[-5:])
        raise ModelError(f"{name}: no tensor is called {tensor!r}; the last ones are {last}")
    # A message that comes twice is merged with the first: this is Model.graph with nothing but
    # Graph.output with nothing but ValueInfo.name.
    return data + encode_field(7, encode_field(12, encode_field(1, encoded)))


def encode_field(number: int, content: bytes) -> bytes:
    """Encode a field that holds bytes, with a number below 16."""
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def _damaged(name: str, error: ValueError) -> ModelError:
    return ModelError(f"{name}: not an ONNX file, or a damaged one ({error})")
