"""What occurs twice: audio within a split and across splits, sentences, speakers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Repeats:
    """Which utterances share something with another one: (k,) places, and (k,) the others'."""

    index: NDArray[np.int64]
    other: NDArray[np.int64]


def across(keys: NDArray[np.uint64], side: NDArray[np.int64]) -> Repeats:
    """Utterances whose key occurs on another side too.

    A pair is laid at the door of the lower side, where training stands.

    Args:
        keys: (n,); 0 equals nothing.
        side: (n,) 0 for all that is trained on, 1, 2, ... for each held-out set.

    Returns:
        Each utterance for which a higher side has the same key, and the first such one there.
    """
    order, first, last = _groups(keys)
    index, other = [], []
    for a, b in zip(first, last, strict=True):
        members = order[a:b]  # in the order of the corpus
        sides = side[members]
        for one in np.unique(sides)[:-1]:
            lower = members[sides == one]
            index.extend(lower)
            other.extend([members[sides > one][0]] * len(lower))
    return _sorted(index, other)


def within(keys: NDArray[np.uint64], side: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Groups of at least two utterances of one side and one key, each in the corpus's order."""
    order, first, last = _groups(keys)
    groups = []
    for a, b in zip(first, last, strict=True):
        members = order[a:b]
        for one in np.unique(side[members]):
            same = members[side[members] == one]
            if len(same) > 1:
                groups.append(same)
    return groups


def copies(
    keys: NDArray[np.uint64], texts: NDArray[np.uint64], side: NDArray[np.int64]
) -> tuple[Repeats, Repeats]:
    """The same audio within a side: copies with the same text, and with contradicting ones.

    Returns:
        Duplicates: each copy after the first, and the first. Contradictions: every utterance of a
        group with several texts, and the first in it that has another text.
    """
    same: tuple[list[int], list[int]] = ([], [])
    different: tuple[list[int], list[int]] = ([], [])
    for group in within(keys, side):
        if len(np.unique(texts[group])) == 1:
            same[0].extend(group[1:])
            same[1].extend([group[0]] * (len(group) - 1))
            continue
        second = group[texts[group] != texts[group[0]]][0]
        different[0].extend(group)
        different[1].extend(np.where(texts[group] == texts[group[0]], second, group[0]))
    return _sorted(*same), _sorted(*different)


def _groups(
    keys: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """An order that brings equal keys together, and where each group of two or more lies in it."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    edges = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1], True]) if len(keys) else keys[:0]
    first, last = edges[:-1].astype(np.int64), edges[1:].astype(np.int64)
    kept = (last - first > 1) & (ranked[first] != 0) if len(first) else np.zeros(0, bool)
    return order, first[kept], last[kept]


def _sorted(index: list[int], other: list[int]) -> Repeats:
    order = np.argsort(index, kind="stable")
    return Repeats(np.array(index, np.int64)[order], np.array(other, np.int64)[order])
