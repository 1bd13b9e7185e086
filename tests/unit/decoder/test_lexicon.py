"""The graph of a lexicon accepts just the spellings of its words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decoder.lexicon import NO_SPACE, NOWHERE, ROOT, Lexicon, build_lexicon, look_ahead, spelt

words = st.lists(st.text("abc", min_size=1, max_size=6), unique=True, max_size=12)
pieces = st.lists(st.text("abc", min_size=1, max_size=3), unique=True, min_size=1, max_size=8)


def spellings(graph: Lexicon, deepest: int) -> set[tuple[int, tuple[int, ...]]]:
    """(word, tokens) of every way from the root to a word's end."""
    found, ways = set(), [(ROOT, ())]
    for _ in range(deepest):
        ways = [
            (int(graph.targets[e]), (*tokens, int(graph.tokens[e])))
            for node, tokens in ways
            for e in range(graph.first[node], graph.first[node + 1])
        ]
        found |= {(int(graph.words[n]), tokens) for n, tokens in ways if graph.words[n] >= 0}
    return found


def cut(word: str, own: list[str]) -> list[tuple[int, ...]]:
    """Every way to cut a word into tokens, which are numbered from 1."""
    if not word:
        return [()]
    return [
        (token, *rest)
        for token, text in enumerate(own, start=1)
        if word.startswith(text)
        for rest in cut(word[len(text) :], own)
    ]


@settings(deadline=None)
@given(words, pieces)
def test_every_spelling_of_every_word_and_no_other(own, tokens):
    graph = build_lexicon(own, ["", *tokens])
    expected = {(i, way) for i, word in enumerate(own) for way in cut(word, tokens)}
    assert spellings(graph, 6) == expected
    assert spelt(graph).tolist() == [bool(cut(word, tokens)) for word in own]
    for node in range(len(graph.words)):
        own_tokens = graph.tokens[graph.first[node] : graph.first[node + 1]]
        assert (np.diff(own_tokens) > 0).all()


def test_tokens_that_begin_with_a_space_lead_from_the_root():
    tokens = ["", " ", " a", "b", " bb", "ab"]
    graph = build_lexicon(["ab", "a", "b"], tokens)
    assert graph.spaces[1] == ROOT
    assert graph.words[graph.spaces[2]] == 1  # " a" has spelt "a"
    assert graph.spaces[3] == graph.spaces[5] == NO_SPACE
    assert graph.spaces[4] == NOWHERE  # no word begins with "bb"
    assert spelt(graph).all()


def test_a_piece_may_only_be_spelt_with_its_space():
    graph = build_lexicon(["ab", "ba"], ["", " a", "b"])
    assert spelt(graph).tolist() == [True, False]  # no token gives an "a" inside a word


@given(words, st.integers(0, 2**32))
def test_looking_ahead_sees_the_best_word_below(own, seed):
    graph = build_lexicon(own, ["", "a", "b", "c"])
    values = np.random.default_rng([seed]).normal(size=len(own))
    ahead = look_ahead(graph, values)
    ways = [(ROOT, "")]
    while ways:
        node, text = ways.pop()
        below = [values[i] for i, word in enumerate(own) if word.startswith(text)]
        assert ahead[node] == (0.0 if node == ROOT else max(below))
        ways += [
            (int(graph.targets[e]), text + "_abc"[graph.tokens[e]])
            for e in range(graph.first[node], graph.first[node + 1])
        ]


@pytest.mark.parametrize("token", ["a b", "a ", "  "])
def test_tokens_over_the_end_of_a_word_are_refused(token):
    with pytest.raises(ValueError, match="reaches over the end of a word"):
        build_lexicon(["a"], ["", token])


def test_endless_words_are_refused():
    with pytest.raises(ValueError, match="a word of 300 characters"):
        build_lexicon(["a" * 300], ["", "a"])


def test_other_scripts_are_words_too():
    own = ["\u65e5\u672c", "\U0001f600", "e\u0301t\u00e9"]
    graph = build_lexicon(own, ["", *sorted(set("".join(own)))])
    assert spelt(graph).all()
