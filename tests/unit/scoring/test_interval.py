"""The bootstrap interval: exact where all resamples can be listed, honest where they cannot."""

import itertools
import math

import numpy as np
import pytest

from asr.scoring.error_rate import ErrorCounts
from asr.scoring.interval import bootstrap_interval, paired_interval


def errors(count: int, length: int) -> ErrorCounts:
    return ErrorCounts(count, 0, 0, length)


def enumerated_interval(groups: list[ErrorCounts], level: float) -> tuple[float, float]:
    """Quantiles of the rate over every possible resample of the groups."""
    rates = sorted(sum(draw).rate for draw in itertools.product(groups, repeat=len(groups)))
    tail = (1 - level) / 2
    return (
        rates[math.ceil(tail * len(rates)) - 1],
        rates[math.ceil((1 - tail) * len(rates)) - 1],
    )


SMALL = [errors(0, 10), errors(3, 10), errors(4, 5), errors(1, 20)]


# Levels whose tails lie seven standard errors from any step of the distribution.
@pytest.mark.parametrize("level", [0.3, 0.7, 0.8, 0.95])
def test_small_cases_equal_the_enumeration(level):
    got = bootstrap_interval(SMALL, samples=40_000, level=level)
    assert got == pytest.approx(enumerated_interval(SMALL, level))


def test_whole_speakers_are_drawn():
    counts = [*SMALL, errors(2, 5), errors(0, 5)]
    speakers = ["x", "y", "x", "z", "y", "z"]
    pooled = [sum(c for c, s in zip(counts, speakers, strict=True) if s == name) for name in "xyz"]
    got = bootstrap_interval(counts, speakers, samples=40_000, level=0.8)
    assert got == pytest.approx(enumerated_interval(pooled, 0.8))
    assert got != bootstrap_interval(counts, samples=40_000, level=0.8)


def test_unknown_speakers_stand_for_themselves():
    assert bootstrap_interval(SMALL, [None] * 4) == bootstrap_interval(SMALL)
    grouped = bootstrap_interval(SMALL, ["x", None, "x", None])
    assert grouped == bootstrap_interval([SMALL[0] + SMALL[2], SMALL[1], SMALL[3]])


def test_one_speaker_and_one_utterance():
    assert bootstrap_interval(SMALL, ["x"] * 4) == bootstrap_interval(SMALL)
    assert bootstrap_interval([errors(3, 10)]) == (0.3, 0.3)


def test_it_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    trials, covered, speakers = 200, 0, 40
    for _ in range(trials):
        # Speakers differ, so that drawing utterances alone would be far too sure.
        rates = rng.beta(2, 18, speakers).repeat(10)
        counts = [errors(int(rng.binomial(20, rate)), 20) for rate in rates]
        low, high = bootstrap_interval(counts, [f"s{i // 10}" for i in range(400)], samples=400)
        covered += low <= 0.1 <= high
    assert 0.88 <= covered / trials <= 0.99


def test_the_same_seed_gives_the_same_interval():
    many = [errors(i % 7, 10 + i % 3) for i in range(200)]
    assert bootstrap_interval(many) == bootstrap_interval(many)
    assert bootstrap_interval(many) != bootstrap_interval(many, seed=1)
    low, high = bootstrap_interval(many)
    assert low < sum(many).rate < high


def test_empty_references_give_no_nan():
    assert bootstrap_interval([errors(0, 0), errors(0, 0)]) == (0.0, 0.0)
    low, high = bootstrap_interval([errors(2, 0), errors(1, 10)])
    assert (low, high) == (0.1, math.inf)


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ([], {}, "at least one utterance"),
        (SMALL, {"groups": ["x"]}, "1 groups for 4 utterances"),
        (SMALL, {"level": 95.0}, r"level=95\.0"),
        (SMALL, {"samples": 0}, "samples=0"),
    ],
)
def test_mistakes(counts, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(counts, **options)


BETTER = [errors(0, 10), errors(1, 10), errors(3, 5), errors(2, 20)]


def enumerated_gains(
    groups: list[tuple[ErrorCounts, ErrorCounts]], level: float
) -> tuple[float, float]:
    """Quantiles of the difference of rates over every possible resample of the pairs."""
    gains = []
    for draw in itertools.product(groups, repeat=len(groups)):
        counts, others = zip(*draw, strict=True)
        gains.append(sum(others).rate - sum(counts).rate)
    tail = (1 - level) / 2
    low, high = math.ceil(tail * len(gains)) - 1, math.ceil((1 - tail) * len(gains)) - 1
    return sorted(gains)[low], sorted(gains)[high]


@pytest.mark.parametrize("level", [0.3, 0.8, 0.95])
def test_gains_equal_the_enumeration(level):
    got = paired_interval(BETTER, SMALL, samples=40_000, level=level)
    pairs = list(zip(BETTER, SMALL, strict=True))
    assert got == pytest.approx(enumerated_gains(pairs, level))


def test_gains_over_whole_speakers():
    counts, others = [*BETTER, errors(2, 5), errors(1, 5)], [*SMALL, errors(1, 5), errors(5, 5)]
    speakers = ["x", "y", "x", "z", "y", "z"]
    pairs = [
        tuple(
            sum(c for c, s in zip(side, speakers, strict=True) if s == name)
            for side in (counts, others)
        )
        for name in "xyz"
    ]
    got = paired_interval(counts, others, speakers, samples=40_000, level=0.8)
    assert got == pytest.approx(enumerated_gains(pairs, 0.8))
    assert got != paired_interval(counts, others, samples=40_000, level=0.8)


def test_a_gain_is_drawn_in_pairs():
    # Utterances differ widely, and each is one error better: of that gain nobody can doubt.
    counts = [errors(i % 9, 10) for i in range(90)]
    others = [errors(i % 9 + 1, 10) for i in range(90)]
    assert paired_interval(counts, others) == pytest.approx((0.1, 0.1))
    assert paired_interval(others, counts) == pytest.approx((-0.1, -0.1))
    assert paired_interval(counts, counts) == (0.0, 0.0)
    # What is drawn is what the interval of a rate draws.
    perfect = [errors(0, 10)] * 90
    assert paired_interval(perfect, counts) == bootstrap_interval(counts)


def test_gains_on_empty_references_are_finite():
    low, high = paired_interval([errors(0, 0), errors(1, 10)], [errors(2, 0), errors(1, 10)])
    assert 0 <= low <= high < math.inf
    assert high > 0


@pytest.mark.parametrize(
    ("others", "options", "message"),
    [
        (SMALL[:3], {}, "4 and 3 counts"),
        (SMALL[::-1], {}, "same references"),
        (SMALL, {"groups": ["x"]}, "1 groups for 4 utterances"),
        (SMALL, {"level": 1}, "level=1"),
        (SMALL, {"samples": 0}, "samples=0"),
    ],
)
def test_mistakes_of_pairs(others, options, message):
    with pytest.raises(ValueError, match=message):
        paired_interval(SMALL, others, **options)


def test_a_gain_needs_words():
    with pytest.raises(ValueError, match="same references, one at least"):
        paired_interval([], [])
    with pytest.raises(ValueError, match="all are empty"):
        paired_interval([errors(0, 0)], [errors(1, 0)])
