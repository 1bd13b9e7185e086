"""Greedy decoding: the best path, its score and its times, untouched by padding."""

import math
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from asr.core.padded import Padded
from asr.decoder.base import Hypothesis
from asr.decoder.greedy import Greedy
from asr.tokenizer.char import Char

TOKENIZER = Char("ab ")  # V = 4


def random_log_probs(lengths: list[int], dtype: torch.dtype = torch.float32) -> Padded:
    generator = torch.Generator().manual_seed(sum(lengths))
    values = 3 * torch.randn(len(lengths), max(lengths), 4, generator=generator)
    return Padded(values.log_softmax(-1).to(dtype), torch.tensor(lengths))


def test_a_path_worked_by_hand():
    probabilities = torch.tensor(
        [
            [0.1, 0.7, 0.1, 0.1],  # a
            [0.1, 0.6, 0.2, 0.1],  # a again: the same
            [0.9, 0.0, 0.1, 0.0],  # blank
            [0.2, 0.5, 0.2, 0.1],  # a
            [0.0, 0.0, 0.2, 0.8],  # space
            [0.1, 0.1, 0.6, 0.2],  # b
        ]
    )
    [[hypothesis]] = Greedy(TOKENIZER)(Padded(probabilities.log()[None], torch.tensor([6])))
    assert (hypothesis.text, hypothesis.tokens) == ("aa b", (1, 1, 3, 2))
    assert hypothesis.timesteps == (0, 3, 4, 5)
    assert hypothesis.score == pytest.approx(math.log(0.7 * 0.6 * 0.9 * 0.5 * 0.8 * 0.6))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=4),
    st.integers(0, 5),
    st.sampled_from([math.nan, 9.0, math.inf]),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_padding_and_company_change_nothing(lengths, more_frames, junk, dtype):
    log_probs = random_log_probs(lengths, dtype)
    values = torch.nn.functional.pad(log_probs.values, (0, 0, 0, more_frames))
    dirty = Padded(values, log_probs.lengths)
    dirty = Padded(values.masked_fill(~dirty.mask[..., None], junk), log_probs.lengths)
    alone = [
        Greedy(TOKENIZER)(Padded(log_probs.values[i : i + 1, :n], torch.tensor([n])))[0]
        for i, n in enumerate(lengths)
    ]
    assert Greedy(TOKENIZER)(dirty) == alone


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_long_utterances_and_large_vocabularies_are_exact(dtype):
    frames, vocabulary = 3001, 500
    generator = torch.Generator().manual_seed(0)
    path = torch.randint(1, vocabulary, (frames,), generator=generator)
    path[1::2] = 0  # a blank between any two, so that none merge
    logits = torch.randn(1, frames, vocabulary, generator=generator)
    logits[0, torch.arange(frames), path] += 9
    log_probs = logits.log_softmax(-1).to(dtype)
    decoder = Greedy(Char([chr(0x4E00 + i) for i in range(vocabulary - 1)]))
    [[hypothesis]] = decoder(Padded(log_probs, torch.tensor([frames])))
    assert hypothesis.tokens == tuple(path[::2].tolist())
    assert hypothesis.timesteps == tuple(range(0, frames, 2))
    assert hypothesis.score == pytest.approx(math.fsum(log_probs.amax(-1)[0].tolist()), rel=1e-12)


def test_no_frames_is_an_empty_text():
    empty = [[Hypothesis(text="", tokens=(), score=0.0, timesteps=())]]
    assert Greedy(TOKENIZER)(Padded(torch.zeros(1, 0, 4), torch.tensor([0]))) == empty
    assert Greedy(TOKENIZER)(random_log_probs([0, 5]))[:1] == empty


def test_nan_is_an_error_that_names_the_utterance():
    log_probs = random_log_probs([4, 5])
    log_probs.values[1, 4, 2] = math.nan
    with pytest.raises(ValueError, match="utterance 1 in the batch hold NaN"):
        Greedy(TOKENIZER)(log_probs)


def test_another_vocabulary_is_an_error():
    with pytest.raises(ValueError, match="4 symbols a frame, but the tokenizer has 3"):
        Greedy(Char("ab"))(random_log_probs([4]))


def test_the_yaml_builds_it(repository: Path):
    decoder = instantiate(OmegaConf.load(repository / "configs/decoder/greedy.yaml"), TOKENIZER)
    assert decoder(random_log_probs([9])) == Greedy(TOKENIZER)(random_log_probs([9]))
