"""What `ctc_loss` refuses, what it lets through, and how it says so."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.core.padded import Padded
from asr.ctc.loss import ctc_loss, feasible, min_frames

LENGTHS = torch.tensor([6, 4])
TOKENS = Padded(torch.tensor([[1, 2, 2], [3, 0, 0]]), torch.tensor([3, 1]))


def logits(vocabulary: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 6, vocabulary, generator=generator)


def test_feasible_counts_equal_neighbours_inside_the_lengths_only():
    tokens = Padded(
        torch.tensor([[1, 1, 1], [1, 1, 1], [1, 2, 1], [2, 2, 2], [0, 0, 0], [0, 0, 0]]),
        torch.tensor([3, 3, 3, 2, 0, 0]),
    )
    lengths = torch.tensor([5, 4, 3, 3, 0, 7])
    assert feasible(lengths, tokens).tolist() == [True, False, True, True, True, True]


@pytest.mark.parametrize("log_probs", [torch.zeros(2, 0, 5), torch.zeros(2, 3, 5).log_softmax(-1)])
def test_no_frames(log_probs):
    log_probs.requires_grad_(True)
    tokens = Padded(torch.tensor([[0], [1]]), torch.tensor([0, 1]))
    loss = ctc_loss(Padded(log_probs, torch.tensor([0, 0])), tokens)
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert (log_probs.grad == 0).all()


def test_no_tokens_at_all():
    log_probs = logits().log_softmax(-1)
    tokens = Padded(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    loss = ctc_loss(Padded(log_probs, LENGTHS), tokens)
    expected = [-float(log_probs[i, :n, 0].sum()) for i, n in enumerate(LENGTHS)]
    assert loss.tolist() == pytest.approx(expected, rel=1e-5)


def test_an_impossible_but_feasible_utterance_stays_infinite():
    log_probs = logits().log_softmax(-1)
    log_probs[0] = torch.tensor([0.0, *[-math.inf] * 4])  # blanks only, with certainty
    loss = ctc_loss(Padded(log_probs, LENGTHS), TOKENS)
    assert loss[0] == math.inf and math.isfinite(loss[1])


def test_an_infeasible_utterance_is_exactly_zero_whatever_its_frames_hold():
    values = torch.tensor([0.0, *[-math.inf] * 4]).expand(2, 6, 5).clone().requires_grad_(True)
    tokens = Padded(torch.tensor([[1, 1], [0, 0]]), torch.tensor([2, 0]))
    loss = ctc_loss(Padded(values, torch.tensor([2, 6])), tokens)
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert (values.grad[0] == 0).all()


def test_nan_reaches_the_caller_as_nan():
    log_probs = logits().log_softmax(-1)
    log_probs[0, 2] = math.nan
    loss = ctc_loss(Padded(log_probs, LENGTHS), TOKENS)
    assert math.isnan(loss[0]) and math.isfinite(loss[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (logits(), "these look like logits"),
        (logits().softmax(-1), "these are probabilities: each frame lies in"),
        (torch.eye(5)[torch.arange(12).reshape(2, 6) % 5], "these are probabilities"),
        (torch.tensor([2.0, -1, 0, 0, 0]).expand(2, 6, 5), "these look like logits"),
        (logits().log_softmax(1), r"normalised over axis 1 \(time\)"),
        (logits().log_softmax(0), r"normalised over axis 0 \(batch\)"),
        (logits().log_softmax(-1) + 0.002, "log-probabilities"),
    ],
)
def test_what_is_not_log_probabilities_is_told_so(values, message):
    with pytest.raises(ValueError, match=message) as error:
        ctc_loss(Padded(values, LENGTHS), TOKENS)
    assert "log_softmax once, over the last axis" in str(error.value)


def test_padding_does_not_hide_that_these_are_probabilities():
    with pytest.raises(ValueError, match="these are probabilities"):
        ctc_loss(Padded(logits().softmax(-1), LENGTHS).zeroed(), TOKENS)


def test_the_worst_frame_is_named():
    values = logits().log_softmax(-1)
    values[1, 3] += 0.5
    with pytest.raises(ValueError, match=r"frame 3 of utterance 1 .*log-sum-exp 0\.5 "):
        ctc_loss(Padded(values, LENGTHS), TOKENS)
    values[1, 3] = -math.inf
    with pytest.raises(ValueError, match=r"frame 3 of utterance 1 .*log-sum-exp -inf "):
        ctc_loss(Padded(values, LENGTHS), TOKENS)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (torch.float64, 1e-3),
        (torch.float32, 1e-3),
        (torch.float16, 5e-3),
        (torch.bfloat16, 2e-2),
    ],
)
def test_tolerance_follows_the_type(dtype, tolerance):
    # Two equal symbols: log-sum-exp is the shift itself, and the shift is as good as exact.
    even = torch.full((2, 6, 2), -math.log(2), dtype=torch.float64)
    tokens = Padded(torch.tensor([[1], [1]]), torch.tensor([1, 1]))
    ctc_loss(Padded((even + 0.7 * tolerance).to(dtype), LENGTHS), tokens)
    with pytest.raises(ValueError, match="log_softmax"):
        ctc_loss(Padded((even + 1.3 * tolerance).to(dtype), LENGTHS), tokens)


def test_padding_cannot_fool_the_check():
    good, bad = logits().log_softmax(-1), logits()
    mask = Padded(good, LENGTHS).mask[..., None]
    ctc_loss(Padded(torch.where(mask, good, bad), LENGTHS), TOKENS)
    with pytest.raises(ValueError, match="logits"):
        ctc_loss(Padded(torch.where(mask, bad, good), LENGTHS), TOKENS)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (0, "token 1 of utterance 0 in the batch is 0, which is the blank"),
        (5, r"token 1 of utterance 0 in the batch is 5, which lies outside 1\.\.4"),
        (-1, "token 1 of utterance 0 in the batch is -1, which lies outside"),
    ],
)
def test_tokens_that_no_target_may_hold(token, message):
    values = TOKENS.values.clone()
    values[0, 1] = token
    with pytest.raises(ValueError, match=message):
        ctc_loss(Padded(logits().log_softmax(-1), LENGTHS), Padded(values, TOKENS.lengths))


def test_time_first_input_is_refused():
    time_first = logits().log_softmax(-1).transpose(0, 1)
    with pytest.raises(ValueError, match=r"batch first; these are \(6, 2, 5\)"):
        ctc_loss(Padded(time_first, LENGTHS), TOKENS)


@pytest.mark.gpu
def test_on_a_gpu_loss_and_gradient_are_those_of_the_cpu():
    lengths = torch.tensor([6, 2])  # the second is infeasible
    tokens = Padded(torch.tensor([[1, 2, 2], [3, 3, 0]]), torch.tensor([3, 2]))
    results = []
    for device in ("cpu", "cuda"):
        leaf = logits().to(device).requires_grad_(True)
        log_probs = Padded(leaf.log_softmax(-1), lengths.to(device))
        loss = ctc_loss(log_probs, tokens.to(device))
        loss.sum().backward()
        results.append((loss.detach().cpu(), leaf.grad.cpu()))
    torch.testing.assert_close(results[1], results[0])
    assert results[1][0][1] == 0 and (results[1][1][1] == 0).all()


@given(st.lists(st.integers(1, 3), max_size=8))
def test_min_frames_is_where_feasible_begins(tokens: list[int]) -> None:
    frames = min_frames(tokens)
    padded = Padded(torch.tensor([tokens]).long(), torch.tensor([len(tokens)]))
    assert feasible(torch.tensor([frames]), padded).item()
    assert not feasible(torch.tensor([frames - 1]), padded).item()


@pytest.mark.gpu
def test_on_a_gpu_what_is_refused_is_nan_and_the_rest_is_not():
    values = torch.where(
        torch.tensor([True, False])[:, None, None], logits(), logits().log_softmax(-1)
    )
    loss = ctc_loss(Padded(values, LENGTHS).to("cuda"), TOKENS.to("cuda"))
    assert loss.isnan().tolist() == [True, False]
    wrong = TOKENS._replace(values=TOKENS.values.masked_fill(TOKENS.values == 3, 99))
    loss = ctc_loss(Padded(logits().log_softmax(-1), LENGTHS).to("cuda"), wrong.to("cuda"))
    assert loss.isnan().tolist() == [False, True]
