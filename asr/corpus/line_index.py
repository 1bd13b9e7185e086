"""Where the lines of a large file lie, found once and kept: opened at once from then on.

Lines are parsed when they are asked for, so that millions of them cost no memory, and processes
that are forked share what there is.
"""

import codecs
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Generic, NamedTuple, NoReturn, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from asr.core import kept
from asr.core.progress import progress_bar
from asr.core.spread import spread

MAX_LINE_BYTES = 1 << 20  # an utterance of hours, with all its words, has 100 kB
_PIECE_BYTES = 1 << 24  # what a process reads at a time
_VERSION = "lines-1"

_log = logging.getLogger(__name__)


class Measured(Protocol):
    """What a line is parsed to: its two numbers are kept, and tell whether a line has changed."""

    @property
    def duration(self) -> float: ...
    @property
    def digest(self) -> int: ...


Row = TypeVar("Row", bound=Measured)
Parse = Callable[[bytes, int], Row]  # of a line and its number, for messages


class Columns(NamedTuple):
    """Of each line that is not blank: its first byte, seconds, 64 bits of its content."""

    starts: NDArray[np.int64]
    durations: NDArray[np.float64]
    digests: NDArray[np.uint64]


def lines(file: IO[bytes], start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
    """First byte and content of each line that begins in a stretch; blank ones are empty.

    A line of more than MAX_LINE_BYTES comes cut, one byte longer than that.
    """
    file.seek(start)
    while (stop is None or start < stop) and (line := file.readline(MAX_LINE_BYTES + 1)):
        text = line.removeprefix(codecs.BOM_UTF8) if start == 0 else line
        yield start + len(line) - len(text), text if text.strip() else b""
        start += len(line)


class IndexedLines(Sequence[Row], Generic[Row]):
    """The lines of a file that are not blank, parsed one by one as they are asked for.

    Args:
        path: of the file.
        parse: gives what a line holds; must be a function that can be pickled.
        about: what parsing depends on beside the file's content; an index is kept for each.

    Raises:
        ValueError: what `parse` raises for the first line that it refuses, or the file changes
            while it is read. Also when a line is asked for that is not what it was any more.
    """

    def __init__(self, path: Path, parse: Parse[Row], about: str = "") -> None:
        self.path, self.parse = path, parse
        self._file = path.open("rb", buffering=0)
        self.columns = self._open(about)

    def _open(self, about: str) -> Columns:
        key = f"{_VERSION} {about} {self._stamp()}"
        suffix = f"{about}.index" if about else "index"
        places = kept.places(self.path, suffix)
        for place in places:
            found = kept.find(place, key)
            if found is not None and found[1].keys() == set(Columns._fields):
                return Columns(**found[1])
        columns = self._index()
        same = os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        if not same or key != f"{_VERSION} {about} {self._stamp()}":
            raise self._changed()
        for place in places:
            try:
                kept.keep(place, key, {}, columns._asdict())
                break
            except OSError:  # not ours to write, or full
                continue
        else:
            _log.warning(
                "%s: its index can be kept neither in %s nor in %s, and is made anew each time",
                self.path, *(place.parent for place in places),
            )  # fmt: skip
        return columns

    def _stamp(self) -> str:
        about = os.fstat(self._file.fileno())
        return f"{about.st_size} {about.st_mtime_ns}"

    def _index(self) -> Columns:
        cuts, found, before = self._cuts(), [], 0
        measure = partial(_measure, self.path, self.parse)
        with (
            progress_bar(f"indexing {self.path.name}", cuts[-1], in_bytes=True) as advance,
            closing(spread(measure, list(pairwise(cuts)))) as results,
        ):
            for start, stop, result in zip(cuts[:-1], cuts[1:], results, strict=True):
                if result.refused is not None:
                    self._refuse(result.refused, before + result.lines)
                before += result.lines
                found.append(result.columns)
                advance(stop - start)
        return Columns(*map(np.concatenate, zip(*found, strict=True)))

    def _refuse(self, start: int, number: int) -> NoReturn:
        """Say what is wrong with the line that begins at a byte."""
        with self.path.open("rb") as file:
            for _, line in lines(file, start, start + 1):
                self.parse(line, number)
        raise self._changed()

    def _changed(self) -> ValueError:
        return ValueError(f"{self.path}: it was changed while it was in use; start again")

    def _cuts(self) -> list[int]:
        """Places between lines, about as far apart as a process reads at a time."""
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            cuts = [0]
            for place in range(_PIECE_BYTES, size, _PIECE_BYTES):
                file.seek(place)
                if len(file.readline(MAX_LINE_BYTES + 1)) > MAX_LINE_BYTES:
                    break  # it will be refused
                cuts.append(file.tell())
        return [*cuts, size]

    def __len__(self) -> int:
        return len(self.columns.starts)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        starts, durations, digests = self.columns
        start = int(starts[index])
        size = int(starts[index + 1]) - start if index + 1 < len(starts) else MAX_LINE_BYTES + 1
        line = os.pread(self._file.fileno(), min(size, MAX_LINE_BYTES + 1), start)
        try:
            row = self.parse(line.partition(b"\n")[0], 0)
        except ValueError:
            row = None
        if row is None or row.duration != durations[index] or row.digest != digests[index]:
            with self.path.open("rb") as file:
                number = 1 + sum(place < start for place, _ in lines(file, 0, start))
            self._refuse(start, number)
        return row

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._file = self.path.open("rb", buffering=0)


class _Piece(NamedTuple):
    """What a stretch of a file holds.

    lines: how many, up to the one that is refused, if one is. refused: its first byte.
    """

    columns: Columns
    lines: int
    refused: int | None


def _measure(path: Path, parse: Parse[Measured], piece: tuple[int, int]) -> _Piece:
    found: list[tuple[int, float, int]] = []
    count, refused = 0, None
    with path.open("rb") as file:
        for start, line in lines(file, *piece):
            count += 1
            if line:
                try:
                    row = parse(line, count)
                except ValueError:
                    refused = start
                    break
                found.append((start, row.duration, row.digest))
    starts, durations, digests = zip(*found, strict=True) if found else ((), (), ())
    return _Piece(
        Columns(
            np.array(starts, np.int64),
            np.array(durations, np.float64),
            np.array(digests, np.uint64),
        ),
        count,
        refused,
    )
