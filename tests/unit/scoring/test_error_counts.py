"""Error counts add up and print as Kaldi prints them."""

import math

import pytest

from asr.scoring.error_rate import (
    ErrorCounts,
    batch_word_errors,
    character_errors,
    word_errors,
)


def test_counts_add_and_sum():
    one, two = ErrorCounts(1, 2, 3, 10), ErrorCounts(4, 0, 1, 7)
    assert one + two == sum([one, two]) == ErrorCounts(5, 2, 4, 17)
    assert (one + two).errors == 11
    assert (one + two).rate == 11 / 17


def test_kaldi_line():
    counts = ErrorCounts(substitutions=2241, insertions=240, deletions=310, length=52576)
    assert counts.kaldi() == "%WER 5.31 [ 2791 / 52576, 240 ins, 310 del, 2241 sub ]"
    assert counts.kaldi("CER").startswith("%CER 5.31 [")


def test_empty_references():
    assert word_errors("", "").rate == 0.0
    assert word_errors("  ", "a b") == ErrorCounts(0, 2, 0, 0)
    assert word_errors("", "a").rate == math.inf
    assert word_errors("a b", "") == ErrorCounts(0, 0, 2, 2)
    assert batch_word_errors([], []) == []


def test_white_space_separates_words_but_counts_among_characters():
    assert word_errors("a \t b", "a b").errors == 0
    assert character_errors("a  b", "a b") == ErrorCounts(0, 0, 1, 4)


def test_ties_take_substitutions():
    # Two insertions-and-deletions would also do: "a b" -> delete a, insert c.
    assert word_errors("a b", "b c") == ErrorCounts(2, 0, 0, 2)
    assert word_errors("a b c", "b c d") == ErrorCounts(0, 1, 1, 3)  # fewer errors come first


def test_case_and_form_matter():
    assert word_errors("Good", "good").errors == 1
    assert character_errors("\u00e9", "e\u0301") == ErrorCounts(1, 1, 0, 1)


def test_lone_surrogates_are_characters_too():
    assert character_errors("a\ud800", "a\ud801") == ErrorCounts(1, 0, 0, 2)


def test_sides_of_different_size():
    with pytest.raises(ValueError, match="2 references but 1 hypotheses"):
        batch_word_errors(["a", "b"], ["a"])
