"""What the contract does not ask of a Conformer: positions, inner layers, blocks left out."""

import pytest
import torch
from omegaconf import OmegaConf
from support import CONFIGS

from asr.core.padded import Padded
from asr.model.conformer import Conformer, Rotation, rotated
from asr.wiring.build import build


def make(**changes: object) -> Conformer:
    torch.manual_seed(0)
    small = {"size": 32, "layers": 3, "heads": 2, "dropout": 0.0}
    config = OmegaConf.load(CONFIGS / "model" / "conformer_tiny.yaml")
    model: Conformer = build(OmegaConf.merge(config, small | changes), 80, 12)
    return model.double()


def test_attention_sees_how_far_apart_frames_are_and_not_where() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.double, generator=generator)
    turn = Rotation(8).double()
    cosines, sines = turn(torch.zeros(1, 50, 1))
    everywhere = rotated(q.expand(1, 1, 50, 8), cosines, sines)
    keys = rotated(k.expand(1, 1, 50, 8), cosines, sines)
    scores = (everywhere @ keys.mT)[0, 0]  # (50, 50)
    for apart in (-7, 0, 3, 30):
        assert scores.diagonal(apart).std() < 1e-5 * scores.diagonal(apart).abs().mean()
    assert (scores[0, 1:] - scores[0, 0]).abs().min() > 1e-4
    assert torch.allclose(everywhere.norm(dim=-1), q.norm())


def test_inner_layers_speak_in_training_only_and_through_the_same_head() -> None:
    model = make(intermediate_layers=[1, 2])
    features = Padded(torch.randn(2, 40, 80).double(), torch.tensor([40, 30]))
    last = model.eval()(features)
    every = model.train()(features)
    assert every.lengths.tolist() == last.lengths.tolist() * 3
    assert every.values.shape == (6, *last.values.shape[1:])
    assert torch.allclose(every.values[:2], last.values)
    # A shallower model's last layer is a deeper one's inner one.
    shallow = make(layers=1)
    shallow.load_state_dict(model.state_dict(), strict=False)
    assert torch.allclose(every.values[2:4], shallow.eval()(features).values)


def test_blocks_are_left_out_in_training_for_some_utterances() -> None:
    model = make(stochastic_depth=0.9)
    features = Padded(torch.randn(1, 40, 80).double().expand(16, -1, -1), torch.full((16,), 40))
    model.train()
    torch.manual_seed(1)
    rows = model(features).values
    assert len({tuple(row.flatten().tolist()) for row in rows}) > 4
    rows = model.eval()(features).values
    assert torch.allclose(rows, rows[:1].expand_as(rows))


@pytest.mark.parametrize(("wrong", "named"), [
    ({"size": 30}, "size"), ({"kernel": 4}, "kernel"), ({"layers": 0}, "layers"),
    ({"intermediate_layers": [3]}, "intermediate_layers"),
    ({"stochastic_depth": 1.0}, "stochastic_depth"),
])  # fmt: skip
def test_ranges_are_checked_by_name(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make(**wrong)
