"""Training utterances before and after augmentation: written once, heard right, in nobody's way."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support import metrics
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asr.reporting.board import Board
from asr.reporting.examples import Shown, draw_examples
from asr.training.tracker import Tracker
from asr.training.trainer import Trainer

NewTrainer = Callable[..., Trainer]
OPTIONS = ["model=deepspeech2_tiny", "augment=[speed,reverb,noise,babble]", "spec_augment=mild"]
OPTIONS += ["data.max_utterances=24", "data.batch_seconds=48"]


def board(trainer: Trainer, count: int) -> Board:
    return Board(
        trainer.recognizer, trainer.data, trainer.folder, {}, [], fresh=True, num_examples=count
    )


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "audio": 0, "images": 0})
    found.Reload()
    return found


def check_whole(folder: Path, steps: int, count: int) -> None:
    """Each curve has each update once, each example stands over update 0 once."""
    found = events(folder)
    assert [e.step for e in found.Scalars("train/loss")] == list(range(1, steps + 1))
    for curve in ("validation/wer", "validation/loss"):
        assert [e.step for e in found.Scalars(curve)] == [steps // 2, steps]
    names = {
        f"examples/{i + 1} {how}" for i in range(count) for how in ("as recorded", "augmented")
    }
    tags = {tag for tag in found.Tags()["audio"] if found.Audio(tag)}
    assert {tag for tag in tags if tag.startswith("examples/")} == names
    assert all([e.step for e in found.Audio(name)] == [0] for name in names)
    assert [e.step for e in found.Images("examples")] == [0]


def test_a_resume_takes_nothing_back_and_no_loss_changes(
    new_trainer: NewTrainer, tmp_path: Path
) -> None:
    assert new_trainer("none", "trainer.epochs=1", *OPTIONS).fit() == 0
    first = new_trainer("shown", "trainer.epochs=1", *OPTIONS)
    assert first.fit(board(first, 3)) == 0
    assert metrics(tmp_path / "shown") == metrics(tmp_path / "none")
    second = new_trainer("shown", "trainer.epochs=2", *OPTIONS)
    assert second.state.step == first.state.step > 1
    assert second.fit(board(second, 3)) == 0
    check_whole(tmp_path / "shown", second.state.step, 3)


def test_a_start_that_never_saved_is_void(new_trainer: NewTrainer, tmp_path: Path) -> None:
    first = new_trainer("run", "trainer.epochs=2", *OPTIONS)
    with Tracker(
        first.folder, board=board(first, 5)
    ) as tracker:  # killed before its first checkpoint
        tracker.point(1, {"train/loss": 99.0})
    again = new_trainer("run", "trainer.epochs=2", *OPTIONS)
    assert again.fit(board(again, 2)) == 0
    check_whole(tmp_path / "run", again.state.step, 2)
    assert max(e.value for e in events(tmp_path / "run").Scalars("train/loss")) < 99


def test_what_is_heard_is_what_the_first_epoch_trains_on(new_trainer: NewTrainer) -> None:
    trainer = new_trainer("run", *OPTIONS, "augment.noise.snr_low_db=0")
    with Tracker(trainer.folder, board=board(trainer, 3)):
        pass
    found, dataset = events(trainer.folder), trainer.data.dataset
    trained_on = {
        example.waveform.numpy().tobytes(): example.waveform.numpy()
        for example in (dataset[draw] for draw in dataset.draws(0))
    }
    for number in (1, 2, 3):
        event = found.Audio(f"examples/{number} augmented")[0]
        heard, rate = soundfile.read(io.BytesIO(event.encoded_audio_string), dtype="float32")
        assert rate == trainer.recognizer.features.sample_rate
        assert any(
            len(heard) == len(sound)
            and np.abs(heard * max(1, np.abs(sound).max()) - sound).max() < 1e-4
            for sound in trained_on.values()
        )


def test_masks_are_white_and_only_they() -> None:
    features = np.random.default_rng(0).normal(size=(100, 40)).astype(np.float32)
    masked = features.copy()
    masked[20:80] = 0
    sound = torch.zeros(16000)
    picture = draw_examples([Shown("a", sound, sound, (features, features, masked))], 0.01)
    centres = picture[
        len(picture) // 2 - 20, [int(picture.shape[1] * x) for x in (0.2, 0.52, 0.83)]
    ]
    assert [bool((pixel == 255).all()) for pixel in centres] == [False, False, True]


def test_a_negative_number_is_refused(new_trainer: NewTrainer) -> None:
    with pytest.raises(ValueError, match=r"trainer\.num_examples=-1 must be at least 0"):
        board(new_trainer("run"), -1)
