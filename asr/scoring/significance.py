"""Whether one system is better than another, or was lucky: two tests on the same references.

`matched_pairs` is NIST's MAPSSWE (Gillick & Cox 1989, ICASSP, "Some statistical issues in the
comparison of speech recognition algorithms"; Pallett et al. 1990, ICASSP). Its units are the
stretches of an utterance in which either system errs, bounded by two or more words that both have
right, or by the utterance's ends: errors in one hardly depend on those in another.

`sign_flips` is Fisher's exact permutation test on whole utterances or speakers. It assumes no
distribution: if the systems were alike, each unit's difference could as well have the other sign.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from asr.scoring.word_alignment import Place

_BUFFER = 2  # words that both systems have right, which end a segment; as NIST's sc_stats has it


def error_segments(one: Sequence[Place], other: Sequence[Place]) -> list[tuple[int, int]]:
    """Errors of two systems in each stretch of one utterance in which either errs.

    Args:
        one, other: alignments of both with the same reference.
    """
    segments: list[tuple[int, int]] = []
    right = _BUFFER  # words that both have right since the last error
    for errors, is_word in _side_by_side(one, other):
        if errors == (0, 0):
            right += is_word
            continue
        if right >= _BUFFER:
            segments.append(errors)
        else:
            segments[-1] = segments[-1][0] + errors[0], segments[-1][1] + errors[1]
        right = 0
    return segments


def _side_by_side(
    one: Sequence[Place], other: Sequence[Place]
) -> Iterator[tuple[tuple[int, int], bool]]:
    """Errors of both in each gap between the reference's words, and at each word."""
    for (gap, word), (other_gap, other_word) in zip(_gaps(one), _gaps(other), strict=True):
        yield (gap, other_gap), False
        yield (word, other_word), True


def _gaps(places: Sequence[Place]) -> Iterator[tuple[int, int]]:
    """Insertions before each word, and whether it is wrong; last, insertions and no error."""
    inserted = 0
    for place in places:
        if place.reference is None:
            inserted += 1
        else:
            yield inserted, int(not place.is_right)
            inserted = 0
    yield inserted, 0


def matched_pairs(differences: Sequence[int]) -> float | None:
    """Two-sided p-value of the mean difference of errors in a segment being 0.

    The mean over its standard error is held against the normal distribution, for which Gillick &
    Cox ask some 50 segments.

    Args:
        differences: of the errors in each segment, of one system less the other.

    Returns:
        1 without any difference; None where all segments differ alike, so that there is no
        variance to hold the mean against.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not values.any():
        return 1.0
    if (values == values[0]).all():
        return None
    score = values.mean() / (values.std(ddof=1) / math.sqrt(len(values)))
    return math.erfc(abs(float(score)) / math.sqrt(2))


def sign_flips(differences: Sequence[int]) -> float:
    """Share of all ways to give each difference a sign whose sum is at least as far from 0.

    All 2 ** n ways are counted, by adding one difference after the other.

    Args:
        differences: of the errors in each unit (an utterance, a speaker).

    Returns:
        The two-sided p-value; 1 without any difference.
    """
    observed = abs(sum(differences))
    if observed == 0:
        return 1.0
    chance = np.ones(1)  # [k]: that the positive ones sum up to k
    for size in sorted(abs(d) for d in differences if d):
        longer = np.zeros(len(chance) + size)
        longer[: len(chance)] = chance
        longer[size:] += chance
        chance = longer / 2
    total = len(chance) - 1
    return float(chance[np.abs(2 * np.arange(total + 1) - total) >= observed].sum())
