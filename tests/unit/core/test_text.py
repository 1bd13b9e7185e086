"""Normalisation: what is kept, what becomes a space, and that twice is as good as once."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asr.core.text import normalise, removed_characters

CASES = ["lower", "upper", "keep"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  World!\n", "hello world"),
        ("Don\u2019t", "don't"),
        ("rock \u2018n\u2019 roll", "rock 'n' roll"),
        ("- ' -- '", ""),
        ("twenty-one", "twenty one"),
        ("cafe\u0301", "caf\u00e9"),
        ("STRASSE Straße", "strasse straße"),
        ("Привет, мир", "привет мир"),
        ("नमस्ते।", "नमस्ते"),
        ("room 101", "room 101"),
        ("co\u00adoperate \ufeffbom", "cooperate bom"),
        ("", ""),
    ],
)
def test_defaults(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_options() -> None:
    assert normalise("It's OK", case="upper") == "IT'S OK"
    assert normalise("It's OK", case="keep", punctuation="") == "It s OK"
    assert normalise("Well-known. Really?", punctuation="-?") == "well-known really?"
    with pytest.raises(ValueError, match=r"text\.case='Lower'.*lower, upper or keep"):
        normalise("a", case="Lower")


@given(st.text(max_size=20), st.sampled_from(CASES), st.sampled_from(["'", "", "-'", ".,"]))
@example("\u0149", "upper", "'")  # its upper case holds a modifier apostrophe
@example("\u01f0\u0323", "lower", "'")
def test_twice_is_once(text: str, case: str, punctuation: str) -> None:
    once = normalise(text, case=case, punctuation=punctuation)
    assert normalise(once, case=case, punctuation=punctuation) == once


def test_removed_characters_are_those_that_are_gone() -> None:
    text = "\u201cDon\u2019t!\u201d he said. Well - stop!"
    assert removed_characters(text) == Counter("\u201c!\u201d.-!")
    assert removed_characters("don't") == Counter()
    assert removed_characters("don't", punctuation="") == Counter("'")
    assert not removed_characters("plain words", case="upper", punctuation="")


@given(st.text("aBc 12.,!?'-\u00e9\u4f60\u20ac", max_size=30), st.sampled_from(["'", "", "-"]))
def test_kept_and_removed_make_the_whole(text: str, punctuation: str) -> None:
    kept = Counter(normalise(text, case="keep", punctuation=punctuation))
    removed = removed_characters(text, case="keep", punctuation=punctuation)
    del kept[" "]
    assert kept + removed == Counter(text.replace(" ", ""))
