"""Word and character errors by edit distance, pooled, in Kaldi's line.

The tie rule: among the alignments with the fewest errors, one with the fewest insertions and
deletions counts, that is, with the most substitutions. A substitution costs BIG, an insertion or
a deletion BIG + 1; the final cost and the two lengths then give all three counts, without a
backtrace.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numba
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Errors against references of `length` words or characters; they add up, also by sum()."""

    substitutions: int
    insertions: int
    deletions: int
    length: int

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.length + other.length,
        )

    def __radd__(self, zero: int) -> "ErrorCounts":
        if zero != 0:
            return NotImplemented
        return self

    @property
    def errors(self) -> int:
        """All errors."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float:
        """Errors / length; for an empty reference 0 without errors, else infinite."""
        if self.length == 0:
            return math.inf if self.errors else 0.0
        return self.errors / self.length

    def kaldi(self, name: str = "WER") -> str:
        """Kaldi's line: `%WER 5.31 [ 2791 / 52576, 240 ins, 310 del, 2241 sub ]`."""
        return (
            f"%{name} {100 * self.rate:.2f} [ {self.errors} / {self.length}, "
            f"{self.insertions} ins, {self.deletions} del, {self.substitutions} sub ]"
        )


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors in words, which are what white space separates."""
    return batch_word_errors([reference], [hypothesis])[0]


def character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Errors in characters (code points), spaces included as they stand."""
    return batch_character_errors([reference], [hypothesis])[0]


def batch_word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorCounts]:
    """`word_errors` of each pair.

    Raises:
        ValueError: there are not as many references as hypotheses.
    """
    # Each new word gets the next number, the same on both sides.
    numbers: defaultdict[str, int] = defaultdict(count().__next__)

    def symbols(texts: Sequence[str]) -> tuple[NDArray[np.int32], list[int]]:
        flat, lengths = array("i"), []
        for text in texts:  # keeping each one's list would cost more in garbage collection
            words = text.split()
            flat.extend(map(numbers.__getitem__, words))
            lengths.append(len(words))
        return np.array(flat, dtype=np.int32), lengths

    return _batch_errors(references, hypotheses, symbols)


def batch_character_errors(
    references: Sequence[str], hypotheses: Sequence[str]
) -> list[ErrorCounts]:
    """`character_errors` of each pair.

    Raises:
        ValueError: there are not as many references as hypotheses.
    """

    def symbols(texts: Sequence[str]) -> tuple[NDArray[np.int32], list[int]]:
        encoded = "".join(texts).encode("utf-32-le", "surrogatepass")
        return np.frombuffer(encoded, dtype="<i4").astype(np.int32), [len(text) for text in texts]

    return _batch_errors(references, hypotheses, symbols)


def _batch_errors(
    references: Sequence[str],
    hypotheses: Sequence[str],
    symbols: Callable[[Sequence[str]], tuple[NDArray[np.int32], list[int]]],
) -> list[ErrorCounts]:
    if len(references) != len(hypotheses):
        raise ValueError(
            f"{len(references)} references but {len(hypotheses)} hypotheses: each reference needs "
            "exactly one"
        )
    reference, reference_lengths = symbols(references)
    hypothesis, hypothesis_lengths = symbols(hypotheses)
    sizes = np.array([reference_lengths, hypothesis_lengths], dtype=np.int64)  # (2, pairs)
    counts = _count_errors(reference, hypothesis, sizes)
    return [
        ErrorCounts(substitutions, insertions, deletions, length)
        for (substitutions, insertions, deletions), length in zip(
            counts.tolist(), reference_lengths, strict=True
        )
    ]


@numba.njit(cache=True)
def _count_errors(
    references: NDArray[np.int32], hypotheses: NDArray[np.int32], sizes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(pairs, 3) substitutions, insertions, deletions of symbols that lie end to end."""
    counts = np.zeros((sizes.shape[1], 3), dtype=np.int64)
    if sizes.size == 0:
        return counts
    costs = np.empty(sizes[1].max() + 1, dtype=np.int64)
    big = sizes[0].max() + sizes[1].max() + 1
    start_r = start_h = 0
    for pair in range(sizes.shape[1]):
        end_r, end_h = start_r + sizes[0, pair], start_h + sizes[1, pair]
        first_r, first_h, last_r, last_h = start_r, start_h, end_r, end_h
        # What both share at either end is matched in some best alignment.
        while first_r < last_r and first_h < last_h and references[first_r] == hypotheses[first_h]:
            first_r += 1
            first_h += 1
        while (
            last_r > first_r
            and last_h > first_h
            and references[last_r - 1] == hypotheses[last_h - 1]
        ):
            last_r -= 1
            last_h -= 1
        width = last_h - first_h
        for j in range(width + 1):
            costs[j] = j * (big + 1)
        for i in range(first_r, last_r):
            diagonal = costs[0]
            left = diagonal + big + 1
            costs[0] = left
            for j in range(width):
                above = costs[j + 1]
                same = references[i] == hypotheses[first_h + j]
                left = min(diagonal if same else diagonal + big, min(above, left) + big + 1)
                costs[j + 1] = left
                diagonal = above
        errors, moves = divmod(costs[width], big)  # moves: insertions and deletions
        excess = sizes[1, pair] - sizes[0, pair]
        counts[pair, 0] = errors - moves
        counts[pair, 1] = (moves + excess) // 2
        counts[pair, 2] = (moves - excess) // 2
        start_r, start_h = end_r, end_h
    return counts
