"""Every model of configs/model/ keeps the contract: lengths are exact, padding changes nothing."""

import pytest
import torch
from omegaconf import OmegaConf
from support import CONFIGS, variants

from asr.core.padded import Padded
from asr.model.base import AcousticModel
from asr.wiring.build import build

# What is shipped, and what its options make of it.
CASES = {name: (name, {}) for name in variants("model")}
CASES["deepspeech2 gru"] = ("deepspeech2", {"cell": "gru"})
CASES["deepspeech2 ahead"] = ("deepspeech2", {"bidirectional": False, "lookahead": 5})
CASES["deepspeech2 without norm"] = ("deepspeech2", {"batch_norm": False})
CASES["deepspeech2 deep"] = (
    "deepspeech2",
    {"channels": [8] * 3, "kernels": [[3, 3]] * 3, "strides": [[2, 2]] * 3, "layers": 5},
)
pytestmark = pytest.mark.parametrize("name", CASES)
FEATURES, VOCABULARY = 80, 12


def make(name: str) -> AcousticModel:
    torch.manual_seed(0)
    variant, changes = CASES[name]
    config = OmegaConf.load(CONFIGS / "model" / f"{variant}.yaml")
    model = build(OmegaConf.merge(config, changes), FEATURES, VOCABULARY)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # its draws depend on the padded shape, and on nothing that is tested
    return model.double()


def speech(*lengths: int, extra: int = 0) -> Padded:
    """Utterances whose content depends on their place alone, with extra padding behind them."""
    rows = [torch.randn(n, FEATURES, generator=torch.Generator().manual_seed(i), dtype=torch.double)
            for i, n in enumerate(lengths)]  # fmt: skip
    stacked = Padded.stack(rows)
    return Padded(torch.nn.functional.pad(stacked.values, (0, 0, 0, extra)), stacked.lengths)


def assert_same(few: Padded, many: Padded) -> None:
    frames = few.values.shape[1]
    assert torch.equal(few.lengths, many.lengths)
    assert (few.values - many.values[:, :frames]).abs().max() < 1e-5
    assert not many.values[:, frames:].any()


def test_output_lengths_are_what_comes_out(name: str) -> None:
    model = make(name).eval()
    for length in [1, 2, 3, 4, 7, 8, 9, 33]:
        out = model(speech(length))
        assert out.values.shape == (1, int(out.lengths), VOCABULARY)
        assert torch.equal(model.output_lengths(torch.tensor([length])), out.lengths)
    assert model.output_lengths(torch.tensor([0])).tolist() == [0]
    assert model.output_lengths(torch.tensor([[5], [9]])).shape == (2, 1)


def test_padding_changes_no_output(name: str) -> None:
    model = make(name).eval()
    together = model(speech(50, 31, 64, 7))
    for i, length in enumerate([50, 31, 64, 7]):
        frames = speech(50, 31, 64, 7).values[i : i + 1, :length]
        alone = model(Padded(frames, torch.tensor([length])))
        count = int(alone.lengths)
        assert (alone.values[0] - together.values[i, :count]).abs().max() < 1e-5
        assert not together.values[i, count:].any()


def test_padding_changes_nothing_in_training(name: str) -> None:
    results = []
    for extra in (0, 37):
        model = make(name).train()
        out = model(speech(40, 22, 35, extra=extra))
        out.values.square().sum().backward()
        results.append((out, [p.grad for p in model.parameters()], dict(model.named_buffers())))
    (few, few_gradients, few_buffers), (many, many_gradients, many_buffers) = results
    assert_same(few, many)
    for a, b in zip(few_gradients, many_gradients, strict=True):
        assert (a - b).abs().max() < 1e-5 * (1 + a.abs().max())
    for key, buffer in few_buffers.items():
        assert torch.allclose(buffer, many_buffers[key], atol=1e-8), key


def test_every_parameter_learns(name: str) -> None:
    model = make(name).train()
    model(speech(40, 22)).values.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key
        assert torch.isfinite(parameter.grad).all(), key


def test_an_utterance_without_frames_disturbs_nobody(name: str) -> None:
    model = make(name).train()
    batch = speech(40, 22)
    with_empty = Padded(
        torch.cat([batch.values, torch.zeros_like(batch.values[:1])]), torch.tensor([40, 22, 0])
    )
    alone, together = make(name).train()(batch), model(with_empty)
    assert (alone.values - together.values[:2]).abs().max() < 1e-5
    assert together.lengths.tolist()[2] == 0 and not together.values[2].any()
