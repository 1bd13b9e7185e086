"""Edit distance: totals equal jiwer's, ties follow the written rule."""

import jiwer
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.scoring.error_rate import (
    batch_character_errors,
    batch_word_errors,
    character_errors,
    word_errors,
)

WORDS = st.lists(st.sampled_from(["a", "b", "c", "aé", "b'"]), max_size=10).map(" ".join)
TEXTS = st.text(alphabet="ab \u00e9\U0001f600", max_size=12)


def slow_errors(reference: list[str], hypothesis: list[str]) -> tuple[int, int, int]:
    """Substitutions, insertions, deletions: fewest errors, then fewest insertions + deletions."""
    table = {(0, 0): (0, 0, 0, 0, 0)}  # (errors, moves, substitutions, insertions, deletions)
    for i in range(len(reference) + 1):
        for j in range(len(hypothesis) + 1):
            options = [table[i, j]] if i == j == 0 else []
            if i and j:
                e, m, s, a, d = table[i - 1, j - 1]
                differs = int(reference[i - 1] != hypothesis[j - 1])
                options.append((e + differs, m, s + differs, a, d))
            if j:
                e, m, s, a, d = table[i, j - 1]
                options.append((e + 1, m + 1, s, a + 1, d))
            if i:
                e, m, s, a, d = table[i - 1, j]
                options.append((e + 1, m + 1, s, a, d + 1))
            table[i, j] = min(options)
    return table[len(reference), len(hypothesis)][2:]


@settings(deadline=None, max_examples=300)
@given(WORDS, WORDS)
def test_words_follow_the_tie_rule(reference, hypothesis):
    counts = word_errors(reference, hypothesis)
    expected = slow_errors(reference.split(), hypothesis.split())
    assert (counts.substitutions, counts.insertions, counts.deletions) == expected
    assert counts.length == len(reference.split())


@settings(deadline=None, max_examples=300)
@given(TEXTS, TEXTS)
def test_characters_follow_the_tie_rule(reference, hypothesis):
    counts = character_errors(reference, hypothesis)
    expected = slow_errors(list(reference), list(hypothesis))
    assert (counts.substitutions, counts.insertions, counts.deletions) == expected
    assert counts.length == len(reference)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=5))
def test_word_totals_equal_jiwer(pairs):
    references, hypotheses = map(list, zip(*pairs, strict=True))
    total = sum(batch_word_errors(references, hypotheses))
    theirs = jiwer.process_words(references, hypotheses)
    assert total.errors == theirs.substitutions + theirs.insertions + theirs.deletions
    assert total.rate == theirs.wer


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(TEXTS.filter(str.strip), TEXTS), min_size=1, max_size=5))
def test_character_totals_equal_jiwer(pairs):
    # jiwer strips the ends before it counts; here characters count as they stand.
    references, hypotheses = ([text.strip() for text in side] for side in zip(*pairs, strict=True))
    total = sum(batch_character_errors(references, hypotheses))
    theirs = jiwer.process_characters(references, hypotheses)
    assert total.errors == theirs.substitutions + theirs.insertions + theirs.deletions
    assert total.rate == theirs.cer


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), max_size=6))
def test_batch_equals_one_by_one(pairs):
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    assert batch_word_errors(references, hypotheses) == [word_errors(*pair) for pair in pairs]
    assert batch_character_errors(references, hypotheses) == [
        character_errors(*pair) for pair in pairs
    ]
