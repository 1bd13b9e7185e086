"""Layers against torch's own: packed sequences, batch norm of the real frames alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from asr.core.padded import Padded
from asr.model.layers import Lookahead, MaskedBatchNorm, MaskedConv, Recurrence


def batch(lengths: list[int], *shape: int) -> Padded:
    generator = torch.Generator().manual_seed(len(lengths))
    return Padded.stack(
        [torch.randn(n, *shape, generator=generator, dtype=torch.double) for n in lengths]
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrence_equals_packed_sequences_with_gradients(cell: str) -> None:
    torch.manual_seed(0)
    x = batch([9, 7, 7, 2], 5)
    ours = Recurrence(cell, 5, 6, bidirectional=True).double()
    packed = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](5, 6, batch_first=True, bidirectional=True)
    weights = dict(ours.ahead.named_parameters())
    weights |= {f"{k}_reverse": v for k, v in ours.back.named_parameters()}
    packed.double().load_state_dict(weights)
    out, _ = pad_packed_sequence(
        packed(pack_padded_sequence(x.values, x.lengths, batch_first=True))[0], batch_first=True
    )
    found = ours(x).values
    assert (found - out).abs().max() < 1e-12
    (found * out.detach()).sum().backward()
    (out * out.detach()).sum().backward()
    for key, parameter in packed.named_parameters():
        own = ours.back if key.endswith("_reverse") else ours.ahead
        gradient = dict(own.named_parameters())[key.removesuffix("_reverse")].grad
        assert (gradient - parameter.grad).abs().max() < 1e-10, key


def test_recurrence_passes_gradcheck() -> None:
    torch.manual_seed(0)
    layer = Recurrence("gru", 3, 2, bidirectional=True).double()
    x = batch([4, 2], 3)
    values = x.values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: layer(Padded(v, x.lengths)).values, (values,))


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(lambda n: sum(n) > 1))
def test_batch_norm_is_torchs_over_the_real_frames(lengths: list[int]) -> None:
    x = batch(lengths, 3, 4)  # (B, T, F, C)
    ours, theirs = MaskedBatchNorm(4).double(), nn.BatchNorm1d(4).double()
    with torch.no_grad():
        for norm in (ours, theirs):
            norm.weight.copy_(torch.linspace(0.5, 2, 4))
            norm.bias.copy_(torch.linspace(-1, 1, 4))
    for training in (True, False):
        ours.train(training), theirs.train(training)
        out = ours(x)
        expected = theirs(x.values[x.mask].reshape(-1, 4)).reshape(-1, 3, 4)
        assert torch.allclose(out.values[x.mask], expected, atol=1e-9)
        assert not out.values[~x.mask].any()
    assert torch.allclose(ours.running_mean, theirs.running_mean)
    assert torch.allclose(ours.running_variance, theirs.running_var)


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_batch_norm_gradients_are_torchs(shape: tuple[int, ...]) -> None:
    x = batch([5, 3], *shape)  # (B, T, C) or (B, T, F, C)
    gradients = []
    for norm in (MaskedBatchNorm(4).double(), nn.BatchNorm1d(4).double()):
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(0.5, 2, 4))
        values = x.values.clone().requires_grad_()
        if isinstance(norm, MaskedBatchNorm):
            out = norm(Padded(values, x.lengths)).values
        else:
            out = norm(values[x.mask].reshape(-1, 4))
        ((out + 1) ** 3).sum().backward()  # whoever reads the padding, too, changes nothing
        # What lies beyond the lengths comes from nowhere.
        gradients.append([values.grad[x.mask], norm.weight.grad, norm.bias.grad])
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-8)


def test_batch_norm_is_float32_at_least() -> None:
    x = batch([5, 3], 4)
    assert MaskedBatchNorm(4)(Padded(x.values.bfloat16(), x.lengths)).values.dtype == torch.float32


def test_lookahead_is_the_sum_it_says() -> None:
    x = batch([6, 4], 3)
    layer = Lookahead(3, 2).double()
    out = layer(x).values
    weight = layer.conv.weight[:, 0]  # (C, context + 1)
    for b, length in enumerate([6, 4]):
        for t in range(length):
            ahead = x.values[b, t : min(t + 3, length)]
            expected = (ahead * weight.T[: len(ahead)]).sum(0)
            assert torch.allclose(out[b, t], expected)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2), (7, 3), (1, 2)])
def test_conv_lengths_are_ceilings(kernel: int, stride: int) -> None:
    layer = MaskedConv(1, 1, (kernel, 1), (stride, 1)).double()
    for length in range(1, 12):
        out = layer(batch([length], 1, 1))
        assert out.lengths.tolist() == [-(-length // stride)] == [out.values.shape[1]]


def test_nothing_teaches_batch_norm_nothing() -> None:
    norm = MaskedBatchNorm(3)
    norm(Padded(torch.randn(2, 5, 3), torch.tensor([5, 4])))
    before = [buffer.clone() for buffer in norm.buffers()]
    norm(Padded(torch.zeros(1, 1, 3), torch.tensor([0])))
    assert all(torch.equal(a, b) for a, b in zip(before, norm.buffers(), strict=True))
