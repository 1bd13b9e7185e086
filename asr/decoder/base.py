"""The contract of a decoder: from log-probabilities to hypotheses, best first."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from asr.core.padded import Padded
from asr.tokenizer.base import Tokenizer


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What may have been said.

    score: log-probability, nats. timesteps: the output frame at which each token begins.
    """

    text: str
    tokens: tuple[int, ...]
    score: float
    timesteps: tuple[int, ...]


class Decoder(ABC):
    """Finds hypotheses; the options of a variant are keyword-only and stand in its YAML."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    @abstractmethod
    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """The n best hypotheses of each utterance, best first, at least one.

        Args:
            log_probs: (B, T, V), V the size of the tokenizer; padding never changes a result.

        Raises:
            ValueError: V is not the tokenizer's, or a log-probability is NaN.
        """

    def _check_vocabulary(self, log_probs: Padded) -> None:
        size = log_probs.values.shape[-1]
        if size != len(self.tokenizer):
            raise ValueError(
                f"the log-probabilities have {size} symbols a frame, but the tokenizer has "
                f"{len(self.tokenizer)} (blank included); use the tokenizer of the same checkpoint"
            )
