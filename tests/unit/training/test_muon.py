"""Muon: orthogonal as far as it iterates, AdamW for the rest; held updates leave no trace."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from asr.model.layers import Recurrence
from asr.training.muon import Muon, orthogonal

OPTIONS = {
    "lr": 0.01, "momentum": 0.9, "betas": (0.9, 0.98), "eps": 1e-8, "weight_decay": 0.1,
    "precision": "float32",
}  # fmt: skip


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.kernel = nn.Linear(6, 4), nn.Conv1d(3, 5, 3, bias=False)
        self.twin = nn.Linear(6, 4, bias=False)
        self.depthwise, self.head = nn.Conv1d(3, 3, 5, groups=3), nn.Linear(4, 7)


def optimizer_of(network: nn.Module, **options: object) -> Muon:
    network = nn.ModuleDict({"model": network})
    decayed = [(n, p) for n, p in network.named_parameters() if p.dim() > 1]
    others = [(n, p) for n, p in network.named_parameters() if p.dim() <= 1]
    return Muon([{"params": decayed}, {"params": others, "weight_decay": 0.0}], **OPTIONS | options)


def give_gradients(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 1000))
def test_singular_values_come_close_to_one(rows: int, columns: int, seed: int) -> None:
    matrices = torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(seed))
    values = torch.linalg.svdvals(matrices)
    kept = values > 0.05 * values[:, :1]  # smaller ones need more iterations than five
    made = orthogonal(matrices.double())
    u, _, vt = torch.linalg.svd(matrices.double(), full_matrices=False)
    along = (u.mT @ made @ vt.mT).diagonal(dim1=1, dim2=2)  # in the bases of the matrix itself
    assert ((along[kept] > 0.5) & (along[kept] < 1.25)).all()


def test_torch_makes_the_same_of_a_matrix() -> None:
    own, other = nn.Linear(6, 4, bias=False), nn.Linear(6, 4, bias=False)
    other.load_state_dict(own.state_dict())
    ours = Muon([{"params": [("model.weight", own.weight)]}], **OPTIONS)
    torchs = torch.optim.Muon(
        other.parameters(), lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    before = own.weight.detach().clone()
    for seed in range(5):
        for network, optimizer in ((own, ours), (other, torchs)):
            give_gradients(network, seed)
            optimizer.step()
    moved = (own.weight - before).norm()
    assert moved > 0 and (own.weight - other.weight).norm() < 0.02 * moved  # its bfloat16


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_each_gate_is_made_orthogonal_by_itself(cell: str) -> None:
    own = Recurrence(cell, 7, 5, bidirectional=True)
    weight = own.ahead.weight_ih_l0
    before = weight.detach().clone()
    optimizer = optimizer_of(own, weight_decay=0.0)
    give_gradients(own, 0)
    gradient = weight.grad
    assert gradient is not None
    optimizer.step()
    gates = zip((before - weight.detach()).split(5), gradient.split(5), strict=True)
    for moved, slope in gates:
        expected = orthogonal(slope[None])[0] * 0.01 * 0.2 * 7**0.5
        assert torch.allclose(moved, expected, atol=1e-6)


def test_bfloat16_iterates_in_it() -> None:
    exact, rounded = Network(), Network()
    start = [p.detach().clone() for p in exact.parameters()]
    for network, precision in ((exact, "float32"), (rounded, "bfloat16")):
        give_gradients(network, 0)
        optimizer_of(network, precision=precision, weight_decay=0.0).step()
    for before, one, other in zip(start, exact.parameters(), rounded.parameters(), strict=True):
        assert (one - other).norm() < 0.03 * (one - before).norm()
    assert not torch.equal(exact.inner.weight, rounded.inner.weight)


def test_adamw_takes_biases_depthwise_kernels_and_the_head() -> None:
    own, other = Network(), Network()
    ours = optimizer_of(own)
    plain = torch.optim.AdamW(
        [{"params": [p for p in other.parameters() if p.dim() > 1]},
         {"params": [p for p in other.parameters() if p.dim() <= 1], "weight_decay": 0.0}],
        lr=0.01, betas=(0.9, 0.98), weight_decay=0.1,
    )  # fmt: skip
    for seed in range(4):
        give_gradients(own, seed)
        give_gradients(other, seed)
        ours.step()
        plain.step()
    theirs = dict(other.named_parameters())
    same = {n for n, p in own.named_parameters() if torch.allclose(p, theirs[n], atol=1e-6)}
    assert same == {"inner.bias", "depthwise.weight", "depthwise.bias", "head.weight", "head.bias"}


def test_a_held_update_leaves_no_trace() -> None:
    undisturbed, disturbed = Network(), Network()
    first, second = optimizer_of(undisturbed), optimizer_of(disturbed)
    second.found_inf = torch.zeros(())
    for seed in range(3):
        give_gradients(undisturbed, seed)
        first.step()
        give_gradients(disturbed, seed)
        for parameter in disturbed.parameters():
            parameter.grad = torch.full_like(parameter, torch.nan)
        second.found_inf = torch.ones(())
        second.step()
        give_gradients(disturbed, seed)
        second.found_inf = torch.zeros(())
        second.step()
    for one, other in zip(undisturbed.parameters(), disturbed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_its_state_goes_through_a_checkpoint() -> None:
    network, resumed = Network(), Network()
    optimizer, fresh = optimizer_of(network), optimizer_of(resumed)
    give_gradients(network, 0)
    optimizer.step()
    resumed.load_state_dict(network.state_dict())
    fresh.load_state_dict(deepcopy(optimizer.state_dict()))
    for either, stepper in ((network, optimizer), (resumed, fresh)):
        give_gradients(either, 1)
        stepper.step()
    pairs: list[tuple[Tensor, Tensor]] = list(
        zip(network.parameters(), resumed.parameters(), strict=True)
    )
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("wrong", [{"lr": -1}, {"momentum": 1.0}, {"betas": [0.9]}, {"eps": 0}])
def test_ranges_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        optimizer_of(Network(), **wrong)
