"""What TensorBoard shows of a run beside its curves: pictures, sounds, tables, a first screen.

Nothing here draws a random number, and nothing that is learnt depends on it.
"""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import audio, custom_scalars, histogram, hparams, text

from asr.core.padded import Padded
from asr.data.loader import TrainingData
from asr.recognizer.recognizer import Recognizer
from asr.reporting.examples import example_summaries
from asr.reporting.utterance_picture import Spoken, draw_utterance
from asr.scoring.breakdown import by_speaker
from asr.scoring.error_rate import ErrorCounts
from asr.scoring.score import Report
from asr.scoring.word_alignment import align_words

_SHARE = 0.01  # of a run's time that pictures may take, the first and the last aside
_BINS = np.linspace(0, 1, 21)
_LAYOUT = {
    "Is it learning?": {
        "loss, nats per token": ["Multiline", ["train/loss$", "validation/loss$"]],
        "error rates": ["Multiline", ["validation/[wc]er$", "best_wer$"]],
        "health: share of frames": ["Multiline", ["train/blank_share$", "train/confident_share$"]],
    },
    "Whom does it not understand?": {
        "WER by utterance length": ["Multiline", ["wer_by_length/.*"]],
        "WER by speaker": ["Multiline", ["wer_by_speaker/.*"]],
    },
    "Is it stable, is it fast?": {
        "gradient norm": ["Multiline", ["train/gradient_norm$"]],
        "relative step": ["Multiline", ["train/relative_step$"]],
        "seconds of audio a second": ["Multiline", ["time/audio_seconds_per_second$"]],
    },
}  # fmt: skip


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)


class Board:
    """See `asr.training.tracker.Board`.

    recognizer, data: that is trained, and on what. folder: the run's.
    options: by which runs are compared. arguments: of `asr.train`.
    fresh: whether there was no validation yet; its utterances are then to be heard as well.
    num_examples: training utterances that are shown before and after augmentation.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        data: TrainingData,
        folder: Path,
        options: Mapping[str, Any],
        arguments: Sequence[str],
        *,
        fresh: bool,
        num_examples: int,
    ) -> None:
        if num_examples < 0:
            raise ValueError(f"trainer.num_examples={num_examples} must be at least 0")
        self.recognizer, self.data, self.folder = recognizer, data, folder
        self.options, self.num_examples = options, num_examples
        self.command = f"python -m asr.train {shlex.join(arguments)}"
        self.silent = not fresh
        self.features: dict[int, NDArray[np.float32]] = {}
        self.began, self.spent = time.monotonic(), 0.0

    def begin(self) -> list[Summary]:
        """The layout of the first screen, options that sweeps compare, and training utterances."""
        plain = {name: _plain(value) for name, value in self.options.items() if value is not None}
        _, session, _ = hparams(plain, {})
        examples = example_summaries(self.recognizer, self.data, self.num_examples)
        return [custom_scalars(_LAYOUT), session, *examples]

    def __call__(
        self, report: Report, *, step: int, best_wer: float, speed: float, last: bool
    ) -> list[Summary]:
        """Of one validation. Pictures are left out where they would cost time."""
        found = [text("run", _table(self._facts(report, best_wer, speed)))]
        if speakers := by_speaker(report.utterances):
            found.append(text("validation/speakers", _speaker_table(speakers)))
        found += _confidences(report)
        if not self.silent:
            found += self._sounds(report)
            self.silent = True
        began = time.monotonic()
        if last or self.spent <= _SHARE * (began - self.began):
            found += self._pictures(report, step)
            self.spent += time.monotonic() - began
        return found

    def _facts(self, report: Report, best_wer: float, speed: float) -> list[tuple[str, str]]:
        train = self.data.dataset.manifest
        parts = (
            (name, sum(p.numel() for p in part.parameters()))
            for name, part in self.recognizer.model.named_children()
        )
        sizes = ", ".join(f"{name} {count:,}" for name, count in parts if count)
        model = (
            f"{type(self.recognizer.model).__name__}, {self.recognizer.num_parameters / 1e6:.2f} M"
        )
        return [
            ("run", f"{self.folder}"),
            ("trained on", f"{train.name}: {len(train)} utterances, {train.hours:.2f} h"),
            ("validated on", f"{report.name}: {len(report.utterances)} utterances, "
                             f"{report.audio_seconds / 3600:.2f} h"),
            ("model", f"{model} parameters ({sizes}), {len(self.recognizer.tokenizer)} tokens"),
            ("WER", f"{100 * report.words.rate:.2f} %, the best so far {100 * best_wer:.2f} %"),
            ("speed", f"{speed:.0f} seconds of audio trained on in a second"),
            ("goes on with", self.command),
        ]  # fmt: skip

    def _sounds(self, report: Report) -> Iterator[Summary]:
        rate = self.recognizer.features.sample_rate
        for tag, index in _tags(report, "spoken"):
            waveform = report.kept[index].waveform
            loudest = max(1.0, float(waveform.abs().max()))
            yield audio(tag, waveform / loudest, sample_rate=rate)

    def _pictures(self, report: Report, step: int) -> Iterator[Summary]:
        for tag, index in _tags(report, "heard"):
            scored, log_probs = report.utterances[index], report.kept[index].log_probs
            spoken = Spoken(
                scored.duration,
                scored.reference,
                scored.hypothesis,
                self._features(report, index),
                log_probs,
                self.recognizer.frame_seconds,
            )
            title = (
                f"{scored.id}   after update {step}: {scored.words.errors} errors in "
                f"{scored.words.length} words"
            )
            png, width, height = draw_utterance(spoken, self.recognizer.tokenizer, title)
            picture = Summary.Image(
                height=height, width=width, colorspace=3, encoded_image_string=png
            )
            yield Summary(value=[Summary.Value(tag=tag, image=picture)])

    @torch.inference_mode()
    def _features(self, report: Report, index: int) -> NDArray[np.float32]:
        """(T, F), computed once: nothing in them is learnt."""
        if index not in self.features:
            like = next(self.recognizer.parameters())
            waveforms = Padded.stack([report.kept[index].waveform.to(like.dtype)]).to(like.device)
            features = self.recognizer.features(waveforms)
            self.features[index] = features.values[0].float().cpu().numpy()
        return self.features[index]


def _tags(report: Report, kind: str) -> Iterator[tuple[str, int]]:
    for number, index in enumerate(sorted(report.kept), 1):
        yield f"{kind}/{number} {report.utterances[index].id[-40:]}", index


def _confidences(report: Report) -> Iterator[Summary]:
    """How sure the model is of words that are right, and of words that are wrong."""
    sure: dict[bool, list[float]] = {True: [], False: []}
    for scored, confidences in zip(report.utterances, report.confidences, strict=False):
        places = align_words(scored.reference, scored.hypothesis)
        heard = [place for place in places if place.heard is not None]
        for place, confidence in zip(heard, confidences, strict=True):
            sure[place.is_right].append(confidence)
    for right, values in sure.items():
        if values:
            name = "confidence/right words" if right else "confidence/wrong words"
            yield histogram(name, np.array(values), _BINS)


def _speaker_table(speakers: Mapping[str, ErrorCounts]) -> str:
    worst = sorted(speakers.items(), key=lambda item: -item[1].rate)
    rows = [
        (name, f"{100 * errors.rate:.1f} %", f"{errors.errors} / {errors.length}",
         "\N{FULL BLOCK}" * round(20 * min(errors.rate, 1.0)))
        for name, errors in worst
    ]  # fmt: skip
    return _table([("speaker", "WER", "errors", ""), *rows])


def _table(rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; the first row is the head."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
