"""Parts of a test set: its utterances by a figure, such as their length, or by a name."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.scoring.error_rate import ErrorCounts
from asr.scoring.score import Scored

_LENGTHS = 4


class Part(NamedTuple):
    """Utterances that have something in common. members: their places."""

    label: str
    members: tuple[int, ...]


def by_figure(figures: Sequence[float], most: int, digits: int) -> list[Part]:
    """Parts of about equally many utterances, by a figure that rises from one to the next.

    A part's label is the least and the largest figure in it; equal figures are never parted, and
    utterances whose figure is not finite come last, under "unknown".

    Args:
        most: parts at most.
        digits: of the labels, after the point; figures are parted as they are shown.
    """
    shown = np.round(np.asarray(figures, dtype=np.float64), digits) + 0.0  # no -0
    known = np.isfinite(shown)
    parts = []
    if known.any():
        cuts = np.unique(_cuts(shown[known], most))
        numbers = np.searchsorted(cuts, shown, side="left")
        for number in np.unique(numbers[known]):
            members = np.flatnonzero(known & (numbers == number))
            low, high = shown[members].min(), shown[members].max()
            label = f"{low:.{digits}f}" + (f" to {high:.{digits}f}" if high > low else "")
            parts.append(Part(label, tuple(members.tolist())))
    if not known.all():
        parts.append(Part("unknown", tuple(np.flatnonzero(~known).tolist())))
    return parts


def _cuts(figures: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The largest figure of each part but the last."""
    shares = np.arange(1, most) / most
    return np.quantile(figures, shares, method="inverted_cdf")


def by_name(names: Sequence[str | None]) -> list[Part]:
    """A part for each name, in the order in which they first come; None is "unknown"."""
    members: dict[str | None, list[int]] = {}
    for place, name in enumerate(names):
        members.setdefault(name, []).append(place)
    return [Part("unknown" if n is None else n, tuple(m)) for n, m in members.items()]


def by_length(utterances: Sequence[Scored]) -> dict[str, ErrorCounts]:
    """Word errors of the shortest quarter of the utterances, and so on; the shortest first."""
    parts = by_figure([u.duration for u in utterances], _LENGTHS, 1)
    return {f"{n} {part.label} s": _words(utterances, part) for n, part in enumerate(parts, 1)}


def by_speaker(utterances: Sequence[Scored]) -> dict[str, ErrorCounts]:
    """Word errors of each speaker that is known, in the order of their names."""
    known = [u for u in utterances if u.speaker is not None]
    parts = by_name([u.speaker for u in known])
    return {part.label: _words(known, part) for part in sorted(parts)}


def _words(utterances: Sequence[Scored], part: Part) -> ErrorCounts:
    return sum((utterances[i].words for i in part.members), ErrorCounts(0, 0, 0, 0))
