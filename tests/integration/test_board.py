"""What TensorBoard and the terminal show of real runs: whole after a resume, in nobody's way."""

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from screens import on_terminal, screen
from support import REPOSITORY, assert_same, metrics, tones_overrides
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from asr.core.audio import load_waveform
from asr.core.checkpoint import load_checkpoint
from asr.core.padded import Padded
from asr.reporting import board
from asr.reporting.board import Board
from asr.training.trainer import Trainer
from asr.wiring.run import learnt

NewTrainer = Callable[..., Trainer]
OPTIONS = ["model=deepspeech2_tiny", "augment=[speed,noise]", "trainer.validate_every=5"]
OPTIONS += ["data.max_utterances=24", "data.batch_seconds=48"]


def board_of(trainer: Trainer) -> Board:
    return Board(
        trainer.recognizer,
        trainer.data,
        trainer.folder,
        learnt(trainer.header["config"]),
        ["run=x", "a b"],
        fresh=not trainer.state.validated,
        num_examples=0,
    )


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"audio": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def test_a_run_with_pictures_ends_like_one_without_and_shows_each_once(
    new_trainer: NewTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "_SHARE", 1e9)
    bare = [*OPTIONS, "trainer.epochs=1", "trainer.num_pictures=0"]
    assert new_trainer("bare", *bare).fit() == 0
    first = new_trainer("shown", *OPTIONS, "trainer.epochs=1", "trainer.max_minutes=1e-6")
    assert first.fit(board_of(first)) == 0 and first.stopping
    # Killed after a validation that its last checkpoint does not know of.
    second = new_trainer("shown", *OPTIONS, "trainer.epochs=1")
    second._checkpoint = lambda: second.tracker.flush()  # type: ignore[method-assign]
    monkeypatch.setattr(second.checkpoints, "save_best", lambda *_: None)
    assert second.fit(board_of(second)) == 0
    third = new_trainer("shown", *OPTIONS, "trainer.epochs=1")
    assert third.state.step == first.state.step < second.state.step
    assert third.fit(board_of(third)) == 0
    assert metrics(tmp_path / "shown") == metrics(tmp_path / "bare")
    ends = [load_checkpoint(tmp_path / run / "last.pt") for run in ("shown", "bare")]
    for end in ends:
        end["config"]["trainer"].pop("num_pictures")
    assert_same(*ends)
    found, validations = events(tmp_path / "shown"), [5, 7]
    assert third.state.step == 7
    pictures = [tag for tag in found.Tags()["images"] if tag.startswith("heard/")]
    assert len(pictures) == 4
    for tag in pictures:
        assert [e.step for e in found.Images(tag)] == validations
    sounds = [tag for tag in found.Tags()["audio"] if found.Audio(tag)]
    assert [tag.replace("spoken", "heard") for tag in sounds] == pictures
    assert all([e.step for e in found.Audio(tag)] == [5] for tag in sounds)
    told = [e.step for e in found.Tensors("run/text_summary")]
    assert told[-2:] == validations  # this reader forgets no texts; the page does


def test_pictures_are_of_dev_and_of_the_model_that_is_scored(
    new_trainer: NewTrainer, tmp_path: Path
) -> None:
    trainer = new_trainer("run", *OPTIONS, "trainer.epochs=1", "trainer.num_pictures=3")
    shown, reports = board_of(trainer), []
    shown._pictures = lambda report, step: (  # type: ignore[method-assign]
        reports.append((report, step)) or Board._pictures(shown, report, step)
    )
    assert trainer.fit(shown) == 0
    assert [step for _, step in reports] == [5, 7], "the first and the last, however soon"
    report, _ = reports[-1]
    rate, manifest = trainer.recognizer.features.sample_rate, trainer.header["config"]["data"]
    assert sorted(report.kept) == [0, 7, 15], manifest
    found = events(tmp_path / "run")
    for number, (index, kept) in enumerate(sorted(report.kept.items()), 1):
        name = report.utterances[index].id
        dev = Path(manifest["dev"][0]).parent / "audio" / f"{name}.wav"
        recorded = torch.from_numpy(load_waveform(dev, rate))
        assert torch.equal(kept.waveform, recorded)
        trainer.shipped.eval()
        with torch.inference_mode():
            alone = trainer.shipped(Padded.stack([recorded])).values[0]
        assert torch.allclose(kept.log_probs, alone, atol=1e-4)
        sound = found.Audio(f"spoken/{number} {name}")[0].encoded_audio_string
        heard, _ = soundfile.read(io.BytesIO(sound), dtype="float32")
        assert np.abs(heard - recorded.numpy()).max() < 1e-3
        picture = found.Images(f"heard/{number} {name}")[-1]
        assert Image.open(io.BytesIO(picture.encoded_image_string)).size == (
            picture.width,
            picture.height,
        )
    confidences = [c for row in report.confidences for c in row]
    assert len(confidences) == sum(len(u.hypothesis.split()) for u in report.utterances)
    counted = sum(
        found.Histograms(tag)[-1].histogram_value.num for tag in found.Tags()["histograms"]
    )
    assert counted == len(confidences) and 0 < min(confidences) <= max(confidences) <= 1


def test_the_first_screen_and_what_sweeps_compare(new_trainer: NewTrainer, tmp_path: Path) -> None:
    trainer = new_trainer("run", *OPTIONS, "trainer.epochs=1", "optimizer.lr=0.0123")
    assert trainer.fit(board_of(trainer)) == 0
    found = events(tmp_path / "run")
    (layout,) = found.Tensors("custom_scalars__config__")
    parsed = Layout.FromString(layout.tensor_proto.string_val[0])
    asked = [tag for c in parsed.category for chart in c.chart for tag in chart.multiline.tag]
    drawn = found.Tags()["scalars"]
    assert all(any(re.match(tag, name) for name in drawn) for tag in asked), "no empty chart"
    assert [chart.title for chart in parsed.category[0].chart] == [
        "loss, nats per token", "error rates", "health: share of frames",
    ]  # fmt: skip
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    options = HParamsPluginData.FromString(content).session_start_info.hparams
    assert options["optimizer.lr"].number_value == 0.0123
    assert options["model._target_"].string_value.endswith("DeepSpeech2")
    assert not {"runs", "device", "trainer.num_pictures"} & options.keys()
    best = min(
        fields["validation/wer"] for fields in metrics(tmp_path / "run") if "best_wer" in fields
    )
    assert found.Scalars("best_wer")[-1].value == pytest.approx(best)
    text = found.Tensors("run/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert "python -m asr.train run=x 'a b'" in text and f"{100 * best:.2f} %" in text


def test_a_negative_number_of_pictures_is_refused(new_trainer: NewTrainer) -> None:
    with pytest.raises(ValueError, match=r"trainer\.num_pictures=-1 must be at least 0"):
        new_trainer("run", "trainer.num_pictures=-1")


def test_ctrl_c_on_a_terminal_leaves_it_whole(tones: Path, tmp_path: Path) -> None:
    options = [*tones_overrides(tones, tmp_path), *OPTIONS, "trainer.epochs=50", "run=run"]
    command = [sys.executable, "-m", "asr.train", *options, "trainer.log_every=1"]

    def press(text: str, terminal: int) -> bool:
        if text.count("validation epoch=") < 2:
            return False
        os.write(terminal, b"\x03")
        return True

    code, written = on_terminal(command, REPOSITORY, 70, press)
    assert code == 130, written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is back"
    assert re.search(r"epoch 1/50.*loss \d.*WER \d.*run in \d", written)
    text = "\n".join(screen(written, 70))
    for beginning in ("data ", "model ", "loss ", "plan ", "run ", "validation epoch=1", "resume "):
        assert f"\n{beginning}" in f"\n{text}", beginning
    assert text.count("reference ") == text.count("validation epoch=") == text.count("heard ")
    assert "train epoch=" not in text and "epoch 1/50 " not in text and "stopped after" in text
