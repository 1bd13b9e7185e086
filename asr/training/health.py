"""Is the model learning from the audio at all? If not, it is said once, with the likely causes.

The trouble that every CTC project hears of most: only blanks, a word error rate of 100 %, for
hours. A model that ignores its input can still learn how often each token occurs; its best loss
is known beforehand (`deaf_loss`). Whoever does not get below it has not begun to listen.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.core.padded import Padded
from asr.ctc.loss import ctc_loss, posterior_limit
from asr.training.fit import Fit

_LISTENS = 0.97  # below this share of the deaf loss a model has begun to listen
_PROBES = 1000  # weights of each tensor that are watched


def untrained_loss(fit: Fit, vocabulary: int) -> float:
    """Nats per token of a model to which all symbols are equally likely in each frame."""
    return _constant_loss(fit, torch.full((vocabulary,), -math.log(vocabulary)))


def deaf_loss(fit: Fit) -> float:
    """Nats per token of the best model that gives the same posteriors in every frame.

    It knows how often each token occurs, and how often a blank is best, but hears nothing.
    """
    counts = fit.counts[1:] + 1.0
    tokens = torch.from_numpy(np.log(counts / counts.sum())).float()
    blanks = [1 - 2.0**-n for n in range(1, 8)] + [0.1, 0.3, 0.7]
    return min(
        _constant_loss(fit, torch.cat([torch.tensor([math.log(b)]), math.log(1 - b) + tokens]))
        for b in blanks
    )


def _constant_loss(fit: Fit, log_probs: Tensor) -> float:
    if not len(fit.rows):
        return math.nan
    tokens = Padded.stack([torch.tensor(t, dtype=torch.int64) for t in fit.tokens])
    lengths = torch.from_numpy(fit.frames[fit.rows])
    values = log_probs.expand(len(lengths), int(lengths.max()), -1)  # (B, T', V)
    return float(ctc_loss(Padded(values, lengths), tokens).sum() / tokens.lengths.sum())


@dataclass(frozen=True, slots=True)
class Evidence:
    """A possible cause of trouble. strength: 0 to 1. finding: the number that points to it."""

    cause: str
    strength: float
    finding: str


class Health:
    """Looks at what each update gave, and every `after` updates asks whether the model listens.

    after: updates; 0 means never.
    """

    def __init__(self, fit: Fit, vocabulary: int, after: int) -> None:
        if after < 0:
            raise ValueError(f"trainer.stuck_after={after} must be at least 0")
        self.fit, self.vocabulary, self.after = fit, vocabulary, after
        self.untrained, self.deaf = untrained_loss(fit, vocabulary), deaf_loss(fit)
        self.recall([])

    def recall(self, history: Iterable[Mapping[str, float | None]]) -> None:
        """Forget all but what a run's earlier updates gave."""
        self.first_norm = math.nan
        self.recent: deque[Mapping[str, float]] = deque(maxlen=max(1, self.after // 3))
        for metrics in history:
            self.watch(0, metrics)

    def watch(self, step: int, metrics: Mapping[str, float | None]) -> bool:
        """Take the metrics of an update; whether it is time to ask, and the model is stuck."""
        numbers = {k: math.nan if v is None else v for k, v in metrics.items()}
        if math.isnan(self.first_norm):
            self.first_norm = numbers.get("train/weight_norm", math.nan)
        self.recent.append(numbers)
        return (
            step > 0 and self.after > 0 and step % self.after == 0 and self._symptom() is not None
        )

    def _symptom(self) -> str | None:
        """What is wrong, if anything is."""
        loss, limit = self._mean("train/loss"), posterior_limit(self.vocabulary)
        if self._mean("train/infeasible_share") > 0.5:
            return "most transcripts do not fit into the model's output"
        if self._mean("train/confident_share") == 0:
            return f"the model is sure of nothing: no posterior exceeded {limit:.3f}"
        if not loss < _LISTENS * self.deaf:  # also where most losses are not finite
            return "the model does not listen to the audio"
        return None

    def _mean(self, name: str) -> float:
        """Over the recent updates; not a number if most of them are none."""
        values = np.array([numbers.get(name, math.nan) for numbers in self.recent])
        finite = values[np.isfinite(values)]
        return float(finite.mean()) if 2 * len(finite) > len(values) else math.nan

    def causes(self, features: Padded) -> list[Evidence]:
        """What may be wrong, the likeliest first; what nothing points to, in the usual order.

        features: (B, T, F) as the model sees them, of any batch.
        """
        usual = [
            self._learning_rate(),
            self._subsampling(),
            self._transcripts(),
            _normalisation(features),
            self._softmax_twice(),
        ]
        return sorted(usual, key=lambda evidence: -evidence.strength)

    def diagnose(self, step: int, features: Padded) -> str:
        """Plain words: what is seen, and the causes of it; features as for `causes`."""
        lines = [
            f"{number}. {evidence.cause}: {evidence.finding}"
            for number, evidence in enumerate(self.causes(features), start=1)
        ]
        return (
            f"after {step} updates {self._symptom()}. Loss {self._mean('train/loss'):.2f} nats per "
            f"token, where a model that ignores the audio can reach {self.deaf:.2f} and an "
            f"untrained one has {self.untrained:.2f}; "
            f"{100 * self._mean('train/blank_share'):.1f} % of frames are blank, entropy "
            f"{self._mean('train/entropy'):.3f} nats a frame. Causes, the likeliest first:\n  "
            + "\n  ".join(lines)
        )

    def _learning_rate(self) -> Evidence:
        step, norm = self._mean("train/relative_step"), self._mean("train/weight_norm")
        growth = norm / self.first_norm
        strength = max(
            _ramp(-math.log10(step), 4.5, 5.5) if step > 0 else 1.0,
            _ramp(growth, 2, 5),
            0.0 if math.isfinite(self._mean("train/loss")) else 0.7,
        )
        return Evidence(
            "learning rate",
            strength,
            f"an update moves the weights by {step:.1e} of their size (usual is 1e-4 to 3e-2), and "
            f"they are {growth:.3g} times as large as at the start (usual is below 2); "
            + ("try a higher optimizer.lr" if growth < 1.5 and step < 1e-4 else
               "try a lower optimizer.lr or more schedule.warmup_steps"),
        )  # fmt: skip

    def _subsampling(self) -> Evidence:
        room = self.fit.frames / np.maximum(self.fit.needed, 1)
        tight, share = float(np.quantile(room, 0.1)), float((room < 1).mean())
        return Evidence(
            "too much subsampling for the speaking rate",
            max(_ramp(-tight, -1.5, -1.1), _ramp(share, 0.01, 0.2)),
            f"{100 * share:.1f} % of transcripts do not fit, and a tenth has less than "
            f"{tight:.2g} output frames for each that it needs (usual is 1.5 or more); "
            "lessen the model's strides",
        )

    def _transcripts(self) -> Evidence:
        like = _correlation(self.fit.frames, self.fit.needed)
        return Evidence(
            "transcripts that do not belong to the audio",
            0.2 if math.isnan(like) else _ramp(-like, -0.4, -0.1),
            f"durations and transcripts' lengths correlate with {like:.2f} (usual is 0.4 to 0.97); "
            "listen to a few utterances and read along",
        )

    def _softmax_twice(self) -> Evidence:
        limit = posterior_limit(self.vocabulary)
        share = self._mean("train/confident_share")
        return Evidence(
            "a softmax taken twice",
            1.0 if share == 0 else 0.0,
            f"{100 * share:.1f} % of frames have a posterior above {limit:.3f}, which a softmax of "
            "a softmax cannot exceed; the model must return logits",
        )


def _normalisation(features: Padded) -> Evidence:
    real = features.values[features.mask].double()  # (sum of T, F)
    mean, deviation = float(real.mean()), float(real.std())
    size = math.log10(deviation) if deviation > 0 else -math.inf
    strength = max(_ramp(abs(size), 0.7, 1.5), _ramp(abs(mean) / max(deviation, 1e-30), 3, 10))
    return Evidence(
        "normalisation",
        strength if math.isfinite(mean) else 1.0,
        f"the model's input has mean {mean:.2g} and deviation {deviation:.2g} (usual is 0 and 1); "
        "look at features.normalise, and whether the audio is silent or scaled",
    )


def _correlation(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Pearson's; not a number where either hardly varies, for then it says nothing."""
    if len(one) < 10 or one.std() < 0.05 * one.mean() or other.std() < 0.05 * other.mean():
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high`, linear between; 1 for what is not a number."""
    return 1.0 if math.isnan(value) else min(1.0, max(0.0, (value - low) / (high - low)))


class WeightProbe:
    """A thousand weights of each tensor: how far an update moves them, without a copy of all."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = parameters

    def read(self) -> Tensor:
        """(P,) the watched weights."""
        flat = [p.detach().flatten() for p in self.parameters]
        return torch.cat([w[:: -(-len(w) // _PROBES)] for w in flat])
