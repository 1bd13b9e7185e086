"""The character tokenizer: a lossless round trip, and errors that name the symbol."""

import json
from pathlib import Path

import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from asr.tokenizer.char import Char


@given(st.lists(st.text(), min_size=1).filter(any))
def test_round_trip_over_what_it_was_trained_on(texts):
    tokenizer = Char.train(texts)
    for text in texts:
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text
        assert all(0 < token < len(tokenizer) for token in tokens)
        assert tokenizer.unknown(text) == set()


@given(st.lists(st.text(), min_size=1).filter(any))
def test_a_checkpoint_rebuilds_it(texts):
    tokenizer = Char.train(texts)
    state = json.loads(json.dumps(tokenizer.state()))  # plain data survives
    assert state.pop("_target_") == "asr.tokenizer.char.Char"
    assert Char(**state).symbols == tokenizer.symbols


def test_the_state_is_instantiable():
    tokenizer = Char.train(["ab a"])
    assert instantiate(tokenizer.state()).encode("ba ") == tokenizer.encode("ba ")


def test_the_yaml_trains_one_from_transcripts(repository: Path):
    config = OmegaConf.load(repository / "configs/tokenizer/char.yaml")
    tokenizer = instantiate(config, ["good", "a dog"])
    assert tokenizer.symbols == ("<blank>", " ", "a", "d", "g", "o")


def test_the_order_of_transcripts_does_not_matter_and_the_space_is_a_token():
    tokenizer = Char.train(iter(["ba", "a c"]))
    assert tokenizer.symbols == Char.train(["a c", "ba"]).symbols == ("<blank>", *" abc")
    assert len(tokenizer) == 5
    assert tokenizer.encode("c a") == [4, 1, 2]


def test_unknown_characters_are_named_not_dropped():
    tokenizer = Char.train(["abc "])
    with pytest.raises(ValueError, match=r"'!' \(EXCLAMATION MARK\), 'é' \(LATIN SMALL") as error:
        tokenizer.encode("a é! b")
    assert "'a'" not in str(error.value)
    assert tokenizer.unknown("a é! b") == {"é", "!"}
    with pytest.raises(ValueError, match=r"'\\x01' \(U\+0001\)"):
        tokenizer.encode("\x01")


@pytest.mark.parametrize("tokens", [[1, 0], [4], [-1]])
def test_decode_refuses_the_blank_and_what_is_outside(tokens):
    with pytest.raises(ValueError, match=f"token {tokens[-1]} stands for no character"):
        Char(["a", "b", "c"]).decode(tokens)


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        ([], "no training transcript holds a character"),
        (["a", "bc"], "'bc' is not a single character"),
        (["a", ""], "'' is not a single character"),
        (["a", "b", "a"], r"holds 'a' \(LATIN SMALL LETTER A\) more than once"),
    ],
)
def test_alphabets_that_cannot_be(characters, message):
    with pytest.raises(ValueError, match=message):
        Char(characters)


def test_training_on_empty_transcripts():
    with pytest.raises(ValueError, match="alphabet is empty"):
        Char.train(["", ""])
