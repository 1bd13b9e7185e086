"""CTC's loss equals the sum over all paths, and its gradient is right where it may be used."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr.core.padded import Padded
from asr.ctc.loss import ctc_loss, feasible


def spell(path: tuple[int, ...]) -> list[int]:
    return [symbol for symbol, _ in itertools.groupby(path) if symbol != 0]


def enumerated_loss(log_probs: Tensor, tokens: list[int]) -> float:
    """-log of the summed probability of every path that spells the tokens; (T, V)."""
    frames, vocabulary = log_probs.shape
    total = sum(
        math.exp(sum(float(log_probs[t, symbol]) for t, symbol in enumerate(path)))
        for path in itertools.product(range(vocabulary), repeat=frames)
        if spell(path) == tokens
    )
    return -math.log(total) if total else math.inf


@st.composite
def batches(draw):
    """Logits (B, T, V), lengths, and the tokens of each utterance, feasible or not."""
    vocabulary = draw(st.integers(2, 3))
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3))
    token = st.integers(1, vocabulary - 1)
    tokens = [draw(st.lists(token, max_size=4)) for _ in lengths]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    extra = draw(st.integers(0, 2))
    logits = torch.randn(
        len(lengths), max(lengths) + extra, vocabulary, generator=generator, dtype=torch.float64
    )
    return logits, torch.tensor(lengths), tokens


def padded_tokens(tokens: list[list[int]]) -> Padded:
    return Padded.stack([torch.tensor(t, dtype=torch.int64) for t in tokens])


@settings(deadline=None, max_examples=60)
@given(batches())
def test_loss_is_the_sum_over_all_paths(batch):
    logits, lengths, tokens = batch
    log_probs = (3 * logits).log_softmax(-1)
    losses = ctc_loss(Padded(log_probs, lengths), padded_tokens(tokens))
    kept = feasible(lengths, padded_tokens(tokens))
    assert losses.dtype == torch.float64 and losses.shape == lengths.shape
    for i, length in enumerate(lengths.tolist()):
        expected = enumerated_loss(log_probs[i, :length], tokens[i])
        assert bool(kept[i]) == math.isfinite(expected)
        assert float(losses[i]) == pytest.approx(expected if kept[i] else 0.0, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(batches())
def test_gradient_is_finite_and_zero_where_nothing_is_learned(batch):
    logits, lengths, tokens = batch
    logits.requires_grad_(True)
    targets = padded_tokens(tokens)
    ctc_loss(Padded(logits.log_softmax(-1), lengths), targets).sum().backward()
    kept = feasible(lengths, targets)
    real = Padded(logits, lengths).mask & kept[:, None]
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~real] == 0).all()


def test_gradcheck_through_log_softmax():
    torch.manual_seed(0)
    logits = torch.randn(4, 6, 4, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([6, 4, 3, 2])
    tokens = padded_tokens([[1, 2, 2], [3], [2, 2], [3, 3]])  # the last is infeasible

    def loss(logits: Tensor) -> Tensor:
        return ctc_loss(Padded(logits.log_softmax(-1), lengths), tokens)

    assert feasible(lengths, tokens).tolist() == [True, True, True, False]
    assert torch.autograd.gradcheck(loss, (logits,))


@settings(deadline=None, max_examples=40)
@given(batches(), st.integers(0, 3), st.integers(0, 3), st.sampled_from([math.nan, 7.0, -math.inf]))
def test_padding_changes_nothing(batch, more_frames, more_tokens, junk):
    logits, lengths, tokens = batch
    clean = logits.log_softmax(-1)
    targets = padded_tokens(tokens)
    dirty = torch.nn.functional.pad(clean, (0, 0, 0, more_frames))
    dirty = dirty.masked_fill(~Padded(dirty, lengths).mask[..., None], junk)
    longer = torch.nn.functional.pad(targets.values, (0, more_tokens))
    longer = longer.masked_fill(~Padded(longer, targets.lengths).mask, 99)
    clean.requires_grad_(True)
    dirty.requires_grad_(True)
    expected = ctc_loss(Padded(clean, lengths), targets)
    got = ctc_loss(Padded(dirty, lengths), Padded(longer, targets.lengths))
    assert torch.equal(got, expected)
    expected.sum().backward()
    got.sum().backward()
    frames = clean.shape[1]
    assert torch.equal(
        Padded(dirty.grad[:, :frames], lengths).zeroed().values,
        Padded(clean.grad, lengths).zeroed().values,
    )
    assert (dirty.grad[~Padded(dirty, lengths).mask] == 0).all()


def test_batch_equals_one_by_one():
    torch.manual_seed(0)
    log_probs = Padded(torch.randn(5, 30, 8).log_softmax(-1), torch.tensor([30, 25, 9, 17, 2]))
    tokens = padded_tokens([[1, 2, 3], [4, 4], [7], [5, 6, 5, 6], [1, 1]])
    together = ctc_loss(log_probs, tokens)
    alone = [
        ctc_loss(
            Padded(log_probs.values[i : i + 1, :n], log_probs.lengths[i : i + 1]),
            Padded(tokens.values[i : i + 1, :u], tokens.lengths[i : i + 1]),
        )
        for i, (n, u) in enumerate(zip(log_probs.lengths, tokens.lengths, strict=True))
    ]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    torch.manual_seed(0)
    log_probs = torch.randn(3, 20, 30).log_softmax(-1)
    lengths = torch.tensor([20, 15, 1])
    tokens = padded_tokens([[1, 2, 3], [4, 4], [7, 7]])
    half = log_probs.to(dtype)
    loss = ctc_loss(Padded(half, lengths), tokens)
    assert loss.dtype == torch.float32
    exact = ctc_loss(Padded(log_probs, lengths), tokens)
    torch.testing.assert_close(loss, exact, rtol=0.01, atol=1e-6)
