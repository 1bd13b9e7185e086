"""Two systems on the same references: how much they differ, where, and whether it is chance."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from asr.scoring.error_rate import ErrorCounts, batch_character_errors
from asr.scoring.evaluation import Evaluation
from asr.scoring.interval import bootstrap_interval, paired_interval
from asr.scoring.significance import error_segments, matched_pairs, sign_flips
from asr.scoring.word_alignment import Place, align_characters, align_words

_NONE = ErrorCounts(0, 0, 0, 0)


class Draws(NamedTuple):
    """Of a bootstrap: how many, and their seed."""

    samples: int
    seed: int


class WordTally(NamedTuple):
    """How often a word of the references is right in one system and wrong in the other."""

    word: str
    spoken: int
    lost: int
    won: int


@dataclass(frozen=True)
class System:
    """An evaluation, aligned. places: of each utterance."""

    evaluation: Evaluation
    places: tuple[list[Place], ...]
    draws: Draws

    @property
    def name(self) -> str:
        return self.evaluation.name

    @cached_property
    def counts(self) -> list[ErrorCounts]:
        """Word errors of each utterance."""
        return [u.words for u in self.evaluation.utterances]

    @cached_property
    def wer(self) -> ErrorCounts:
        """Pooled."""
        return sum(self.counts, _NONE)

    @cached_property
    def speakers(self) -> list[str | None]:
        return [u.speaker for u in self.evaluation.utterances]

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the WER, over speakers where they are known, as `evaluate` prints."""
        return self._interval(self.counts, range(len(self.counts)))

    @cached_property
    def characters(self) -> list[list[Place]]:
        """Of each utterance."""
        return [align_characters(u.reference, u.hypothesis) for u in self.evaluation.utterances]

    @cached_property
    def cer(self) -> tuple[ErrorCounts, tuple[float, float]]:
        """Character errors, pooled, and the 95 % interval of their rate."""
        texts = [(u.reference, u.hypothesis) for u in self.evaluation.utterances]
        references, hypotheses = zip(*texts, strict=True)
        counts = batch_character_errors(references, hypotheses)
        return sum(counts, _NONE), self._interval(counts, range(len(counts)))

    def of(self, members: Sequence[int]) -> tuple[ErrorCounts, tuple[float, float]]:
        """Word errors of some utterances, pooled, and the 95 % interval of their rate."""
        return sum((self.counts[i] for i in members), _NONE), self._interval(self.counts, members)

    def _interval(
        self, counts: Sequence[ErrorCounts], members: Sequence[int]
    ) -> tuple[float, float]:
        speakers = [self.speakers[i] for i in members]
        return bootstrap_interval([counts[i] for i in members], speakers, **self.draws._asdict())


@dataclass(frozen=True)
class Pair:
    """A system against the first one. Differences are `other` less `first`: below 0 is better."""

    first: System
    other: System

    @cached_property
    def differences(self) -> list[int]:
        """Of the errors in each utterance."""
        pairs = zip(self.first.counts, self.other.counts, strict=True)
        return [theirs.errors - ours.errors for ours, theirs in pairs]

    @property
    def points(self) -> float:
        """Difference of the pooled rates, in points of per cent."""
        return 100 * (self.other.wer.errors - self.first.wer.errors) / self.first.wer.length

    @cached_property
    def speaker_differences(self) -> list[int] | None:
        """Of the errors of each speaker; None where fewer than two groups are known."""
        if len(set(self.first.speakers)) < 2:
            return None
        sums: Counter[str | int] = Counter()
        for number, difference in enumerate(self.differences):
            speaker = self.first.speakers[number]
            sums[number if speaker is None else speaker] += difference
        return list(sums.values()) if len(sums) < len(self.differences) else None

    def interval(self, *, over_speakers: bool) -> tuple[float, float]:
        """95 % interval of `points`: utterances, or whole speakers, are drawn again in pairs."""
        groups = self.first.speakers if over_speakers else None
        low, high = paired_interval(
            self.first.counts, self.other.counts, groups, **self.first.draws._asdict()
        )
        return 100 * low, 100 * high

    @cached_property
    def segments(self) -> list[tuple[int, int]]:
        """Errors of both in each stretch of speech in which either errs."""
        places = zip(self.first.places, self.other.places, strict=True)
        return [segment for pair in places for segment in error_segments(*pair)]

    @cached_property
    def matched_pairs(self) -> float | None:
        """The p-value of NIST's MAPSSWE over `segments`; None where it is not defined."""
        return matched_pairs([theirs - ours for ours, theirs in self.segments])

    @cached_property
    def sign_flips(self) -> float:
        """The p-value of the exact permutation test over utterances."""
        return sign_flips(self.differences)

    @cached_property
    def speaker_sign_flips(self) -> float | None:
        """The same over whole speakers, where they are known."""
        return None if self.speaker_differences is None else sign_flips(self.speaker_differences)

    @property
    def better_equal_worse(self) -> tuple[int, int, int]:
        """Utterances in which `other` has fewer errors, as many, more."""
        signs = Counter((d > 0) - (d < 0) for d in self.differences)
        return signs[-1], signs[0], signs[1]

    @cached_property
    def most_different(self) -> list[int]:
        """Utterances with other numbers of errors, the largest difference first."""
        differing = [i for i, d in enumerate(self.differences) if d]
        return sorted(differing, key=lambda i: -abs(self.differences[i]))

    @cached_property
    def words(self) -> list[WordTally]:
        """The references' words that one system gets right where the other does not.

        Ordered by the net difference, then by how often they change.
        """
        seen, lost, won = Counter[str](), Counter[str](), Counter[str]()
        for ours, theirs in zip(self.first.places, self.other.places, strict=True):
            for one, two in zip(_words(ours), _words(theirs), strict=True):
                word = str(one.reference)
                seen[word] += 1
                lost[word] += one.is_right and not two.is_right
                won[word] += two.is_right and not one.is_right
        tallies = [WordTally(w, n, lost[w], won[w]) for w, n in seen.items() if lost[w] or won[w]]
        return sorted(tallies, key=lambda t: (-abs(t.won - t.lost), -(t.won + t.lost), t.word))


@dataclass(frozen=True)
class Comparison:
    """All systems on one test set (one at least); the first is what the others are held against."""

    systems: tuple[System, ...]

    @property
    def title(self) -> str:
        """The test set, and the decoders."""
        decoders = dict.fromkeys(s.evaluation.decoder for s in self.systems)
        return f"{self.systems[0].evaluation.test_set}, {' against '.join(decoders)}"

    @cached_property
    def pairs(self) -> list[Pair]:
        return [Pair(self.systems[0], other) for other in self.systems[1:]]


def compare(evaluations: Sequence[Evaluation], *, samples: int, seed: int) -> Comparison:
    """Align evaluations of the same references.

    Args:
        samples, seed: of the bootstrap.

    Raises:
        ValueError: the references have no words.
    """
    if not any(u.words.length for u in evaluations[0].utterances):
        raise ValueError(f"{evaluations[0].folder}: all references are empty: nothing to compare")
    return Comparison(
        tuple(
            System(
                evaluation,
                tuple(align_words(u.reference, u.hypothesis) for u in evaluation.utterances),
                Draws(samples, seed),
            )
            for evaluation in evaluations
        )
    )


def _words(places: Sequence[Place]) -> list[Place]:
    return [place for place in places if place.reference is not None]
