"""Objectives: CR-CTC as in its paper, inner layers, entropy; cuts and ranks change nothing."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.core.padded import Padded
from asr.data.batch import Batch
from asr.objective.cr_ctc import CRCTC
from asr.objective.ctc import CTC

SIZE, VOCABULARY = 3, 5
PLAIN: dict[str, float] = {"intermediate_weight": 0.0, "entropy_weight": 0.0}


class Recogniser(nn.Module):
    """Log-probabilities that depend on an utterance's seed alone, `heads` layers' of them."""

    def __init__(self, heads: int = 1) -> None:
        super().__init__()
        self.heads, self.scale = heads, nn.Parameter(torch.ones((), dtype=torch.double))

    def forward(self, waveforms: Padded, seeds: Tensor) -> Padded:
        longest = int(waveforms.lengths.max())
        rows = [
            torch.randn(32, VOCABULARY, dtype=torch.double,
                        generator=torch.Generator().manual_seed(int(seed) + head))[:longest]
            for head in range(self.heads) for seed in seeds
        ]  # fmt: skip
        lengths = waveforms.lengths.repeat(len(rows) // len(waveforms.lengths))
        return Padded((self.scale * torch.stack(rows)).log_softmax(-1), lengths)


def batch_of(*lengths: int) -> Batch:
    rows = [torch.zeros(n) for n in lengths]
    tokens = [torch.arange(1, 3)] * len(rows)
    seeds = torch.arange(100, 100 + len(rows))
    names = tuple(str(i) for i in range(len(rows)))
    return Batch(names, Padded.stack(rows), Padded.stack(tokens), names, seeds)


def oracle_of_one(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """The paper's equations for one utterance, (T, V) log-probabilities of each view."""

    def ctc(x: Tensor) -> Tensor:
        sizes = torch.tensor([len(x)]), torch.tensor([2])
        return F.ctc_loss(x[:, None], torch.tensor([[1, 2]]), *sizes, reduction="sum")

    def kl(target: Tensor, x: Tensor) -> Tensor:
        return sum((p.exp() * (p - q)).sum() for p, q in zip(target.detach(), x, strict=True))

    return (ctc(a) + ctc(b)) / 2 + weight * (kl(b, a) + kl(a, b)) / 2


def test_cr_ctc_is_what_its_paper_says() -> None:
    batch, ours, other = batch_of(7, 4, 9), Recogniser(), Recogniser()
    objective = CRCTC(consistency_weight=0.2, **PLAIN)
    outcome = objective(ours, batch)
    views = other(batch.waveforms, objective.views(batch.seeds)).values.chunk(2)
    total = torch.zeros(())
    for i, length in enumerate([7, 4, 9]):
        total = total + oracle_of_one(views[0][i, :length], views[1][i, :length], 0.2)
    assert outcome.nats.item() == pytest.approx(total.item())
    outcome.nats.backward()
    total.backward()
    assert ours.scale.grad is not None and other.scale.grad is not None
    assert ours.scale.grad.item() == pytest.approx(other.scale.grad.item())
    assert outcome.count == 6
    assert sum(outcome.terms.values()).item() == pytest.approx(outcome.nats.item())


def test_the_same_view_twice_is_plain_ctc() -> None:
    class Twice(CRCTC):
        def views(self, seeds: Tensor) -> Tensor:
            return seeds.repeat(2)

    batch, recogniser = batch_of(7, 4, 9), Recogniser()
    plain = CTC(**PLAIN)(recogniser, batch)
    twice = Twice(consistency_weight=5.0, **PLAIN)(recogniser, batch)
    assert twice.nats.item() == pytest.approx(plain.nats.item())
    for name, value in plain.metrics.items():
        assert twice.metrics[name].item() == pytest.approx(value.item()), name
    assert plain.terms == {} and twice.terms["consistency"].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("objective", [
    CTC(intermediate_weight=0.3, entropy_weight=0.1),
    CRCTC(consistency_weight=0.2, intermediate_weight=0.3, entropy_weight=0.1),
])  # fmt: skip
def test_a_cut_batch_adds_up(objective: CTC) -> None:
    recogniser, whole = Recogniser(heads=3), batch_of(7, 4, 9, 6)
    one, parts = objective(recogniser, whole), [objective(recogniser, b) for b in whole.halves()]
    assert sum(p.nats for p in parts).item() == pytest.approx(one.nats.item())
    assert sum(p.count for p in parts) == one.count
    for name in one.metrics:
        assert sum(p.metrics[name] for p in parts).item() == pytest.approx(one.metrics[name].item())
    for name in one.terms:
        assert sum(p.terms[name] for p in parts).item() == pytest.approx(one.terms[name].item())


def test_inner_layers_get_their_share() -> None:
    batch = batch_of(7, 4)
    outcome = CTC(intermediate_weight=0.3, entropy_weight=0.0)(Recogniser(heads=3), batch)
    each = [
        CTC(**PLAIN)(Recogniser(), batch._replace(seeds=batch.seeds + head)).nats.item()
        for head in range(3)
    ]
    assert outcome.nats.item() == pytest.approx(0.7 * each[0] + 0.3 * (each[1] + each[2]) / 2)


def test_entropy_is_rewarded() -> None:
    batch, recogniser = batch_of(7, 4), Recogniser()
    plain = CTC(**PLAIN)(recogniser, batch)
    flat = CTC(intermediate_weight=0.0, entropy_weight=0.5)(recogniser, batch)
    expected = plain.nats.item() - 0.5 * plain.metrics["entropy"].item()
    assert flat.nats.item() == pytest.approx(expected)


@pytest.mark.parametrize("weights", [{}, {"entropy_weight": 0.5}])
def test_an_infeasible_utterance_weighs_nothing(weights: dict[str, float]) -> None:
    objective: Any = CRCTC(consistency_weight=1.0, **PLAIN | weights)
    batch, recogniser = batch_of(1, 6), Recogniser()  # one frame for two tokens
    alone = batch._replace(
        waveforms=Padded(batch.waveforms.values[1:], batch.waveforms.lengths[1:]),
        tokens=Padded(batch.tokens.values[1:], batch.tokens.lengths[1:]),
        seeds=batch.seeds[1:],
    )
    both, one = objective(recogniser, batch), objective(recogniser, alone)
    assert both.nats.item() == pytest.approx(one.nats.item()) and both.count == one.count
    assert both.metrics["infeasible"] == 1


@pytest.mark.parametrize("name", ["consistency_weight", "intermediate_weight", "entropy_weight"])
def test_ranges_are_checked_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=rf"objective\.{name}"):
        CRCTC(**{"consistency_weight": 0.2} | PLAIN | {name: -0.1})
