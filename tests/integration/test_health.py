"""A model that does not learn is told so, once, with the planted cause named first or second."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.training.trainer import Trainer

SHORT = [
    "experiment=tones",
    "trainer.epochs=2",
    "trainer.stuck_after=40",
    "trainer.checkpoint_minutes=60",
]
CAUSES = {
    "learning rate too low": ("learning rate", ["optimizer.lr=1e-7"]),
    "learning rate too high": ("learning rate", ["optimizer.lr=3"]),
    "subsampling": (
        "too much subsampling", ["model.strides=[[4,2],[4,2]]", "data.max_infeasible=1"]
    ),
    "normalisation": (
        "normalisation",
        ["features._target_=planted.TinyFeatures", "trusted_targets=[planted.TinyFeatures]"],
    ),
    "softmax twice": (
        "a softmax taken twice",
        ["model._target_=planted.SoftmaxTwice", "trusted_targets=[planted.SoftmaxTwice]"],
    ),
}  # fmt: skip


def causes(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()[:1].isdigit()]


def told(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert trainer.fit() == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("planted", CAUSES)
def test_a_planted_cause_is_named_first_or_second(
    planted: str, new_trainer: Callable[..., Trainer], capsys: pytest.CaptureFixture[str]
) -> None:
    name, options = CAUSES[planted]
    trainer = new_trainer("stuck", *SHORT, *options)
    out = told(trainer, capsys)
    assert out.count("health ") == 1
    assert any(name in line for line in causes(out)[:2]), out
    assert len(causes(out)) == 5
    # Not by the usual order alone: something was found that points to it.
    waveforms = next(trainer.data.updates(trainer.data.plan(0)))[0].waveforms
    found = trainer.health.causes(trainer.recognizer.features(waveforms))
    assert next(e.strength for e in found if name in e.cause) > 0.5


def rewritten(tones: Path, tmp_path: Path, change: Callable[[list[dict]], None]) -> str:
    rows = [json.loads(line) for line in (tones / "train.jsonl").read_text().splitlines()]
    for row in rows:
        row["audio_filepath"] = str(tones / row["audio_filepath"])
    change(rows)
    path = tmp_path / "changed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"data.train=[{path}]"


def test_transcripts_of_other_audio(tones, tmp_path, new_trainer, capsys) -> None:
    def shift(rows: list[dict]) -> None:
        texts = [row["text"] for row in rows]
        for row, text in zip(rows, texts[37:] + texts[:37], strict=True):
            row["text"] = text

    option = rewritten(tones, tmp_path, shift)
    out = told(new_trainer("stuck", *SHORT, option, "data.max_infeasible=1"), capsys)
    assert any("transcripts that do not belong" in line for line in causes(out)[:2]), out


def test_silent_audio(tones, tmp_path, new_trainer, capsys) -> None:
    def hush(rows: list[dict]) -> None:
        for row in rows:
            samples, rate = soundfile.read(row["audio_filepath"])
            row["audio_filepath"] = str(tmp_path / Path(row["audio_filepath"]).name)
            soundfile.write(row["audio_filepath"], np.zeros_like(samples), rate)

    out = told(new_trainer("stuck", *SHORT, rewritten(tones, tmp_path, hush)), capsys)
    assert any("normalisation" in line for line in causes(out)[:2]), out


def test_a_healthy_run_hears_nothing_of_it(new_trainer, capsys) -> None:
    out = told(new_trainer("good", *SHORT), capsys)
    assert "health" not in out
    again = ["model._target_=planted.LogSoftmaxTwice", "trusted_targets=[planted.LogSoftmaxTwice]"]
    assert "health" not in told(new_trainer("forgiven", *SHORT, *again), capsys)


def test_it_is_said_once_even_over_a_resume(new_trainer, capsys) -> None:
    options = [*SHORT, "optimizer.lr=1e-7"]
    assert told(new_trainer("once", *options), capsys).count("health ") == 1
    out = told(new_trainer("once", *options, "trainer.epochs=5"), capsys)
    assert "step=100" in out and "health" not in out


def test_a_resume_remembers_what_the_updates_before_it_gave(new_trainer) -> None:
    whole = new_trainer("whole", *SHORT, "trainer.stuck_after=0")
    whole.fit()
    part = new_trainer("part", *SHORT, "trainer.stuck_after=90")
    part.fit()
    resumed = new_trainer("part", *SHORT, "trainer.stuck_after=90")
    resumed.fit()  # nothing is left to do, but its history is read
    assert resumed.health.first_norm == part.health.first_norm > 0
    assert [dict(r) for r in resumed.health.recent] != []
    for one, other in zip(resumed.health.recent, part.health.recent, strict=True):
        assert {k: other[k] for k in other if not k.startswith("time/")}.items() <= one.items()
