"""The loops of reading ARPA files: bytes to numbers and words.

Each works on one block of whole lines, so that a file of any size passes through a small buffer.
"""

import numpy as np
from numpy.typing import NDArray

from asr.core.compiled import kernel

BLOCK_END, SECTION_END, NOT_A_NUMBER, FIELDS, UNKNOWN_WORD, ABOVE_ONE, TOP_BACKOFF = range(7)
_NEWLINE, _SPACE, _BACKSLASH = b"\n \\"  # what is not above a space parts fields
_MINUS, _PLUS, _DOT, _ZERO, _NINE, _E = b"-+.09e"
_POWERS = np.array([float(f"1e{k}") for k in range(23)])  # those that doubles hold exactly
_INFINITIES = (b"inf", b"infinity")


@kernel
def parse_number(text: NDArray[np.uint8], start: int, stop: int) -> tuple[float, bool]:
    """A decimal number and whether it is one. `-inf` is; nan and +inf are not.

    Exact up to 15 digits and powers of ten of 22, and right to a float32 beyond.
    """
    at = start
    negative = at < stop and text[at] == _MINUS
    if at < stop and (text[at] == _MINUS or text[at] == _PLUS):
        at += 1
    for name in _INFINITIES:
        if stop - at == len(name):
            same = True
            for i in range(len(name)):
                same = same and (text[at + i] | 32) == name[i]
            if same:
                return -np.inf, negative
    mantissa, exponent, digits, after_point = 0, 0, 0, False
    while at < stop:
        c = text[at]
        if _ZERO <= c <= _NINE:
            digits += 1
            if mantissa < 10**17:
                mantissa = mantissa * 10 + (c - _ZERO)
                exponent -= after_point
            else:
                exponent += not after_point
        elif c == _DOT and not after_point:
            after_point = True
        else:
            break
        at += 1
    if digits == 0:
        return 0.0, False
    if at < stop and (text[at] | 32) == _E:
        at += 1
        down = at < stop and text[at] == _MINUS
        if at < stop and (text[at] == _MINUS or text[at] == _PLUS):
            at += 1
        power, first = 0, at
        while at < stop and _ZERO <= text[at] <= _NINE:
            power = min(power * 10 + (text[at] - _ZERO), 10000)
            at += 1
        if at == first:
            return 0.0, False
        exponent += -power if down else power
    value = float(mantissa)
    if 0 <= exponent <= 22:
        value *= _POWERS[exponent]
    elif -22 <= exponent < 0:
        value /= _POWERS[-exponent]
    elif mantissa != 0:
        value *= 10.0**exponent
    return (-value if negative else value), at == stop and (negative or value < np.inf)


@kernel
def _hash_bytes(text: NDArray[np.uint8], start: int, stop: int) -> int:
    value = np.int64(1469598103934665603)
    for i in range(start, stop):
        value = (value ^ np.int64(text[i])) * 1099511628211  # FNV-1a, wrapping
    return int(value ^ (value >> 32))


@kernel
def _find_word(
    buffer: NDArray[np.uint8],
    start: int,
    stop: int,
    text: NDArray[np.uint8],
    ends: NDArray[np.int64],
    slots: NDArray[np.int32],
) -> tuple[int, int]:
    """The number of a word, or -1, and the slot where the search ended."""
    mask = len(slots) - 1
    slot = _hash_bytes(buffer, start, stop) & mask
    while slots[slot] >= 0:
        number = slots[slot]
        first = ends[number - 1] + 1 if number > 0 else 0
        if ends[number] - first == stop - start:
            same = True
            for i in range(stop - start):
                if text[first + i] != buffer[start + i]:
                    same = False
                    break
            if same:
                return number, slot
        slot = (slot + 1) & mask
    return -1, slot


@kernel
def index_words(text: NDArray[np.uint8], ends: NDArray[np.int64], slots: NDArray[np.int32]) -> int:
    """Enter words into a hash table of at least one free slot; the first repeated one, or -1.

    text: the words, each with a newline. ends: (V,) where these are. slots: filled with -1.
    """
    first = 0
    for number in range(len(ends)):
        found, slot = _find_word(text, first, ends[number], text, ends, slots)
        if found >= 0:
            return number
        slots[slot] = number
        first = ends[number] + 1
    return -1


@kernel
def _find_row(
    rows: NDArray[np.int32],
    row: int,
    known: NDArray[np.int32],
    slots: NDArray[np.int32],
) -> tuple[int, int]:
    """Where the start of a row, as wide as `known`, stands in `known`, or -1; and its slot."""
    mask, width = len(slots) - 1, known.shape[1]
    value = 0
    for i in range(width):
        value = (value ^ rows[row, i]) * 0x2545F4914F6CDD1D
        value ^= value >> 29
    slot = value & mask
    while slots[slot] >= 0:
        same = True
        for i in range(width):
            if known[slots[slot], i] != rows[row, i]:
                same = False
                break
        if same:
            return slots[slot], slot
        slot = (slot + 1) & mask
    return -1, slot


@kernel
def index_rows(rows: NDArray[np.int32], slots: NDArray[np.int32]) -> int:
    """Enter n-grams (M, n) into a hash table with free slots; the first repeated one, or -1."""
    for row in range(len(rows)):
        found, slot = _find_row(rows, row, rows, slots)
        if found >= 0:
            return row
        slots[slot] = row
    return -1


@kernel
def first_without_history(
    rows: NDArray[np.int32], histories: NDArray[np.int32], slots: NDArray[np.int32]
) -> int:
    """The first n-gram (M, n) whose first n-1 words are not in `histories` (K, n-1), or -1."""
    for row in range(len(rows)):
        if _find_row(rows, row, histories, slots)[0] < 0:
            return row
    return -1


@kernel
def parse_lines(
    buffer: NDArray[np.uint8],
    position: int,
    order: int,
    highest: bool,
    words: NDArray[np.int32],
    probs: NDArray[np.float32],
    backoffs: NDArray[np.float32],
    filled: int,
    text: NDArray[np.uint8],
    ends: NDArray[np.int64],
    slots: NDArray[np.int32],
    fresh: NDArray[np.uint8],
) -> tuple[int, int, int, int]:
    """Read n-grams from whole lines until the block, the section or the room ends, or a fault.

    Args:
        buffer: whole lines.
        position: where to start.
        order: n. highest: whether a back-off would be meaningless.
        words, probs, backoffs: (room, n), (room,), (room,), of which `filled` are filled.
        text, ends, slots: the words that are known, as `index_words` entered them.
        fresh: takes the words of unigrams, each with a newline.

    Returns:
        What stopped it, where the line stands, how many n-grams are filled, bytes in `fresh`.
    """
    taken = 0
    while position < len(buffer) and filled < len(probs):
        stop = position
        while buffer[stop] != _NEWLINE:
            stop += 1
        at = position
        while at < stop and buffer[at] <= _SPACE:
            at += 1
        if at == stop or buffer[at] == _BACKSLASH:
            return SECTION_END, position, filled, taken
        probs[filled], backoffs[filled], field = 0, 0, 0
        while at < stop:
            first = at
            while at < stop and buffer[at] > _SPACE:
                at += 1
            if field == 0 or field == order + 1:
                value, good = parse_number(buffer, first, at)
                if not good:
                    return NOT_A_NUMBER, position, filled, taken
                if field == 0:
                    if value > 0:
                        return ABOVE_ONE, position, filled, taken
                    probs[filled] = value
                else:
                    if highest and value != 0:
                        return TOP_BACKOFF, position, filled, taken
                    backoffs[filled] = value
            elif field > order + 1:
                return FIELDS, position, filled, taken
            elif order == 1:
                words[filled, 0] = filled
                for i in range(first, at):
                    fresh[taken] = buffer[i]
                    taken += 1
                fresh[taken] = _NEWLINE
                taken += 1
            else:
                number, _ = _find_word(buffer, first, at, text, ends, slots)
                if number < 0:
                    return UNKNOWN_WORD, position, filled, taken
                words[filled, field - 1] = number
            field += 1
            while at < stop and buffer[at] <= _SPACE:
                at += 1
        if field < order + 1:
            return FIELDS, position, filled, taken
        filled += 1
        position = stop + 1
    return BLOCK_END, position, filled, taken
