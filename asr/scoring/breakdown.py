"""Where the errors are: counts by how long utterances last, and by who speaks."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from asr.scoring.error_rate import ErrorCounts
from asr.scoring.score import Scored

_GROUPS = 4


def by_length(utterances: Sequence[Scored]) -> dict[str, ErrorCounts]:
    """Word errors of the shortest quarter of the utterances, and so on; the shortest first."""
    durations = np.array([u.duration for u in utterances])
    shares = np.linspace(0, 1, _GROUPS + 1)[1:]
    edges = np.unique(np.ceil(10 * np.quantile(durations, shares)) / 10)  # seconds, to 0.1
    groups = np.minimum(np.searchsorted(edges, durations), len(edges) - 1)  # tenths are rounded
    names = [f"{n} up to {edge:.1f} s" for n, edge in enumerate(edges, 1)]
    return _pooled([names[group] for group in groups], utterances, names)


def by_speaker(utterances: Sequence[Scored]) -> dict[str, ErrorCounts]:
    """Word errors of each speaker that is known, in the order of their names."""
    known = [u for u in utterances if u.speaker is not None]
    names = [str(u.speaker) for u in known]
    return _pooled(names, known, sorted(set(names)))


def _pooled(
    groups: Sequence[str], utterances: Sequence[Scored], order: Sequence[str]
) -> dict[str, ErrorCounts]:
    sums: defaultdict[str, ErrorCounts] = defaultdict(lambda: ErrorCounts(0, 0, 0, 0))
    for group, utterance in zip(groups, utterances, strict=True):
        sums[group] += utterance.words
    return {name: sums[name] for name in order}
