"""The grammar: seeded, without doubles, and complete."""

import re

import pytest

from asr.corpus.grammar import RULES, pronunciation, sentences, transcript, vocabulary


def test_sentences_differ_and_depend_on_the_seed_alone() -> None:
    some = sentences(500, seed=1)
    assert len(set(map(transcript, some))) == 500
    assert sentences(200, seed=1) == some[:200]
    assert len(set(sentences(500, seed=2)) & set(some)) < 100


def test_transcripts_are_what_a_recogniser_writes() -> None:
    for sentence in sentences(1500, seed=3):
        assert re.fullmatch(r"[a-z']+( [a-z']+)*", transcript(sentence)), sentence
        assert 4 <= len(sentence.split()) <= 18


def test_every_word_comes_often_and_there_are_a_few_hundred() -> None:
    words = [word for sentence in sentences(1250, seed=1) for word in transcript(sentence).split()]
    assert set(words) == vocabulary()
    assert 300 < len(vocabulary()) < 500
    assert min(map(words.count, vocabulary())) >= 4


def test_rules_name_rules() -> None:
    slots = {slot for texts in RULES.values() for t in texts for slot in re.findall(r"{(\w+)}", t)}
    assert slots == RULES.keys() - {"sentence"}


def test_too_many_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    for rule in ("time", "date", "amount", "spelling", "command", "everyday"):
        monkeypatch.setitem(RULES, rule, ("it is {switch}",))
    assert set(sentences(2, seed=1)) == {"it is on", "it is off"}
    with pytest.raises(ValueError, match="2 different sentences; 3 are too many"):
        sentences(3, seed=1)


@pytest.mark.parametrize(
    ("sentence", "read"),
    [
        ("my name is kate K A T E", "my name is kate, K, A, T, E."),
        ("the code is B seven C two", "the code is, B, seven, C, two."),
        ("i don't know", "I don't know."),
        ("play a song", "play a song."),
        ("then press I", "then press, I."),
    ],
)
def test_pronunciation(sentence: str, read: str) -> None:
    assert pronunciation(sentence) == read
