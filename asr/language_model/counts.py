"""Counting n-grams of text that streams past: memory grows with distinct n-grams only.

All orders are counted at once, each block of text order by order.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.core.progress import progress_bar
from asr.language_model.base import END, START, UNKNOWN
from asr.language_model.count_table import END_ID, START_ID, UNKNOWN_ID, Counted, Table
from asr.language_model.sentences import Units, read_lines

_MARKS = [UNKNOWN, START, END]


class Counts(NamedTuple):
    """What a text holds.

    vocabulary: the words, starting with <unk>, <s> and </s>. orders: n-grams by order.
    sentences, tokens: how many; the ends of sentences are tokens. empty: lines without words.
    unknown: tokens outside a limited vocabulary.
    """

    vocabulary: list[str]
    orders: list[Counted]
    sentences: int
    tokens: int
    empty: int
    unknown: int


def count_text(
    paths: Sequence[Path],
    order: int,
    units: Units,
    *,
    vocabulary: Path | None = None,
    min_count: int = 1,
) -> Counts:
    """Count the n-grams of files, each line a sentence between <s> and </s>.

    Args:
        paths: text, plain or gzip, and manifests.
        order: the highest n.
        units: how text becomes words.
        vocabulary: a file with a word on each line, all others are <unk>; what follows a word on
            its line, such as a pronunciation, is not read.
        min_count: words that are rarer are <unk>; the text is then read twice.

    Raises:
        ValueError: there is no text, or none of this order, or a file cannot be read.
    """
    if order < 1 or min_count < 1:
        raise ValueError(f"order={order}, min_count={min_count}: both must be 1 or more")
    limit = None if vocabulary is None else _read_vocabulary(vocabulary, units)
    if min_count > 1:
        first = _count(paths, 1, units, limit)
        often = first.orders[0].counts >= min_count
        limit = [w for w, kept in zip(first.vocabulary, often, strict=True) if kept]
    return _count(paths, order, units, limit)


def _count(paths: Sequence[Path], order: int, units: Units, limit: list[str] | None) -> Counts:
    numbers = _Numbers(units, limit)
    tables = [Table() for _ in range(order - 1)]
    singles = np.zeros(0, np.int64)
    empty = 0
    total = sum(path.stat().st_size for path in paths if path.is_file())
    with progress_bar(f"counting {order}-grams", total, in_bytes=True) as advance:
        for tokens, skipped in _token_blocks(paths, numbers, advance):
            empty += skipped
            found = np.bincount(tokens, minlength=max(len(singles), len(numbers.vocabulary)))
            found[: len(singles)] += singles
            singles = found
            nodes = tokens
            for table in tables:
                nodes = table.count(nodes, tokens)
    sentences = int(singles[START_ID]) if len(singles) else 0
    if sentences == 0:
        raise ValueError(f"{', '.join(map(str, paths)) or 'text'}: no words; name files with a "
                         "sentence on each line")  # fmt: skip
    longest = 1 + next((n for n, t in enumerate(tables) if t.size == 0), len(tables))
    if longest < order:
        raise ValueError(
            f"order={order}, but the longest sentence, with <s> and </s>, has {longest} words; "
            f"take order={longest} or less"
        )
    nothing = np.zeros(len(singles), np.int32)
    unigrams = Counted(nothing, np.arange(len(singles), dtype=np.int32), nothing, singles)
    return Counts(
        numbers.vocabulary,
        [unigrams, *(table.counted() for table in tables)],
        sentences,
        int(singles.sum()) - sentences,
        empty,
        int(singles[UNKNOWN_ID]),
    )


class _Numbers(dict[str, list[int]]):
    """The numbers of the units of each piece of text that occurred."""

    def __init__(self, units: Units, limit: Iterable[str] | None) -> None:
        self.units = units
        self.limited = limit is not None
        self.vocabulary = list(dict.fromkeys([*_MARKS, *(limit or ())]))
        self.numbers = {word: number for number, word in enumerate(self.vocabulary)}

    def __missing__(self, piece: str) -> list[int]:
        self[piece] = numbers = [self._number(unit) for unit in self.units.of(piece)]
        return numbers

    def _number(self, word: str) -> int:
        number = self.numbers.get(word)
        if number is None and self.limited:
            return UNKNOWN_ID
        if number is None:
            number = self.numbers[word] = len(self.vocabulary)
            self.vocabulary.append(word)
        return number


def _token_blocks(
    paths: Sequence[Path], numbers: _Numbers, advance: Callable[[float], None]
) -> Iterator[tuple[NDArray[np.int32], int]]:
    """Whole sentences as numbers, <s> and </s> around each; and how many lines were empty."""
    leading = numbers.units.unit == "character"  # a space before the first word
    for path in paths:
        for first, lines in read_lines(path, advance):
            tokens, empty = array("i"), 0
            for i, line in enumerate(lines):
                start = len(tokens)
                tokens.append(START_ID)
                try:
                    for piece in line.split():
                        tokens.extend(numbers[piece])
                except ValueError as error:
                    raise ValueError(f"{path}:{first + i}: {error}") from None
                if len(tokens) == start + 1:
                    del tokens[start:]
                    empty += 1
                    continue
                if leading:
                    del tokens[start + 1]
                tokens.append(END_ID)
            yield np.frombuffer(tokens, dtype=np.int32), empty


def _read_vocabulary(path: Path, units: Units) -> list[str]:
    if units.unit == "character":
        raise ValueError("vocabulary=FILE limits words; with unit=character use min_count")
    pieces = (line.split()[0] for _, lines in read_lines(path) for line in lines if line.strip())
    words = [word for piece in pieces if piece not in _MARKS for word in units.of(piece)]
    if not words:
        raise ValueError(f"{path}: no words; a vocabulary has one on each line")
    return words
