"""The columns of an utterance hold each text whole, whatever was heard for it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from asr.reporting.page import data
from asr.reporting.utterance_table import columns
from asr.scoring.word_alignment import align_words

TEXT = st.lists(st.sampled_from("abc"), max_size=6).map(" ".join)


@settings(deadline=None)
@given(TEXT, st.lists(TEXT, min_size=1, max_size=3))
def test_lines_read_as_the_texts(reference: str, heard: list[str]) -> None:
    found = columns([align_words(reference, text) for text in heard])
    wide = [[c] * (1 + len(heard)) if isinstance(c, str) else c for c in found]
    for line, text in enumerate([reference, *heard]):
        assert " ".join(column[line] for column in wide if column[line]) == text
    wrong = [len(align_words(reference, text)) for text in heard]
    assert len(found) >= max(wrong), "what is wrong in one does not hide in another's place"


def test_by_hand() -> None:
    places = [align_words("a b c", text) for text in ("a x c d", "e a b")]
    assert columns(places) == [
        [None, None, "e"], "a", ["b", "x", "b"], ["c", "c", None], [None, "d", None],
    ]  # fmt: skip


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_data_is_no_markup(text: str) -> None:
    held = data("name", {"text": f"</script><!--<script>{text}"}).text
    assert held is not None and "<" not in held
    assert json.loads(held)["text"].endswith(text)
