"""What a conversion has read so far, in a file to go on from.

The file is a line that names the format, a line of JSON on what is converted, and records. Each has
a head: the lengths of its two parts, and the CRC-32 of both. The parts are a list in JSON, of what
became of the files it is about (`ClassFolders.outcomes`), and the compressed chunk of those that
are images. It only grows, so that whatever ends the process leaves whole records, and one at most
that is cut short and left out.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

from catclf.common import files
from catclf.common.version import __version__
from catclf.data.folders import Outcome
from catclf.errors import CheckpointError, OutputError

MAGIC = b"catclf conversion 1\n"
HEAD = struct.Struct("<III")
LONGEST_LINE = 100_000
SYNC_BYTES = 8 * 2**20
"""Whenever the file has grown by so much, it is made to reach the disk."""


class Partial:
    """A conversion's journal; as a context, it is removed when the block ends well.

    One that holds records is left if the block fails or is interrupted, and a file that was there
    stays until there is a record to put in its place.

    Parameters
    ----------
    path : path
        The file; no other process can have it at the same time.
    about : dict of str to str
        What is converted, and how. To go on, all of it must be the same.
    resume : bool
        Whether to go on from what is there; where nothing is, the conversion begins anew.
    note : callable, optional
        Told, in a line each, what a person should know.

    Attributes
    ----------
    outcomes : list of (str or None)
        What became of the files that are done.

    Raises
    ------
    CheckpointError
        If what is there is no such file or, with `resume`, damaged or another conversion's.
    OutputError
        If the file cannot be written, or another process has it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        about: dict[str, str],
        *,
        resume: bool = False,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.path, self.note = os.fspath(path), note or (lambda line: None)
        self.outcomes: list[Outcome] = []
        self._first = MAGIC + json.dumps({"version": __version__, **about}).encode() + b"\n"
        self._end = 0  # of the records that are whole
        self._keep = False
        try:
            files.check_writable(self.path)
            self._file = files.open_locked(self.path)
        except OSError as error:
            raise self._cannot("written", error) from error
        try:
            self._look(resume)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def _look(self, resume: bool) -> None:
        """Take what is there into account."""
        try:
            there = self._file.read(len(MAGIC))
            self._keep = bool(there)
            if not MAGIC.startswith(there):
                raise CheckpointError(
                    f"{self.path}: no unfinished conversion; move it away, or name another TO"
                )
            line = self._file.readline(LONGEST_LINE)
            begun = line.endswith(b"\n")  # else there is nothing, or it was cut short right there
            if begun and resume:
                self._check_first(there + line)
                for outcomes, _ in self._read(os.fstat(self._file.fileno()).st_size):
                    self.outcomes += outcomes
                    self._end = self._file.tell()
        except OSError as error:
            raise self._cannot("read", error) from error
        if self._end:
            self.note(f"going on from {self.path} after {len(self.outcomes)} photos")
        elif resume:
            self.note(f"nothing whole in {self.path}: beginning anew")
        elif begun:
            self.note(
                f"{self.path}, of an interrupted run, is begun anew; --resume would have gone on"
            )

    def _check_first(self, found: bytes) -> None:
        """Raise CheckpointError unless the first lines are those of this conversion."""
        if found == self._first:
            return
        try:
            then = json.loads(found[len(MAGIC) :])
            now = json.loads(self._first[len(MAGIC) :])
            key = next(key for key in now if then[key] != now[key])
            was = f"{key} was {str(then[key])[:100]}, not {now[key]}"
        except (
            IndexError,
            KeyError,
            TypeError,
            StopIteration,
            ValueError,
            RecursionError,
        ) as error:
            raise self.damaged() from error
        what = "its photos were others, by name, size or time" if key == "photos" else was
        raise CheckpointError(
            f"{self.path}: of another conversion: {what}; "
            "give the same folder and settings, or leave out --resume"
        )

    def _read(self, end: int) -> Iterator[tuple[list[Outcome], bytes]]:
        """Read the records that lie before `end`, up to one that was cut short."""
        self._file.seek(len(self._first))
        while len(head := self._file.read(HEAD.size)) == HEAD.size:
            told, size, crc = HEAD.unpack(head)
            if not told or self._file.tell() + told + size > end:  # zeros, after a power cut
                return
            body = self._file.read(told + size)
            if zlib.crc32(body) != crc:
                return
            try:
                outcomes = json.loads(body[:told])
            except (ValueError, RecursionError) as error:
                raise self.damaged() from error
            if not (
                isinstance(outcomes, list)
                and all(o is None or isinstance(o, str) for o in outcomes)
            ):
                raise self.damaged()
            yield outcomes, body[told:]

    def add(self, outcomes: list[Outcome], chunk: bytes) -> None:
        """Write a record.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        told = json.dumps(outcomes).encode()
        head = HEAD.pack(len(told), len(chunk), zlib.crc32(told + chunk))
        record = (b"" if self._end else self._first) + head + told + chunk
        end = self._end + len(record)
        self._keep = self._end > 0
        try:
            self._file.truncate(self._end)
            self._file.write(record)
            self._file.flush()
            if self._end // SYNC_BYTES != end // SYNC_BYTES:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._cannot("written", error) from error
        self._end, self._keep = end, True
        self.outcomes += outcomes

    def records(self) -> Iterator[tuple[list[Outcome], bytes]]:
        """Read all records again.

        Raises
        ------
        CheckpointError
            If they are not there any more.
        """
        n = 0
        try:
            for outcomes, chunk in self._read(self._end):
                n += len(outcomes)
                yield outcomes, chunk
        except OSError as error:
            raise self._cannot("read", error) from error
        if n < len(self.outcomes):
            raise self.damaged()

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, OutputError) and self._end:
            self.note(f"what was converted is in {self.path}: --resume goes on from it")
        if kind is None or not self._keep:
            files.remove_open(self._file)
        else:
            with suppress(OSError):
                self._file.close()

    def damaged(self) -> CheckpointError:
        """Make the error to raise where the records make no sense."""
        return CheckpointError(
            f"{self.path}: a damaged conversion; delete it, and begin anew without --resume"
        )

    def _cannot(self, what: str, error: OSError) -> OutputError:
        return OutputError(f"{self.path}: it cannot be {what} ({error.strerror or error})")
