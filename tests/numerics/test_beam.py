"""The beam search is exact where nothing is pruned: scores equal those of every path, summed."""

import math
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from random_arpa import random_arpa
from slow_beam import enumerate_paths, score_text, score_tokens, search_prefixes
from support import CONFIGS

from asr.core.padded import Padded
from asr.decoder.base import Hypothesis
from asr.decoder.beam import Beam
from asr.language_model.arpa import write_arpa
from asr.language_model.ngram import NGram
from asr.tokenizer.base import Tokenizer
from asr.tokenizer.char import Char
from asr.tokenizer.symbols import Symbols

TOKENIZERS = {
    "characters": Char("ab "),
    "pieces": Symbols(["<blank>", "_", "_a", "a", "b", "ab"], space="_"),
    "no spaces": Char("ab"),
}
UNPRUNED = {
    "beam_size": 5000,
    "beam_threshold": None,
    "beam_size_token": None,
    "token_threshold": None,
    "blank_skip_threshold": None,
    "recombine": False,
    "nbest": 5000,
    "threads": 1,
}
WORDS = ["a", "b", "ab", "ba", "aab"]
exact = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def beam(tokenizer: Tokenizer, **options: object) -> Beam:
    node = OmegaConf.to_container(OmegaConf.load(CONFIGS / "decoder" / "beam.yaml"))
    return instantiate(node | options, tokenizer, _convert_="all")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A file for each order."""
    folder = tmp_path_factory.mktemp("arpa")
    paths = {order: folder / f"{order}.arpa" for order in (1, 2, 3, 4)}
    for order, path in paths.items():
        write_arpa(random_arpa(WORDS, order, seed=order), path)
    return paths


@st.composite
def posteriors(draw: st.DrawFn, size: int) -> Padded:
    """Log-probabilities (1, T, V) in float32: flat or peaky, some of them impossible."""
    frames = draw(st.integers(0, 5 if size < 5 else 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    logits = torch.randn(1, frames, size, generator=generator) * draw(st.sampled_from([1, 5, 30]))
    if draw(st.booleans()) and frames:
        logits[0, draw(st.integers(0, frames - 1)), draw(st.integers(0, size - 1))] = -math.inf
    return Padded(logits.log_softmax(-1), torch.tensor([frames]))


def breaks_off(text: str, lexicon: set[str]) -> bool:
    """Whether a text is words of a lexicon and the beginning of one more."""
    *whole, last = text.split()
    return lexicon.issuperset(whole) and any(word.startswith(last) for word in lexicon)


def same(
    found: list[Hypothesis], expected: dict[tuple[int, ...], float], tokenizer: Tokenizer
) -> None:
    """Of each text the likeliest tokens, and their scores; ties may fall either way."""
    texts: dict[str, float] = {}
    for tokens, score in expected.items():
        text = " ".join(tokenizer.decode(tokens).split())
        texts[text] = max(score, texts.get(text, -math.inf))
    for h in found:
        assert h.score == pytest.approx(expected[h.tokens], abs=1e-6)
    texts = {text: score for text, score in texts.items() if score > -math.inf}
    best = max(texts.values())
    # Further behind than numbers hold is out of sight.
    texts = {text: score for text, score in texts.items() if score > best - 300}
    scores = {h.text: h.score for h in found if h.score > best - 300}
    assert scores.keys() == texts.keys()
    assert list(scores.values()) == pytest.approx([texts[text] for text in scores], abs=1e-6)
    ranks = [h.score for h in found]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("name", TOKENIZERS)
@exact
@given(data=st.data())
def test_without_a_language_model_scores_are_those_of_all_paths(name: str, data: st.DataObject):
    tokenizer = TOKENIZERS[name]
    log_probs = data.draw(posteriors(len(tokenizer)))
    [found] = beam(tokenizer, word_score=0.0, **UNPRUNED)(log_probs)
    frames = log_probs.values[0].double().tolist()
    paths = enumerate_paths(frames)
    same(found, paths, tokenizer)
    for prefix, score in search_prefixes(frames).items():  # the slow search is held too
        assert score == pytest.approx(paths.get(prefix, -math.inf), abs=1e-6)


@pytest.mark.parametrize("name", ["characters", "pieces"])
@pytest.mark.parametrize("closed", [False, True])
@exact
@given(data=st.data())
def test_with_a_model_of_words_they_are_the_slow_search(
    name: str, closed: bool, models: dict[int, Path], data: st.DataObject
):
    tokenizer = TOKENIZERS[name]
    order = data.draw(st.sampled_from(sorted(models)))
    weights = {
        "lm_weight": data.draw(st.sampled_from([0.0, 0.5, 2.0])),
        "word_score": data.draw(st.sampled_from([-1.0, 0.0, 1.5])),
        "hotwords": data.draw(st.sampled_from([None, {"ba": 3.0}, {"bb": -2.0, "a": 1.0}])),
    }
    options = weights | UNPRUNED | {"lexicon": "lm" if closed else None}
    log_probs = data.draw(posteriors(len(tokenizer)))
    [found] = beam(tokenizer, lm=str(models[order]), **options)(log_probs)
    model = NGram.open(models[order])
    lexicon = {*WORDS, *(weights["hotwords"] or {})} if closed else None
    sounds = search_prefixes(log_probs.values[0].double().tolist())
    expected = {
        tokens: score + score_text(tokenizer.decode(tokens), model, lexicon=lexicon, **weights)
        for tokens, score in sounds.items()
    }
    if max(expected.values()) == -math.inf:  # no path ends with a whole word
        expected = {
            tokens: score + score_text(tokenizer.decode(tokens), model, **weights)
            for tokens, score in sounds.items()
            if breaks_off(tokenizer.decode(tokens), lexicon)
        }
    same(found, expected, tokenizer)


@pytest.mark.parametrize("name", TOKENIZERS)
@exact
@given(data=st.data())
def test_with_a_model_of_tokens_too(name: str, tmp_path: Path, data: st.DataObject):
    tokenizer = TOKENIZERS[name]
    names = [tokenizer.decode([t]).replace(" ", "\u2581") for t in range(1, len(tokenizer))]
    path = tmp_path / f"{name}.arpa"
    if not path.exists():
        write_arpa(random_arpa(names, 3, seed=5), path)
    log_probs = data.draw(posteriors(len(tokenizer)))
    options = UNPRUNED | {"lm_unit": "token", "lm_weight": 0.7, "word_score": 0.0}
    [found] = beam(tokenizer, lm=str(path), **options)(log_probs)
    model = NGram.open(path)
    expected = {
        tokens: score + score_tokens([names[t - 1] for t in tokens], model, 0.7)
        for tokens, score in search_prefixes(log_probs.values[0].double().tolist()).items()
    }
    same(found, expected, tokenizer)


def test_recombination_finds_the_best_of_all(models: dict[int, Path]):
    """Hypotheses of the same future are told apart by what they have: few are lost by it."""
    tokenizer, options = TOKENIZERS["characters"], UNPRUNED | {"lm": str(models[2])}
    whole = beam(tokenizer, **options)
    lean = beam(tokenizer, **options | {"recombine": True, "nbest": 1})
    generator = torch.Generator().manual_seed(1)
    values = (3 * torch.randn(100, 6, 4, generator=generator)).log_softmax(-1)
    log_probs = Padded(values, torch.full((100,), 6))
    pairs = list(zip(whole(log_probs), lean(log_probs), strict=True))
    assert all(short[0].score <= long[0].score + 1e-9 for long, short in pairs)
    assert sum(short[0].tokens == long[0].tokens for long, short in pairs) >= 99
