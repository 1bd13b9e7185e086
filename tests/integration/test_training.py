"""What a training run promises beside learning: curves, fine-tuning, early stop, no silent NaN."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from support import loss, tones_overrides
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asr.core.checkpoint import load_checkpoint
from asr.training.assemble import assemble
from asr.training.trainer import Trainer

NewTrainer = Callable[..., Trainer]
SMALL = ["experiment=tones", "trainer.epochs=1"]


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_number_is_on_tensorboard_and_in_metrics(
    new_trainer: NewTrainer, tmp_path: Path
) -> None:
    trainer = new_trainer("run", *SMALL)
    assert trainer.fit() == 0
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    expected = {f"train/{name}" for name in ("loss", "learning_rate", "gradient_norm")}
    expected |= {f"train/{name}" for name in ("padding_share", "blank_share", "infeasible")}
    expected |= {f"train/{name}" for name in ("confident_share", "entropy", "infeasible_share")}
    expected |= {f"train/{name}" for name in ("relative_step", "weight_norm")}
    expected |= {f"validation/{name}" for name in ("loss", "loss_per_character", "wer", "cer")}
    expected |= {f"wer_by_speaker/{name}" for name in ("low", "high")}
    expected |= {"best_wer", "time/audio_seconds_per_second", "time/validation_seconds"}
    drawn = set(events.Tags()["scalars"])
    by_length = {name for name in drawn if name.startswith("wer_by_length/")}
    assert len(by_length) == 4 and drawn - by_length == expected
    written = lines_of(tmp_path / "run")
    for name in drawn:
        lines = [d for d in written if name in d]
        assert [e.step for e in events.Scalars(name)] == [d["step"] for d in lines]
        values = [e.value for e in events.Scalars(name)]
        assert values == pytest.approx([d[name] for d in lines], rel=1e-6)
    assert len(events.Scalars("train/loss")) == trainer.state.step
    (tag,) = events.Tags()["tensors"]
    table = events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
    reference = trainer.data.dataset.manifest  # train; the pairs are of dev
    assert "| utterance | reference | hypothesis | errors |" in table
    assert table.count("\n") == 2 + 8 and not any(u.id in table for u in reference)


def test_early_stop(new_trainer: NewTrainer, tmp_path: Path) -> None:
    trainer = new_trainer(
        "run", "experiment=tones", "optimizer.lr=0", "trainer.patience=2", "trainer.epochs=50"
    )
    assert trainer.fit() == 0
    assert sum("validation/wer" in d for d in lines_of(tmp_path / "run")) == 3
    assert new_trainer(
        "run", "experiment=tones", "optimizer.lr=0", "trainer.patience=2", "trainer.epochs=50"
    ).fit() == 0  # fmt: skip  # a stopped run stays stopped
    assert sum("validation/wer" in d for d in lines_of(tmp_path / "run")) == 3


def test_a_loss_that_is_not_finite_makes_no_update_and_names_the_batch(
    new_trainer: NewTrainer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trainer = new_trainer("run", *SMALL, "trainer.max_skipped=3")
    with torch.no_grad():
        next(iter(trainer.recognizer.model.parameters())).fill_(float("nan"))
    before = [t.clone() for t in trainer.recognizer.state_dict().values()]
    with pytest.raises(ValueError, match=r"4 updates in a row.*optimizer\.lr"):
        trainer.fit()
    for old, new in zip(before, trainer.recognizer.state_dict().values(), strict=True):
        assert torch.equal(old.nan_to_num(7), new.nan_to_num(7))
    told = capsys.readouterr().out
    first = trainer.data.plan(0)[0][0][0]
    assert told.count("skipped: the loss of") == 4
    assert trainer.data.dataset.manifest[first.index].id in told.splitlines()[0]
    assert not trainer.optimizer.state


def test_bfloat16_trains(new_trainer: NewTrainer) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        trainer = new_trainer(precision, *SMALL, f"trainer.precision={precision}")
        updates = trainer.data.updates(trainer.data.plan(0))
        losses[precision] = [loss(trainer.train_step(update, 0.0)) for update in updates]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.1)
    assert losses["bfloat16"] != losses["float32"]


def heads(trainer: Trainer) -> torch.Tensor:
    return trainer.recognizer.model.head.weight


def test_fine_tuning(
    new_trainer: NewTrainer,
    tones: Path,
    tmp_path: Path,
    compose_config: Callable[..., DictConfig],
) -> None:
    teacher = new_trainer("teacher", *SMALL)
    teacher.fit()
    start = f"init_from={tmp_path / 'teacher' / 'best.pt'}"
    said: list[str] = []

    def student(name: str, *overrides: str) -> Trainer:
        options = [*tones_overrides(tones, tmp_path), *SMALL, start, *overrides]
        return assemble(
            compose_config("train", *options), name, torch.device("cpu"), say=said.append
        )

    same = student("same")
    best: dict[str, Any] = load_checkpoint(tmp_path / "teacher" / "best.pt")["weights"]
    for key, weight in same.recognizer.state_dict().items():
        assert torch.equal(weight, best[key])
    assert any("all weights, and its alphabet" in line for line in said)

    other = tmp_path / "other.jsonl"
    lines = [json.loads(line) for line in (tones / "train.jsonl").read_text().splitlines()]
    other.write_text(
        "\n".join(
            json.dumps(
                d
                | {"audio_filepath": str(tones / d["audio_filepath"])}
                | {"text": d["text"].replace("a", "z")}
            )
            for d in lines
        )
    )
    said.clear()
    weighted = f"data.train=[{tones / 'train.jsonl'},{other}]"
    new = student("new", weighted, "data.weights=[1,0.5]", f"data.dev=[{other}]")
    assert any("head, which starts anew" in line for line in said)
    assert len(new.recognizer.tokenizer) == len(teacher.recognizer.tokenizer) + 1
    assert heads(new).shape[0] == heads(teacher).shape[0] + 1
    recurrent = "model.recurrences.0.ahead.weight_hh_l0"
    assert torch.equal(new.recognizer.state_dict()[recurrent], best[recurrent])
    assert len(lines) < len([d for update in new.data.plan(0) for m in update for d in m])

    with pytest.raises(ValueError, match=r"init_from=.*its model is"):
        student("larger", "model.hidden_size=128")
