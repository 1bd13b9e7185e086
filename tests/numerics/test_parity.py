"""Our CTC loss equals that of other frameworks, and the softmax belongs before it exactly once.

What they computed stands in tests/golden/parity.json; `make parity` computes and compares anew.
"""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr.core.padded import Padded
from asr.ctc.collapse import collapse
from asr.ctc.loss import ctc_loss

EPSILON = 1e-7  # what Keras adds to posteriors before their logarithm
LOGITS_OF = {
    "logits": lambda x: x,
    "log_softmax(logits)": lambda x: x,  # forgiven
    "softmax(logits)": lambda x: x.softmax(-1),  # not forgiven
}
POSTERIORS_OF = {
    "softmax(logits)": lambda x: x.softmax(-1),
    "softmax(softmax(logits))": lambda x: x.softmax(-1).softmax(-1),
}

batches = pytest.mark.parametrize("name", ["mild", "peaky"])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@pytest.fixture(scope="module")
def golden():
    path = Path(__file__).parents[1] / "golden" / "parity.json"
    return json.loads(path.read_text(encoding="utf-8"))


def padded(rows: list, dtype: torch.dtype) -> Padded:
    return Padded.stack([torch.tensor(row, dtype=dtype) for row in rows])


def read(batch: dict, dtype: torch.dtype) -> tuple[Padded, Padded]:
    """Logits (B, T, V) and tokens (B, U)."""
    utterances = batch["utterances"]
    logits = padded([u["logits"] for u in utterances], dtype)
    return logits, padded([u["tokens"] for u in utterances], torch.int64)


def assert_same(losses: Tensor, recorded: list[float | None]) -> None:
    """Within 1e-4 nats; None is an utterance that the framework refused."""
    kept = [i for i, nats in enumerate(recorded) if nats is not None]
    expected = torch.tensor([recorded[i] for i in kept], dtype=losses.dtype)
    torch.testing.assert_close(losses[kept], expected, rtol=0, atol=1e-4)


def with_epsilon(posteriors: Tensor) -> Tensor:
    return (posteriors + EPSILON).log().log_softmax(-1)


@batches
@dtypes
def test_losses_of_logits_agree(golden, name, dtype):
    logits, tokens = read(golden["batches"][name], dtype)
    frameworks = dict(golden["batches"][name]["losses"])
    del frameworks["ctc_batch_cost"]
    assert len(frameworks) == 5
    for losses in frameworks.values():
        assert losses.keys() == LOGITS_OF.keys()
        for what, nats in losses.items():
            log_probs = LOGITS_OF[what](logits.values).log_softmax(-1)
            assert_same(ctc_loss(Padded(log_probs, logits.lengths), tokens), nats)


@batches
@dtypes
def test_gradient_agrees(golden, name, dtype):
    logits, tokens = read(golden["batches"][name], dtype)
    logits.values.requires_grad_(True)
    ctc_loss(Padded(logits.values.log_softmax(-1), logits.lengths), tokens).sum().backward()
    expected = padded([u["gradient"] for u in golden["batches"][name]["utterances"]], dtype).values
    torch.testing.assert_close(logits.values.grad, expected, rtol=0, atol=1e-4)


@batches
@dtypes
def test_keras_loss_of_posteriors_is_ours_with_its_epsilon(golden, name, dtype):
    logits, tokens = read(golden["batches"][name], dtype)
    losses = golden["batches"][name]["losses"]["ctc_batch_cost"]
    assert losses.keys() == POSTERIORS_OF.keys()
    for what, nats in losses.items():
        log_probs = with_epsilon(POSTERIORS_OF[what](logits.values))
        assert_same(ctc_loss(Padded(log_probs, logits.lengths), tokens), nats)


@dtypes
def test_epsilon_matters_to_peaky_posteriors_only(golden, dtype):
    keras = {n: b["losses"]["ctc_batch_cost"] for n, b in golden["batches"].items()}
    mild, peaky = keras["mild"]["softmax(logits)"], keras["peaky"]["softmax(logits)"]
    logits, tokens = read(golden["batches"]["mild"], dtype)
    assert_same(ctc_loss(Padded(logits.values.log_softmax(-1), logits.lengths), tokens), mild)
    logits, tokens = read(golden["batches"]["peaky"], dtype)
    ours = ctc_loss(Padded(logits.values.log_softmax(-1), logits.lengths), tokens)
    assert max(float(a) - b for a, b in zip(ours, peaky, strict=True) if b is not None) > 5


@dtypes
def test_posteriors_of_a_keras_model(golden, dtype):
    symbols, utterances = golden["model"]["symbols"], golden["model"]["utterances"]
    blank_last = padded([u["posteriors"] for u in utterances], dtype)
    posteriors = Padded(blank_last.values.roll(1, dims=-1), blank_last.lengths)  # blank first
    tokens = padded([[symbols.index(c) + 1 for c in u["text"]] for u in utterances], torch.int64)
    log_probs = Padded(with_epsilon(posteriors.values), posteriors.lengths)
    assert_same(ctc_loss(log_probs, tokens), [u["ctc_batch_cost"] for u in utterances])
    best, _ = collapse(posteriors.values.argmax(-1), posteriors.lengths)
    greedy = ["".join(symbols[token - 1] for token in row) for row in best]
    assert greedy == [u["greedy"] for u in utterances]


@st.composite
def utterances(draw):
    """Logits (1, T, V), mild to peaky, and tokens that fit."""
    vocabulary, frames = draw(st.integers(2, 6)), draw(st.integers(1, 10))
    tokens = draw(st.lists(st.integers(1, vocabulary - 1), max_size=frames // 2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    logits = torch.randn(1, frames, vocabulary, generator=generator, dtype=torch.float64)
    return draw(st.sampled_from([0.5, 3.0, 12.0])) * logits, padded([tokens], torch.int64)


def loss_and_gradient(x: Tensor, normalise, tokens: Padded) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_(True)
    loss = ctc_loss(Padded(normalise(x), torch.tensor([x.shape[1]])), tokens)
    loss.sum().backward()
    return loss.detach(), x.grad


@settings(deadline=None, max_examples=40)
@given(utterances())
def test_a_second_log_softmax_changes_nothing(utterance):
    logits, tokens = utterance
    posteriors = logits.softmax(-1)
    torch.testing.assert_close(posteriors.log().softmax(-1), posteriors)
    once = loss_and_gradient(logits, lambda x: x.log_softmax(-1), tokens)
    twice = loss_and_gradient(logits, lambda x: x.log_softmax(-1).log_softmax(-1), tokens)
    torch.testing.assert_close(twice, once)
    # The gradient has the softmax folded in: it already is that of the logits.
    folded = loss_and_gradient(logits.log_softmax(-1), lambda x: x, tokens)
    torch.testing.assert_close(folded, once)


@settings(deadline=None, max_examples=40)
@given(utterances())
def test_a_second_softmax_is_another_loss(utterance):
    logits, tokens = utterance
    twice = logits.softmax(-1).softmax(-1)
    vocabulary = logits.shape[-1]
    ceiling = math.e / (math.e + vocabulary - 1)
    assert float(twice.max()) <= ceiling + 1e-12
    once, _ = loss_and_gradient(logits, lambda x: x.log_softmax(-1), tokens)
    again, _ = loss_and_gradient(logits, lambda x: x.softmax(-1).log_softmax(-1), tokens)
    assert abs(float(again - once)) > 1e-9
