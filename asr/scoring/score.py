"""Scoring: a recogniser and decoders on a data set, each utterance recognised once."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from asr.core.distributed import exchange, rank, world_size
from asr.core.padded import Padded
from asr.ctc.loss import ctc_loss, feasible
from asr.data.batch import Batch
from asr.data.dataset import Draw, SpeechDataset
from asr.data.loader import evaluation_plan, load_batches
from asr.decoder.base import Decoder
from asr.recognizer.recognizer import Recognizer
from asr.scoring.confidence import word_confidences
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


class Kept(NamedTuple):
    """What a model was given and what it made of it: (N,) samples, (T', V); both on the CPU."""

    waveform: Tensor
    log_probs: Tensor


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of a data set, pooled, and of its utterances in the manifest's order.

    loss: nats per token over the utterances that the model can spell and that fit.
    loss_per_character: the same nats, spaces counted; it compares models of different tokens.
    outside: utterances with characters outside the alphabet. compute_seconds: reading to text.
    decoder: which one heard this. unreadable: utterances of which nothing could be read, and why.
    confidences: 0 to 1, of the words heard in each utterance. kept: utterances by their places.
        Both are empty unless something was to be kept.
    """

    name: str
    utterances: tuple[Scored, ...]
    loss: float
    loss_per_character: float
    outside: int
    compute_seconds: float
    decoder: str
    unreadable: tuple[str, ...] = ()
    confidences: tuple[tuple[float, ...], ...] = ()
    kept: Mapping[int, Kept] = field(default_factory=dict, compare=False)

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


class ScoringStoppedError(Exception):
    """Raised by `progress` to end a scoring; it then ends on all ranks."""


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
    worker_timeout: float = 300.0,
    strict: bool = True,
    keep: Collection[int] = (),
    progress: Callable[[int, int], None] = lambda count, total: None,
) -> dict[str, Report]:
    """Recognise a data set once, decode it with each decoder and count the errors.

    The recogniser is left in the mode it was in. Where several ranks score, each takes its share
    of the batches, and all get the reports that one would have made alone.

    decoders: by the names that the reports will have.
    worker_timeout: seconds without a batch after which loader processes are replaced.
    strict: else an utterance that cannot be read counts as one of which nothing was heard.
    keep: places in the manifest of utterances that the reports keep to be looked at.
    progress: called after each batch with its utterances and those of the data set; what it
        raises ends the scoring.

    Raises:
        ValueError: an utterance could not be read, and `strict` is on.
        ScoringStoppedError: `progress` raised it, on this rank or another.
    """
    began = time.perf_counter()
    plan = evaluation_plan(dataset, batch_seconds, max_utterances)
    own = plan[rank() :: world_size()]
    batches = load_batches(dataset, own, workers, worker_timeout=worker_timeout, strict=strict)
    part, stopped = _Part(keep), False
    was_training = recognizer.training
    recognizer.eval()
    try:
        for number, (draws, batch) in enumerate(zip(own, batches, strict=True)):
            part.add(recognizer, decoders, dataset, draws, batch, device)
            done = plan[number * world_size() : (number + 1) * world_size()]
            progress(sum(map(len, done)), len(dataset))
        part.seconds = time.perf_counter() - began
    except ScoringStoppedError:
        stopped = True  # the others wait to be told
    finally:
        recognizer.train(was_training)
    parts = exchange((stopped, part))
    if any(stopped for stopped, _ in parts):
        raise ScoringStoppedError
    return _reports(dataset, decoders, [part for _, part in parts])


class _Part:
    """What one rank has scored."""

    def __init__(self, keep: Collection[int]) -> None:
        self.keep = keep
        self.kept: dict[int, Kept] = {}
        self.confidences: dict[str, dict[int, tuple[float, ...]]] = {}
        self.found: dict[str, dict[int, Scored]] = {}
        # Nats, tokens and characters, by a batch's first draw.
        self.losses: dict[int, tuple[float, int, int]] = {}
        self.outside = 0
        self.unreadable: dict[int, str] = {}
        self.seconds = 0.0
        self.decoding: dict[str, float] = {}

    def add(
        self,
        recognizer: Recognizer,
        decoders: Mapping[str, Decoder],
        dataset: SpeechDataset,
        draws: Sequence[Draw],
        batch: Batch,
        device: torch.device,
    ) -> None:
        """Recognise, decode and count a batch."""
        missing = dict(batch.unreadable)
        heard = [draw.index for place, draw in enumerate(draws) if place not in missing]
        log_probs = recognizer(batch.waveforms.to(device))  # (B, T', V)
        for name, decoder in decoders.items():
            started = time.perf_counter()
            best = [ranked[0] for ranked in decoder(log_probs)] if heard else []
            took = time.perf_counter() - started
            self.decoding[name] = self.decoding.get(name, 0.0) + took
            found = self.found.setdefault(name, {})
            for index, hypothesis in zip(heard, best, strict=True):
                found[index] = _scored(dataset, index, hypothesis.text)
            if self.keep and heard:
                sure = word_confidences(recognizer.tokenizer, log_probs, best)
                self.confidences.setdefault(name, {}).update(zip(heard, sure, strict=True))
            for place in missing:
                found[draws[place].index] = _scored(dataset, draws[place].index, "")
        for row, index in enumerate(heard):
            if index in self.keep:
                self.kept[index] = Kept(
                    batch.waveforms.values[row, : batch.waveforms.lengths[row]].clone(),
                    log_probs.values[row, : log_probs.lengths[row]].cpu().clone(),
                )
        self.unreadable |= {draws[place].index: why for place, why in missing.items()}
        rows = [i for i, t in enumerate(batch.texts) if not recognizer.tokenizer.unknown(t)]
        self.outside += len(batch.texts) - len(rows)
        tokens = Padded(batch.tokens.values[rows], batch.tokens.lengths[rows]).to(device)
        spelled = Padded(log_probs.values[rows], log_probs.lengths[rows])
        if rows:
            fits = feasible(spelled.lengths, tokens)
            nats, count = ctc_loss(spelled, tokens).sum(), (tokens.lengths * fits).sum()
            characters = sum(len(batch.texts[i]) for i, fit in zip(rows, fits, strict=True) if fit)
            self.losses[draws[0].index] = (float(nats), int(count), characters)


def _reports(
    dataset: SpeechDataset, decoders: Mapping[str, Decoder], parts: Sequence[_Part]
) -> dict[str, Report]:
    losses = {first: loss for part in parts for first, loss in part.losses.items()}
    # Summed exactly, so that it does not matter who scored what.
    nats, count, characters = (math.fsum(loss[i] for loss in losses.values()) for i in range(3))
    unreadable = {index: why for part in parts for index, why in part.unreadable.items()}
    kept = {index: one for part in parts for index, one in part.kept.items()}
    reports = {}
    for name in decoders:
        scored = {i: s for part in parts for i, s in part.found.get(name, {}).items()}
        sure = {i: c for part in parts for i, c in part.confidences.get(name, {}).items()}
        others = [
            part.seconds - sum(s for n, s in part.decoding.items() if n != name) for part in parts
        ]
        reports[name] = Report(
            name=dataset.manifest.name,
            utterances=tuple(scored[i] for i in range(len(dataset))),
            loss=nats / count if count else math.nan,
            loss_per_character=nats / characters if characters else math.nan,
            outside=sum(part.outside for part in parts),
            unreadable=tuple(unreadable[i] for i in sorted(unreadable)),
            compute_seconds=max(others),
            decoder=name,
            confidences=tuple(sure.get(i, ()) for i in range(len(dataset))) if sure else (),
            kept=kept,
        )
    return reports


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
