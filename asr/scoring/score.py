"""Scoring: a recogniser and decoders on a data set, each utterance recognised once."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from asr.core.padded import Padded
from asr.ctc.loss import ctc_loss, feasible
from asr.data.dataset import SpeechDataset
from asr.data.loader import evaluation_plan, load_batches
from asr.decoder.base import Decoder
from asr.recognizer.recognizer import Recognizer
from asr.scoring.error_rate import ErrorCounts, character_errors, word_errors
from asr.scoring.interval import bootstrap_interval


@dataclass(frozen=True, slots=True)
class Scored:
    """One utterance: what was said, what was heard, and how they differ. duration: seconds."""

    id: str
    speaker: str | None
    duration: float
    reference: str
    hypothesis: str
    words: ErrorCounts
    characters: ErrorCounts


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of a data set, pooled, and of its utterances in the manifest's order.

    loss: nats per token over the utterances that the model can spell and that fit.
    outside: utterances with characters outside the alphabet. compute_seconds: reading to text.
    decoder: which one heard this.
    """

    name: str
    utterances: tuple[Scored, ...]
    loss: float
    outside: int
    compute_seconds: float
    decoder: str

    @property
    def words(self) -> ErrorCounts:
        """Pooled word errors."""
        return sum((u.words for u in self.utterances), ErrorCounts(0, 0, 0, 0))

    @property
    def characters(self) -> ErrorCounts:
        """Pooled character errors."""
        return sum((u.characters for u in self.utterances), ErrorCounts(0, 0, 0, 0))

    @property
    def audio_seconds(self) -> float:
        """Seconds of speech."""
        return sum(u.duration for u in self.utterances)

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing for a second of speech."""
        return self.compute_seconds / self.audio_seconds

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the word error rate, over speakers where they are known."""
        speakers = [u.speaker for u in self.utterances]
        return bootstrap_interval([u.words for u in self.utterances], speakers)


@torch.inference_mode()
def score(
    recognizer: Recognizer,
    decoders: Mapping[str, Decoder],
    dataset: SpeechDataset,
    *,
    device: torch.device,
    batch_seconds: float,
    max_utterances: int,
    workers: int,
    progress: Callable[[int, int], None] = lambda count, total: None,
) -> dict[str, Report]:
    """Recognise a data set once, decode it with each decoder and count the errors.

    The recogniser is left in the mode it was in.

    decoders: by the names that the reports will have.
    progress: called after each batch with its utterances and those of the data set; what it
        raises ends the scoring.

    Raises:
        ValueError: an utterance could not be read.
    """
    began = time.perf_counter()
    was_training = recognizer.training
    recognizer.eval()
    plan = evaluation_plan(dataset, batch_seconds, max_utterances)
    found: dict[str, dict[int, Scored]] = {name: {} for name in decoders}
    seconds = dict.fromkeys(decoders, 0.0)
    nats, count, outside = 0.0, 0, 0
    try:
        for draws, batch in zip(plan, load_batches(dataset, plan, workers), strict=True):
            log_probs = recognizer(batch.waveforms.to(device))  # (B, T', V)
            for name, decoder in decoders.items():
                started = time.perf_counter()
                texts = [best[0].text for best in decoder(log_probs)]
                seconds[name] += time.perf_counter() - started
                for draw, text in zip(draws, texts, strict=True):
                    found[name][draw.index] = _scored(dataset, draw.index, text)
            rows = [i for i, t in enumerate(batch.texts) if not recognizer.tokenizer.unknown(t)]
            outside += len(batch.texts) - len(rows)
            tokens = Padded(batch.tokens.values[rows], batch.tokens.lengths[rows]).to(device)
            spelled_probs = Padded(log_probs.values[rows], log_probs.lengths[rows])
            if rows:
                nats += float(ctc_loss(spelled_probs, tokens).sum())
                count += int((tokens.lengths * feasible(spelled_probs.lengths, tokens)).sum())
            progress(len(draws), len(dataset))
    finally:
        recognizer.train(was_training)
    shared = time.perf_counter() - began - sum(seconds.values())
    return {
        name: Report(
            name=dataset.manifest.name,
            utterances=tuple(scored[i] for i in range(len(dataset))),
            loss=nats / max(count, 1),
            outside=outside,
            compute_seconds=shared + seconds[name],
            decoder=name,
        )
        for name, scored in found.items()
    }


def _scored(dataset: SpeechDataset, index: int, hypothesis: str) -> Scored:
    utterance = dataset.manifest[index]
    return Scored(
        id=utterance.id,
        speaker=utterance.speaker,
        duration=utterance.duration,
        reference=utterance.text,
        hypothesis=hypothesis,
        words=word_errors(utterance.text, hypothesis),
        characters=character_errors(utterance.text, hypothesis),
    )
