"""The recogniser takes the one softmax, in float32, and its objective adds up over any cut."""

import pytest
import torch
from omegaconf import OmegaConf
from support import CONFIGS, variants

from asr.core.padded import Padded
from asr.data.batch import Batch, Example, collate
from asr.objective.ctc import CTC
from asr.recognizer.recognizer import Recognizer
from asr.tokenizer.char import Char
from asr.wiring.recognizer import build_recognizer


def recognizer(model: str = "deepspeech2", spec_augment: str = "none") -> Recognizer:
    torch.manual_seed(0)
    groups = {"features": "log_mel", "spec_augment": spec_augment, "model": model}
    config = {
        group: OmegaConf.to_container(OmegaConf.load(CONFIGS / group / f"{name}.yaml"))
        for group, name in groups.items()
    }
    return build_recognizer(config, Char(list("abc ")))


def examples(*seconds: float, text: str = "ab c") -> list[Example]:
    generator = torch.Generator().manual_seed(3)
    return [
        Example(
            f"u{i}", 0.1 * torch.randn(int(16000 * s), generator=generator),
            torch.tensor([1, 2, 4, 3][: len(text)]), text, seed=i,
        )
        for i, s in enumerate(seconds)
    ]  # fmt: skip


@pytest.mark.parametrize("model", variants("model"))
def test_rows_are_log_probabilities_and_the_batch_changes_none(model: str) -> None:
    ours = recognizer(model).eval()
    batch = collate(examples(1.0, 0.37, 0.8))
    with torch.inference_mode():
        together = ours(batch.waveforms)
        assert together.values.exp().sum(-1)[together.mask].sub(1).abs().max() < 1e-5
        assert torch.equal(together.lengths, ours.output_lengths(batch.waveforms.lengths))
        for i, example in enumerate(examples(1.0, 0.37, 0.8)):
            alone = ours(Padded.stack([example.waveform]))
            gap = alone.values[0] - together.values[i, : int(alone.lengths)]
            assert gap.abs().max() < 1e-4


def test_autocast_leaves_features_and_softmax_in_float32() -> None:
    ours = recognizer().eval()
    batch = collate(examples(0.5))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        mixed = ours(batch.waveforms)
    assert mixed.values.dtype == torch.float32
    assert mixed.values.logsumexp(-1).abs().max() < 1e-5
    assert (mixed.values - ours(batch.waveforms).values).abs().max() < 0.2


def test_masks_act_in_training_only_and_follow_the_seed() -> None:
    ours = recognizer(spec_augment="strong")
    for module in ours.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    batch = collate(examples(1.0, 1.0))
    ours.train()
    first = ours(batch.waveforms, torch.tensor([1, 2])).values
    assert torch.equal(first, ours(batch.waveforms, torch.tensor([1, 2])).values)
    assert not torch.equal(first, ours(batch.waveforms, torch.tensor([3, 4])).values)
    with pytest.raises(ValueError, match="seed"):
        ours(batch.waveforms)
    ours.eval()
    assert torch.equal(ours(batch.waveforms).values, ours(batch.waveforms, batch.seeds).values)


def test_the_objective_adds_up_over_any_cut() -> None:
    ours = recognizer().eval()
    every = examples(1.0, 0.6, 0.9)
    whole = CTC(intermediate_weight=0.0, entropy_weight=0.0)(ours, collate(every))
    parts = [CTC(intermediate_weight=0.0, entropy_weight=0.0)(ours, collate([e])) for e in every]
    assert whole.nats.item() == pytest.approx(sum(p.nats.item() for p in parts), rel=1e-5)
    assert int(whole.count) == sum(int(p.count) for p in parts) == 12
    for key in whole.metrics:
        total = sum(float(p.metrics[key]) for p in parts)
        assert float(whole.metrics[key]) == pytest.approx(total, rel=1e-5)


def test_an_infeasible_utterance_has_no_weight_and_is_counted() -> None:
    ours = recognizer().eval()
    short = examples(0.05)[0]
    batch: Batch = collate([*examples(1.0), short._replace(tokens=torch.tensor([1] * 9))])
    outcome = CTC(intermediate_weight=0.0, entropy_weight=0.0)(ours, batch)
    assert int(outcome.count) == 4 and int(outcome.metrics["infeasible"]) == 1
    assert outcome.losses[1] == 0 and torch.isfinite(outcome.nats)
