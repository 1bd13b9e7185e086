"""What went wrong by word adds up to the error rate, and characters to the character error rate."""

from hypothesis import given, settings
from hypothesis import strategies as st

from asr.scoring.confusion import confusions, errors_by_word
from asr.scoring.error_rate import ErrorCounts, batch_character_errors, batch_word_errors
from asr.scoring.word_alignment import Place, align_characters, align_words

TEXT = st.lists(st.sampled_from(["a", "b", "ab", "é", "<i>"]), max_size=6).map(" ".join)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=5)


@settings(deadline=None)
@given(PAIRS)
def test_words_add_up(pairs: list[tuple[str, str]]) -> None:
    found = errors_by_word(align_words(*pair) for pair in pairs)
    pooled = batch_word_errors([said for said, _ in pairs], [heard for _, heard in pairs])
    none = ErrorCounts(0, 0, 0, 0)
    assert sum(found.values(), none) == sum(pooled, none)
    spoken = " ".join(said for said, _ in pairs).split()
    assert {word: counts.length for word, counts in found.items() if counts.length} == {
        word: spoken.count(word) for word in spoken
    }


@settings(deadline=None)
@given(PAIRS)
def test_characters_add_up(pairs: list[tuple[str, str]]) -> None:
    places = [align_characters(*pair) for pair in pairs]
    for (said, heard), own in zip(pairs, places, strict=True):
        assert "".join(place.reference or "" for place in own) == said
        assert "".join(place.heard or "" for place in own) == heard
    pooled = batch_character_errors([said for said, _ in pairs], [heard for _, heard in pairs])
    assert confusions(places).total() == sum(counts.errors for counts in pooled)


def test_by_hand() -> None:
    texts = [("the cat sat", "the cap sat on"), ("the cat", "cat"), ("a cat", "a cap")]
    places = [align_words(*pair) for pair in texts]
    assert confusions(places) == {
        Place("cat", "cap"): 2, Place(None, "on"): 1, Place("the", None): 1,
    }  # fmt: skip
    assert errors_by_word(places) == {
        "a": ErrorCounts(0, 0, 0, 1),
        "cat": ErrorCounts(2, 0, 0, 3),
        "on": ErrorCounts(0, 1, 0, 0),
        "sat": ErrorCounts(0, 0, 0, 1),
        "the": ErrorCounts(0, 0, 1, 2),
    }
