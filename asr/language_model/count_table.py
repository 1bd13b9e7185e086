"""The n-grams of one order, found by hashing while text streams past.

An n-gram is its history, which is an n-gram of the lower order, and its last word.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from asr.core.compiled import kernel, prepare

UNKNOWN_ID, START_ID, END_ID = 0, 1, 2  # in lmplz's order


class Counted(NamedTuple):
    """The distinct n-grams of one order, in order of appearance.

    histories: (M,) int32, the place of the first n-1 words among the n-grams of the lower order.
    words: (M,) int32, the last word.
    ends: (M,) int32, the place of the last n-1 words among the n-grams of the lower order.
    counts: (M,) int64, how often the n-gram occurs.
    Of order 1 histories and ends are 0, the empty n-gram.
    """

    histories: NDArray[np.int32]
    words: NDArray[np.int32]
    ends: NDArray[np.int32]
    counts: NDArray[np.int64]


class Table:
    """The n-grams of one order so far: growing arrays and the hash table that finds them."""

    def __init__(self) -> None:
        self.size = 0
        self.columns = [np.empty(0, np.int32) for _ in range(3)]
        self.counts = np.empty(0, np.int64)
        self.slots = np.empty(0, np.int32)
        numbers = types.int32[::1]
        prepare(_count_block, numbers, numbers, numbers, numbers, numbers, types.int64[::1],
                numbers, types.int64, numbers)  # fmt: skip
        prepare(_enter, numbers, numbers, types.int64, numbers)

    def count(self, nodes: NDArray[np.int32], tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        """Count one block; nodes are those of the lower order that end at each token."""
        self._grow(self.size + len(tokens))
        found = np.empty(len(tokens), np.int32)
        self.size = _count_block(
            nodes, tokens, *self.columns, self.counts, self.slots, self.size, found
        )
        return found

    def counted(self) -> Counted:
        for column in self.columns:
            column.resize(self.size, refcheck=False)
        self.counts.resize(self.size, refcheck=False)
        self.slots = np.empty(0, np.int32)
        histories, words, ends = self.columns
        return Counted(histories, words, ends, self.counts)

    def _grow(self, need: int) -> None:
        if need > 2**31 - 1:
            raise ValueError("more than 2 thousand million n-grams of one order: take less text")
        if need > len(self.counts):
            room = max(need, len(self.counts) * 3 // 2)
            for column in self.columns:
                column.resize(room, refcheck=False)
            self.counts.resize(room, refcheck=False)
        if need * 3 > len(self.slots) * 2:
            self.slots = np.full(1 << (need * 3 // 2).bit_length(), -1, np.int32)
            _enter(self.columns[0], self.columns[1], self.size, self.slots)


@kernel
def _find(
    history: int,
    word: int,
    histories: NDArray[np.int32],
    words: NDArray[np.int32],
    slots: NDArray[np.int32],
) -> int:
    """The slot of an n-gram, or the free one where it belongs."""
    mask = len(slots) - 1
    value = (np.int64(history) * 0x1B873593 + np.int64(word)) * 0x2545F4914F6CDD1D
    slot = (value ^ (value >> 32)) & mask
    while slots[slot] >= 0 and not (
        histories[slots[slot]] == history and words[slots[slot]] == word
    ):
        slot = (slot + 1) & mask
    return int(slot)


@kernel
def _enter(
    histories: NDArray[np.int32], words: NDArray[np.int32], size: int, slots: NDArray[np.int32]
) -> None:
    for i in range(size):
        slots[_find(histories[i], words[i], histories, words, slots)] = i


@kernel
def _count_block(
    nodes: NDArray[np.int32],
    tokens: NDArray[np.int32],
    histories: NDArray[np.int32],
    words: NDArray[np.int32],
    ends: NDArray[np.int32],
    counts: NDArray[np.int64],
    slots: NDArray[np.int32],
    size: int,
    found: NDArray[np.int32],
) -> int:
    """Count the n-grams of whole sentences; how many distinct ones there are now.

    nodes: (T,) the (n-1)-gram that ends at each token, -1 where the sentence is too young.
    found: (T,) takes the n-gram that ends there, or -1.
    """
    for i in range(len(tokens)):
        history = nodes[i - 1] if i > 0 and tokens[i] != START_ID else -1
        if history < 0:
            found[i] = -1
            continue
        slot = _find(history, tokens[i], histories, words, slots)
        if slots[slot] < 0:
            slots[slot] = size
            histories[size], words[size], ends[size] = history, tokens[i], nodes[i]
            counts[size] = 0
            size += 1
        found[i] = slots[slot]
        counts[found[i]] += 1
    return size
