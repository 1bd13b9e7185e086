"""The tests of significance against other ways to the same number."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.scoring.significance import error_segments, matched_pairs, sign_flips
from asr.scoring.word_alignment import align_words

DIFFERENCES = st.lists(st.integers(-4, 4), max_size=10)
TEXTS = st.lists(st.sampled_from("abc"), max_size=12).map(" ".join)


@settings(deadline=None)
@given(DIFFERENCES)
def test_sign_flips_count_all_ways(differences: list[int]) -> None:
    observed = abs(sum(differences))
    ways = list(itertools.product((1, -1), repeat=len(differences)))
    far = sum(abs(np.dot(way, differences)) >= observed for way in ways)
    assert sign_flips(differences) == pytest.approx(far / len(ways), rel=1e-12)


def test_sign_flips_equal_scipy() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.poisson(2, 12), rng.poisson(3, 12)
    found = scipy.stats.permutation_test(
        (ours, theirs), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flips((ours - theirs).tolist()) == pytest.approx(found.pvalue, rel=1e-12)


def test_sign_flips_of_ones_are_the_sign_test() -> None:
    # 2,000 units, where nothing can be listed, and p-values far below what sampling could see.
    for better in (1000, 1040, 1400):
        differences = [-1] * better + [1] * (2000 - better) + [0] * 50
        exact = scipy.stats.binomtest(better, 2000).pvalue
        assert sign_flips(differences) == pytest.approx(exact, rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=60))
def test_matched_pairs_are_the_mean_over_its_standard_error(differences: list[int]) -> None:
    found = matched_pairs(differences)
    if len(set(differences)) == 1:
        assert found == (None if differences[0] else 1.0)
    else:
        score = scipy.stats.ttest_1samp(differences, 0).statistic
        assert found == pytest.approx(2 * scipy.stats.norm.sf(abs(score)), rel=1e-9)


@settings(deadline=None)
@given(DIFFERENCES)
def test_the_other_way_round_nothing_changes(differences: list[int]) -> None:
    others = [-d for d in differences]
    assert sign_flips(others) == sign_flips(differences)
    assert matched_pairs(others) == matched_pairs(differences)


@pytest.mark.parametrize("differences", [[], [0], [0, 0, 0]])
def test_without_a_difference_p_is_1(differences: list[int]) -> None:
    assert sign_flips(differences) == matched_pairs(differences) == 1.0


def test_one_segment_says_nothing() -> None:
    assert matched_pairs([3]) is None
    assert sign_flips([3]) == 1.0


def test_where_nothing_differs_five_in_a_hundred_seem_to() -> None:
    rng = np.random.default_rng(2)
    drawn = (rng.poisson(1, (1000, 100)) - rng.poisson(1, (1000, 100))).tolist()
    for test in (matched_pairs, sign_flips):
        assert 0.03 < np.mean([test(differences) <= 0.05 for differences in drawn]) < 0.07


def segments(reference: str, one: str, other: str) -> list[tuple[int, int]]:
    return error_segments(align_words(reference, one), align_words(reference, other))


# Four regions: errors next to each other, an error in the middle of right words, two errors with
# one right word between them, an insertion. Two right words in a row end a region.
REFERENCE = "it was the best of times it was the worst of times it was"
ONE = "its the best of times it is the worst of times or it was"
OTHER = "it was the best times it won the test of times it was"


def test_segments_are_bounded_by_two_words_that_both_have_right() -> None:
    assert segments(REFERENCE, ONE, OTHER) == [(2, 0), (0, 1), (1, 2), (1, 0)]
    assert segments(REFERENCE, OTHER, ONE) == [(0, 2), (1, 0), (2, 1), (0, 1)]


def test_words_of_one_system_do_not_end_a_segment() -> None:
    # Each is right for two words in a row, but never both for the same two.
    assert segments("a b c d e", "x b c d x", "a b x d e") == [(2, 1)]
    assert segments("a b c d e f", "x b c d e x", "a b c d e f") == [(1, 0), (1, 0)]
    # An insertion between two right words keeps them apart: they are not two in a row.
    assert segments("a b c d", "x b y c x", "a b c d") == [(3, 0)]


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_segments_hold_all_errors_and_nothing_else(reference: str, one: str, other: str) -> None:
    found = segments(reference, one, other)
    for side, text in enumerate((one, other)):
        errors = sum(not p.is_right for p in align_words(reference, text))
        assert sum(segment[side] for segment in found) == errors
    assert (0, 0) not in found
