"""ARPA files: the text format in which n-gram models are exchanged, plain or gzip.

Read are those of KenLM, SRILM, IRSTLM and others: fields are parted by tabs or spaces (how many
fields there are says whether the last is a back-off weight; one that is absent is 0), lines end in
LF or CRLF, and what stands before `\\data\\` and behind `\\end\\` is skipped. A file may do
without <unk>, <s> or </s>.

The file streams through a buffer of a few megabytes: memory is that of the arrays, and while an
order is checked of a table of 8 to 16 bytes for each of its n-grams.
"""

import gzip
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from asr.core.compiled import prepare
from asr.language_model import arpa_kernels as kernels
from asr.language_model.arpa_format import format_lines
from asr.language_model.base import Arpa, Grams
from asr.language_model.lines import CUT, Lines

_HEADER_BYTES = 1 << 16  # a header is short; what has none by then is another kind of file
_LINES = 1 << 17  # how many are written at a time
_MENDS = {
    kernels.NOT_A_NUMBER: "a line starts with a base-10 logarithm and may end in another",
    kernels.FIELDS: "a line is a logarithm, as many words as the order, and perhaps a back-off",
    kernels.UNKNOWN_WORD: "its words must all be listed as 1-grams",
    kernels.ABOVE_ONE: "the logarithm of a probability is not above 0",
    kernels.TOP_BACKOFF: "the highest order has no back-off weights; is an order missing?",
}
_BYTES, _PLACES = types.uint8[::1], types.int64[::1]
_ROWS, _FLOATS, _SLOTS = types.int32[:, ::1], types.float32[::1], types.int32[::1]


class Words(NamedTuple):
    """text: the words, each with a newline. ends: (V,) int64, where these are. slots: a table."""

    text: NDArray[np.uint8]
    ends: NDArray[np.int64]
    slots: NDArray[np.int32]


def read_arpa(path: Path) -> Arpa:
    """Read a model; gzip is known by content, not by name.

    Raises:
        ValueError: the file is not whole, its counts do not agree with its n-grams, an n-gram is
            listed twice or without its history, a number or a word is none; says where and what
            to do.
    """
    _prepare()
    with Lines(path) as lines:
        counts = _read_header(lines)
        words = Words(np.empty(0, np.uint8), np.empty(0, np.int64), _table(0))
        orders: list[Grams] = []
        slots = _table(0)
        for order, count in enumerate(counts, start=1):
            _expect(lines, rf"\{order}-grams:")
            first = lines.number
            section = _Section(order, order == len(counts), count)
            section.read(lines, words)
            if order == 1:
                words = _enter(section, lines, first)
            else:
                slots = _check(section, orders[-1], slots, words, lines, first)
            orders.append(section.grams())
        _expect(lines, r"\end\ ".strip())
        lines.finish()
    return Arpa(bytes(words.text).decode().split("\n")[:-1], orders)


def write_arpa(model: Arpa, path: Path) -> None:
    """Write a model whole or not at all, gzipped where the name ends in `.gz`.

    Numbers have as few digits as make them again what they are.
    """
    prepare(format_lines, _ROWS, _FLOATS, _FLOATS, types.boolean, _BYTES, _PLACES, _BYTES)
    words = "".join(f"{word}\n" for word in model.vocabulary)
    text = np.frombuffer(bytearray(words.encode()), dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with ExitStack() as stack:
            file: IO[bytes] | gzip.GzipFile = stack.enter_context(part.open("wb"))
            if path.suffix == ".gz":
                packed = gzip.GzipFile("", "wb", compresslevel=3, fileobj=file, mtime=0)
                file = stack.enter_context(packed)
            for block in _blocks(model, text, ends):
                file.write(block)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _blocks(
    model: Arpa, text: NDArray[np.uint8], ends: NDArray[np.int64]
) -> Iterator[bytes | memoryview]:
    yield b"\\data\\\n"
    yield b"".join(b"ngram %d=%d\n" % (n, len(g.words)) for n, g in enumerate(model.orders, 1))
    lengths = np.diff(ends, prepend=-1)
    for order, grams in enumerate(model.orders, start=1):
        yield b"\n\\%d-grams:\n" % order
        for start in range(0, len(grams.words), _LINES):
            words, probs, backoffs = (
                np.ascontiguousarray(part[start : start + _LINES]) for part in grams
            )
            room = int(lengths[words].sum()) + 64 * len(words)
            out = np.empty(room, np.uint8)
            highest = order == len(model.orders)
            size = format_lines(words, probs, backoffs, highest, text, ends, out)
            yield out[:size].data
    yield b"\n\\end\\\n"


def _prepare() -> None:
    prepare(kernels.parse_lines, _BYTES, types.int64, types.int64, types.boolean, _ROWS, _FLOATS,
            _FLOATS, types.int64, _BYTES, _PLACES, _SLOTS, _BYTES)  # fmt: skip
    prepare(kernels.index_words, _BYTES, _PLACES, _SLOTS)
    prepare(kernels.index_rows, _ROWS, _SLOTS)
    prepare(kernels.first_without_history, _ROWS, _ROWS, _SLOTS)


def _read_header(lines: Lines) -> list[int]:
    """How many n-grams there are of each order."""
    read = 0
    while (line := lines.peek()) is not None and read <= _HEADER_BYTES:
        read += len(line) + 1
        if line.startswith("mmap lm http://kheafield.com/code"):
            lines.fault("this is KenLM's binary format; give the ARPA file that it was made of")
        if line.removeprefix("\ufeff") == "\\data\\":
            lines.skip()
            return _read_counts(lines)
        lines.skip()
    return lines.fault("no line `\\data\\` so far; this is not an ARPA file")


def _read_counts(lines: Lines) -> list[int]:
    counts: list[int] = []
    while (line := lines.peek()) is not None and not line.startswith("\\"):
        if line:
            match = re.fullmatch(r"ngram\s+(\d{1,9})\s*=\s*(\d{1,10})", line, re.ASCII)
            if match is None or int(match[1]) != len(counts) + 1 or int(match[2]) >= 2**31:
                lines.fault(f"{line[:80]!r} is not `ngram {len(counts) + 1}=COUNT`; {CUT}")
            counts.append(int(match[2]))
        lines.skip()
    if not counts or counts[0] == 0:
        lines.fault("the header counts no 1-grams (`ngram 1=COUNT`); make the file again")
    return counts


def _expect(lines: Lines, mark: str) -> None:
    """Skip blank lines and a section's mark."""
    while (line := lines.peek()) == "":
        lines.skip()
    if line != mark:
        found = "the file ends" if line is None else f"here stands {line[:80]!r}"
        lines.fault(f"`{mark}` is due, but {found}. The counts after `\\data\\` do not agree with "
                    f"what follows, or {CUT}")  # fmt: skip
    lines.skip()


class _Section:
    """The n-grams of one order while they are read: arrays that grow up to what was promised."""

    def __init__(self, order: int, highest: bool, count: int) -> None:
        self.order, self.highest, self.count, self.filled = order, highest, count, 0
        self.words = np.empty((0, order), np.int32)
        self.probs, self.backoffs = np.empty(0, np.float32), np.empty(0, np.float32)
        self.text = bytearray()

    def grams(self) -> Grams:
        return Grams(self.words, self.probs, self.backoffs)

    def read(self, lines: Lines, words: Words) -> None:
        first = lines.number
        while self.filled < self.count and lines.fill():
            self._grow(len(lines.block) // (2 * self.order + 2))
            fresh = np.empty(len(lines.block) if self.order == 1 else 0, np.uint8)
            code, lines.position, self.filled, taken = kernels.parse_lines(
                lines.block, lines.position, self.order, self.highest,
                self.words, self.probs, self.backoffs, self.filled, *words, fresh,
            )  # fmt: skip
            self.text += fresh[:taken].tobytes()
            lines.number = first + self.filled
            if code == kernels.SECTION_END:
                break
            if code != kernels.BLOCK_END:
                lines.fault(
                    f"{(lines.peek() or '')[:120]!r} is no {self.order}-gram: {_MENDS[code]}"
                )
        if self.filled < self.count:
            lines.fault(
                f"the {self.order}-grams end after {self.filled:,} of the {self.count:,} that the "
                f"header promises; {CUT}"
            )

    def _grow(self, more: int) -> None:
        room = min(self.count, max(self.filled + more + 1, len(self.probs) * 5 // 4))
        if room > len(self.probs):
            self.words.resize((room, self.order), refcheck=False)
            self.probs.resize(room, refcheck=False)
            self.backoffs.resize(room, refcheck=False)


def _table(size: int) -> NDArray[np.int32]:
    """An empty hash table that is at most two thirds full with so many entries."""
    return np.full(1 << max((size * 3 // 2).bit_length(), 3), -1, np.int32)


def _enter(section: _Section, lines: Lines, first: int) -> Words:
    """The words of the unigrams, each once, as a table."""
    text = np.frombuffer(section.text, np.uint8)
    words = Words(text, np.flatnonzero(text == ord("\n")), _table(section.count))
    try:
        section.text.decode()
    except UnicodeDecodeError as error:
        line = first + section.text.count(b"\n", 0, error.start)
        lines.fault(f"not UTF-8 ({error.reason}): convert the file with iconv", line)
    if (row := kernels.index_words(*words)) >= 0:
        stop = int(words.ends[row])
        word = bytes(text[:stop]).rpartition(b"\n")[2].decode()
        lines.fault(f"the word {word!r} is listed a second time; remove one of them", first + row)
    return words


def _check(
    section: _Section,
    histories: Grams,
    slots: NDArray[np.int32],
    words: Words,
    lines: Lines,
    first: int,
) -> NDArray[np.int32]:
    """See that each n-gram stands once and its history with the lower order; its own table."""

    def named(row: int, length: int) -> str:
        numbers = section.words[row, :length]
        starts = [int(words.ends[n - 1]) + 1 if n else 0 for n in numbers]
        pairs = zip(starts, words.ends[numbers], strict=True)
        return repr(" ".join(bytes(words.text[a:b]).decode() for a, b in pairs))

    if section.order > 2:
        row = kernels.first_without_history(section.words, histories.words, slots)
        if row >= 0:
            lines.fault(
                f"{named(row, section.order)} continues {named(row, section.order - 1)}, which is "
                f"not listed with the {section.order - 1}-grams; the model was cut: make it again",
                first + row,
            )
    own = _table(section.count)
    if (row := kernels.index_rows(section.words, own)) >= 0:
        lines.fault(f"{named(row, section.order)} is listed a second time; remove one", first + row)
    return own
