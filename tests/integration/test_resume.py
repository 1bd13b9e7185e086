"""A run that was stopped goes on as if nothing had happened, bit for bit, for every model."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import assert_same, metrics, small_model, variants

from asr.core.checkpoint import load_checkpoint
from asr.data.batch import Batch
from asr.model.layers import MaskedBatchNorm
from asr.training.trainer import Trainer

NewTrainer = Callable[..., Trainer]
OPTIONS = ["trainer.epochs=2", "trainer.validate_every=5"]
OPTIONS += ["augment=[speed,reverb,noise,babble,codec]"]
OPTIONS += ["data.max_utterances=24", "data.batch_seconds=48"]


def interrupt_after(trainer: Trainer, count: int) -> None:
    """Send this process a real signal while update `count` + 1 is being loaded."""
    load = trainer.data.updates

    def updates(plan: Any, start: int, *rest: Any) -> Iterator[list[Batch]]:
        for number, update in enumerate(load(plan, start, *rest)):
            if number == count:
                os.kill(os.getpid(), signal.SIGTERM)
            yield update

    trainer.data.updates = updates  # type: ignore[method-assign]


@pytest.mark.parametrize("model", variants("model"))
def test_an_interrupted_run_ends_like_an_undisturbed_one(
    model: str, new_trainer: NewTrainer, tmp_path: Path
) -> None:
    options = [*small_model(model), *OPTIONS]
    assert new_trainer("whole", *options).fit() == 0
    first = new_trainer("broken", *options)
    interrupt_after(first, 2)
    assert first.fit() == 128 + signal.SIGTERM
    assert first.state.step == 3
    second = new_trainer("broken", *options)  # again, in the second epoch
    assert second.state == first.state
    interrupt_after(second, second.data.plan(0).__len__() - 3 + 4)
    second.fit()
    third = new_trainer("broken", *options)
    assert third.fit() == 0
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "broken")
    whole, broken = (load_checkpoint(tmp_path / run / "last.pt") for run in ("whole", "broken"))
    assert_same(whole, broken)


@pytest.mark.parametrize(
    "options", [["objective=cr_ctc", "optimizer=muon"], ["schedule=plateau", "schedule.patience=1"]]
)
def test_a_run_that_paused_ends_like_an_undisturbed_one(
    options: list[str], new_trainer: NewTrainer, tmp_path: Path
) -> None:
    options = ["model=deepspeech2_tiny", *options, *OPTIONS]
    assert new_trainer("whole", *options).fit() == 0
    for updates in (1, 2):  # each time after what it had begun
        paused = new_trainer("paused", *options, "trainer.max_minutes=1e-6")
        assert paused.fit() == 0 and paused.stopping
        assert paused.state.step == updates
    last = new_trainer("paused", *options)
    assert last.fit() == 0 and not last.stopping
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "paused")
    whole, paused_end = (load_checkpoint(tmp_path / r / "last.pt") for r in ("whole", "paused"))
    assert_same(whole, paused_end)


def test_accumulation_changes_no_gradient(new_trainer: NewTrainer) -> None:
    """With batch statistics out of the way, four micro-batches are the batch."""
    gradients = []
    for parts in (1, 4):
        options = ["trainer.average_decay=0", "trainer.gradient_clip=1e9", "model.dropout=0"]
        options += ["augment=[]", "spec_augment=none"]
        trainer = new_trainer(f"cut{parts}", f"data.accumulate={parts}", *options)
        trainer.recognizer.double()
        for module in list(trainer.recognizer.modules()):
            for name, child in module.named_children():
                if isinstance(child, MaskedBatchNorm):
                    setattr(module, name, torch.nn.Identity())
        plan = trainer.data.plan(1)
        update = next(trainer.data.updates(plan))
        assert len(update) == parts
        doubled = [
            b._replace(waveforms=b.waveforms._replace(values=b.waveforms.values.double()))
            for b in update
        ]
        trainer.train_step(doubled, 1.0)
        gradients.append([p.grad.clone() for p in trainer.recognizer.parameters()])
        if parts == 1:  # and it is the gradient of nats per token, which Adam would not tell
            weights = new_trainer("again", *options).recognizer.state_dict()
            trainer.recognizer.load_state_dict(weights, strict=False)
            trainer.recognizer.zero_grad()
            outcome = trainer.gradients.objective(trainer.recognizer, doubled[0])
            (outcome.nats / outcome.count).backward()
            gradients.append([p.grad.clone() for p in trainer.recognizer.parameters()])
    whole, direct, cut = gradients
    for one, two, three in zip(whole, direct, cut, strict=True):
        assert (one - two).abs().max() <= 1e-9 * (1 + one.abs().max())
        assert (one - three).abs().max() <= 1e-9 * (1 + one.abs().max())


def test_another_configuration_is_refused_with_a_diff(new_trainer: NewTrainer) -> None:
    trainer = new_trainer("run", "trainer.epochs=1")
    trainer.save()
    with pytest.raises(ValueError, match=r"optimizer\.lr: 0\.001 -> 0\.5"):
        new_trainer("run", "trainer.epochs=1", "optimizer.lr=0.5")
    new_trainer("run", "trainer.epochs=3", "data.workers=1")  # budgets and workers may change


def test_other_data_is_refused(new_trainer: NewTrainer, tones: Path, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    lines = (tones / "train.jsonl").read_text().splitlines()
    rebased = [
        json.dumps(d | {"audio_filepath": str(tones / d["audio_filepath"])})
        for d in map(json.loads, lines)
    ]
    train.write_text("\n".join(rebased))
    new_trainer("run", f"data.train=[{train}]").save()
    train.write_text("\n".join(rebased[1:]))
    with pytest.raises(ValueError, match="other training data"):
        new_trainer("run", f"data.train=[{train}]")
