"""Alignments: those that the counts are of, and of several always the same one."""

from functools import cache

from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr.scoring.error_rate import word_errors
from asr.scoring.word_alignment import Place, align_words

TEXTS = st.lists(st.sampled_from("abc"), max_size=9).map(" ".join)


def last_choices(reference: list[str], hypothesis: list[str]) -> list[Place]:
    """The rule in its own words: recursion from the end, cheapest first, then in order."""

    @cache
    def best(i: int, j: int) -> tuple[tuple[int, int], int, list[Place]]:
        if i == j == 0:
            return (0, 0), 0, []
        ways = []
        if i and j:
            (errors, moves), _, before = best(i - 1, j - 1)
            place = Place(reference[i - 1], hypothesis[j - 1])
            ways.append(((errors + (place[0] != place[1]), moves), 0, [*before, place]))
        if i:
            (errors, moves), _, before = best(i - 1, j)
            ways.append(((errors + 1, moves + 1), 1, [*before, Place(reference[i - 1], None)]))
        if j:
            (errors, moves), _, before = best(i, j - 1)
            ways.append(((errors + 1, moves + 1), 2, [*before, Place(None, hypothesis[j - 1])]))
        return min(ways, key=lambda way: way[:2])

    return best(len(reference), len(hypothesis))[2]


@settings(deadline=None)  # the first call compiles
@given(TEXTS, TEXTS)
def test_an_alignment_has_the_counts_of_the_scorer(reference: str, hypothesis: str) -> None:
    places = align_words(reference, hypothesis)
    counts = word_errors(reference, hypothesis)
    assert [p.reference for p in places if p.reference is not None] == reference.split()
    assert [p.heard for p in places if p.heard is not None] == hypothesis.split()
    assert sum(p.heard is None for p in places) == counts.deletions
    assert sum(p.reference is None for p in places) == counts.insertions
    assert sum(not p.is_right for p in places) == counts.errors


@settings(deadline=None)  # the first call compiles
@given(TEXTS, TEXTS)
@example("a b a b a", "a b b a b")  # may end with a deletion or with an insertion
def test_of_several_alignments_the_written_rule_takes_one(reference: str, hypothesis: str) -> None:
    assert align_words(reference, hypothesis) == last_choices(reference.split(), hypothesis.split())


def test_examples() -> None:
    assert align_words("a a", "a") == [("a", None), ("a", "a")]
    assert align_words("a", "a a") == [(None, "a"), ("a", "a")]
    assert align_words("the cat sat", "the hat sat down") == [
        ("the", "the"), ("cat", "hat"), ("sat", "sat"), (None, "down"),
    ]  # fmt: skip
    assert align_words("", "") == []
