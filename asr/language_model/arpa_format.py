"""The loop of writing ARPA files: numbers and words to bytes."""

import numpy as np
from numpy.typing import NDArray

from asr.core.compiled import kernel

_TAB, _NEWLINE, _SPACE, _PLUS, _MINUS, _DOT, _ZERO, _E = b"\t\n +-.0e"
_INFINITY = b"inf"
_DIGITS = 9  # enough for every float32


@kernel
def _put_number(value: float, out: NDArray[np.uint8], at: int) -> int:
    """Write a number with as few digits as tell it from every other float32; where it ends."""
    if value < 0:
        out[at] = _MINUS
        at += 1
        value = -value
    if value == np.inf:
        for i in range(3):
            out[at + i] = _INFINITY[i]
        return at + 3
    power = 0  # of ten: -2e-07, and -1e+30, which is log 0 to some
    if 0 < value < 1e-4:
        while value < 1:
            value *= 10
            power -= 1
    while value >= 1e9:
        value /= 10
        power += 1
    decimals, scaled = 0, value
    while 0 < scaled < 10 ** (_DIGITS - 1) and decimals < 18:
        decimals += 1
        scaled = value * 10.0**decimals
    for fewer in range(0 if power else 2, -1, -1):
        places = max(decimals - fewer, 0)
        digits = np.int64(np.round(value * 10.0**places))
        if np.float32(digits / 10.0**places) == np.float32(value):
            break
    while places > 0 and digits % 10 == 0:
        digits //= 10
        places -= 1
    length = max(places + 1, 1)
    while length < 19 and digits >= np.int64(10) ** length:
        length += 1
    end = at + length + (places > 0)
    write = end - 1
    for i in range(length):
        if i == places and places > 0:
            out[write] = _DOT
            write -= 1
        out[write] = _ZERO + digits % 10
        digits //= 10
        write -= 1
    if power != 0:
        out[end], out[end + 1] = _E, _PLUS if power > 0 else _MINUS
        out[end + 2], out[end + 3] = _ZERO + abs(power) // 10, _ZERO + abs(power) % 10
        end += 4
    return end


@kernel
def format_lines(
    words: NDArray[np.int32],
    probs: NDArray[np.float32],
    backoffs: NDArray[np.float32],
    highest: bool,
    text: NDArray[np.uint8],
    ends: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Write n-grams (M, n) as lines into `out`, which has room for them; how many bytes."""
    at = 0
    for row in range(len(words)):
        at = _put_number(float(probs[row]), out, at)
        for column in range(words.shape[1]):
            out[at] = _SPACE if column else _TAB
            at += 1
            number = words[row, column]
            for i in range(ends[number - 1] + 1 if number > 0 else 0, ends[number]):
                out[at] = text[i]
                at += 1
        if not highest:
            out[at] = _TAB
            at = _put_number(float(backoffs[row]), out, at + 1)
        out[at] = _NEWLINE
        at += 1
    return at
