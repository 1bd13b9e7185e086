"""The picture of an utterance: dark where a model is sure, red where it errs, never a crash."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from asr.reporting.utterance_picture import Spoken, draw_utterance
from asr.tokenizer.char import Char

TOKENIZER = Char(" abc")  # tokens 1 to 4
FRAME = 0.04


def spoken(path: str, reference: str, hypothesis: str) -> Spoken:
    """A model that is sure of a path; '-' is a blank."""
    tokens = ["- abc".index(symbol) for symbol in path]
    probabilities = torch.full((len(path), 5), 0.01)
    probabilities[range(len(path)), tokens] = 0.96
    features = np.random.default_rng(0).normal(size=(4 * len(path), 80)).astype(np.float32)
    seconds = len(path) * FRAME
    return Spoken(seconds, reference, hypothesis, features, probabilities.log(), FRAME)


def drawn(one: Spoken) -> np.ndarray:
    png, width, height = draw_utterance(one, TOKENIZER, "title")
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert picture.shape == (height, width, 3)
    return picture


def roll(picture: np.ndarray) -> np.ndarray:
    """Below the strips: (H, W) how blue it is."""
    below = picture[167:, 44:]
    return np.where(below[..., 2] > below[..., 0] + 40, 255 - below[..., 0], 0)


def is_red(picture: np.ndarray) -> np.ndarray:
    below = picture[133:]  # the features have red of their own
    return (below[..., 0] > 150) & (below[..., 1] < 60) & (below[..., 2] < 60)


def test_each_token_is_dark_at_its_time() -> None:
    path = "--aa---b------cc--  "
    blue = roll(drawn(spoken(path, "abc", "abc")))
    frame = blue.shape[1] / len(path)
    rows = {"a": 1, "b": 2, "c": 3, "-": 4}  # under the row of the space, which is in the path
    for place, symbol in enumerate(path.rstrip()):
        column = blue[:, int(place * frame)]
        darkest = [column[12 * row + 6] for row in range(5)]
        assert int(np.argmax(darkest)) == rows[symbol], (place, symbol)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wrong"),
    [("ab c", "ab c", False), ("ab c", "ab a", True), ("ab c", "ab", True), ("ab", "ab c", True)],
)
def test_only_errors_are_coloured(reference: str, hypothesis: str, wrong: bool) -> None:
    path = "--" + hypothesis.replace(" ", "-- --") + "-----"
    picture = drawn(spoken(path, reference, hypothesis))
    if hypothesis == "ab c" and wrong:  # an insertion is brown
        assert ((picture - (170, 90, 0)) ** 2).sum(axis=-1)[133:].min() < 300
    else:
        assert is_red(picture).any() == wrong


@pytest.mark.parametrize(
    ("path", "reference", "hypothesis"),
    [
        ("-----", "ab", ""),  # nothing heard
        ("-a-", "", "a"),  # nothing said
        ("-", "abcabc", ""),  # too short to be aligned
        ("-a-b-", "aü \N{CJK UNIFIED IDEOGRAPH-4E2D}", "ab"),  # outside the alphabet
        ("ab " * 300, "ab " * 300, "ab " * 150),  # longer than is wide
        ("-ab- c-", "a", "ab c"),
    ],
)
def test_whatever_is_said_can_be_drawn(path: str, reference: str, hypothesis: str) -> None:
    assert drawn(spoken(path, reference, hypothesis)).shape[1] <= 1200


def test_of_many_tokens_the_likeliest_are_shown() -> None:
    letters = [chr(0x100 + i) for i in range(300)]
    probabilities = torch.full((100, 301), 1e-4)
    probabilities[range(100), range(1, 101)] = 0.5
    features = np.zeros((400, 80), dtype=np.float32)
    text = "".join(letters[:100])
    one = Spoken(4.0, text, text, features, probabilities.log(), FRAME)
    _, _, height = draw_utterance(one, Char(letters), "title")
    assert height < 900
