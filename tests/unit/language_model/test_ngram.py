"""The walk over states is the back-off formula, and arrays are kept beside the file."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_arpa import random_arpa

from asr.language_model import kept as kept_file
from asr.language_model import ngram as ngram_file
from asr.language_model.arpa import write_arpa
from asr.language_model.base import START, UNKNOWN, Arpa, Grams
from asr.language_model.flat import ROOT
from asr.language_model.ngram import NGram

WORDS = ["the", "cat", "sat", "on"]


def back_off(arpa: Arpa, history: tuple[int, ...], word: int) -> float:
    """log10 p(word | history) straight from the listed n-grams (Katz 1987)."""
    listed = [
        {tuple(w): (p, b) for w, p, b in zip(g.words.tolist(), *g[1:], strict=True)}
        for g in arpa.orders
    ]
    history = history[max(0, len(history) - len(arpa.orders) + 1) :]
    paid = 0.0
    while True:
        gram = (*history, word)
        if gram in listed[len(gram) - 1]:
            return paid + float(listed[len(gram) - 1][gram][0])
        if history in listed[len(history) - 1]:
            paid += float(listed[len(history) - 1][history][1])
        history = history[1:]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(0, 1000), st.lists(st.integers(0, 5), max_size=8))
def test_a_walk_is_the_back_off_formula(order, seed, choices):
    arpa = random_arpa(WORDS, order, seed)
    model = NGram.from_arpa(arpa)
    sentence = [["the", "cat", "sat", "on", "dog", "the"][c] for c in choices] + ["</s>"]
    history, state = (arpa.vocabulary.index(START),), model.start
    for text in sentence:
        word = model.number(text)
        log_prob, state = model.score(state, word)
        assert log_prob / math.log(10) == pytest.approx(back_off(arpa, history, word), abs=1e-5)
        history = (*history, word)


def test_what_has_the_same_future_is_the_same_state():
    arpa = random_arpa(WORDS, 2, seed=0)
    bigrams = arpa.orders[1]
    keep = bigrams.words[:, 0] != arpa.vocabulary.index("cat")  # nothing continues "cat"
    first = arpa.orders[0]
    backoffs = np.where(np.array(arpa.vocabulary) == "cat", 0, first.log10_backoffs)
    arpa = Arpa(
        arpa.vocabulary,
        [
            first._replace(log10_backoffs=backoffs.astype(np.float32)),
            Grams(*(a[keep] for a in bigrams)),
        ],
    )
    model = NGram.from_arpa(arpa)
    assert model.score(model.start, model.number("cat"))[1] == ROOT
    assert model.score(model.start, model.number("the"))[1] != ROOT


def test_unknown_words_are_scored_as_the_model_says():
    model = NGram.from_arpa(random_arpa(WORDS, 2, seed=0))
    assert model.number("zebra") == model.unknown == model.vocabulary.index(UNKNOWN)
    without = NGram.from_arpa(random_arpa(WORDS, 2, seed=0, unknown=False))
    assert without.score(ROOT, without.unknown)[0] == pytest.approx(-100 * math.log(10))
    capitals = random_arpa(WORDS, 2, seed=0)
    capitals = capitals._replace(
        vocabulary=["<UNK>" if w == UNKNOWN else w for w in capitals.vocabulary]
    )
    assert NGram.from_arpa(capitals).unknown == model.unknown


def test_an_n_gram_without_its_history_is_an_error():
    arpa = random_arpa(WORDS, 3, seed=0)
    bigrams, trigrams = arpa.orders[1:]
    lost = trigrams.words[0, :2]
    keep = (bigrams.words != lost).any(axis=1)
    broken = arpa._replace(orders=[arpa.orders[0], Grams(*(a[keep] for a in bigrams)), trigrams])
    with pytest.raises(ValueError, match="does not list with a back-off weight"):
        NGram.from_arpa(broken)


def test_perplexity_counts_unknown_words_apart():
    arpa = random_arpa(WORDS, 2, seed=0)
    model = NGram.from_arpa(arpa)
    found = model.perplexity([["the", "zebra"], []])
    start, end = arpa.vocabulary.index(START), model.end
    the, zebra = model.number("the"), model.unknown
    logs = [back_off(arpa, (start,), the), back_off(arpa, (start, the), zebra)]
    logs += [back_off(arpa, (zebra,), end), back_off(arpa, (start,), end)]
    assert (found.tokens, found.unknown) == (4, 1)
    assert found.with_unknown == pytest.approx(10 ** (-sum(logs) / 4), rel=1e-5)
    assert found.without_unknown == pytest.approx(10 ** (-(sum(logs) - logs[1]) / 3), rel=1e-5)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    write_arpa(random_arpa(WORDS, 3, seed=1), tmp_path / "lm" / "words.arpa.gz")
    return tmp_path / "lm" / "words.arpa.gz"


def same(one: NGram, other: NGram) -> bool:
    return one.vocabulary == other.vocabulary and all(
        np.array_equal(a, b) for a, b in zip(one.flat, other.flat, strict=True)
    )


def test_the_second_reading_is_a_map_of_what_the_first_kept(path, monkeypatch):
    first = NGram.open(path)
    monkeypatch.setattr(ngram_file, "read_arpa", None)  # it would fail if it read the text again
    second = NGram.open(path)
    assert same(first, second) and second.flat.words.base is not None
    assert (second.order, second.start, second.end) == (3, first.start, first.end)


def test_what_is_kept_follows_the_file(path):
    NGram.open(path)
    write_arpa(random_arpa(WORDS, 2, seed=2), path)
    assert NGram.open(path).order == 2


@pytest.mark.parametrize("damage", ["cut", "other", "empty", "header"])
def test_damage_to_what_is_kept_is_mended(path, damage):
    first = NGram.open(path)
    kept = path.with_name(path.name + ".ngram")
    content = kept.read_bytes()
    kept.unlink()  # the first may still be mapped
    broken = {
        "cut": content[:-12],
        "other": b"something else",
        "empty": b"",
        "header": content.replace(b'"order": 3', b'"order": {'),
    }
    kept.write_bytes(broken[damage])
    assert same(NGram.open(path), first)
    assert kept.read_bytes() == content


@pytest.mark.skipif(os.name != "posix", reason="folders without a right to write")
def test_where_the_folder_is_not_ours_the_users_cache_is(path, monkeypatch):
    if os.geteuid() == 0:  # root may write everywhere: a file stands where the folder would be

        def no(*arguments: object) -> None:
            raise PermissionError

        real = kept_file.keep

        def keep(kept: kept_file.Kept, place: Path, key: str) -> None:
            return no() if place.parent == path.parent else real(kept, place, key)

        monkeypatch.setattr(kept_file, "keep", keep)
    else:
        path.parent.chmod(0o555)
    first = NGram.open(path)
    monkeypatch.setattr(ngram_file, "read_arpa", None)
    assert same(NGram.open(path), first)
    assert not list(path.parent.glob("*.ngram"))


def test_no_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no such language model"):
        NGram.open(tmp_path / "none.arpa")
