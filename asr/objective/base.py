"""The contract of an objective: what one training step minimises."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor

from asr.data.batch import Batch
from asr.recognizer.recognizer import Recognizer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an objective says of one (micro-)batch. Outcomes add, so a batch may be cut at will.

    nats: () the sum that is minimised. count: () what it is to be divided by.
    losses: (B,) nats of each utterance, to name a culprit. metrics: sums of frames and utterances.
    terms: () sums of nats by name, where `nats` is made up of several.
    """

    nats: Tensor
    count: Tensor
    losses: Tensor
    metrics: dict[str, Tensor]
    terms: dict[str, Tensor] = field(default_factory=dict)


class Objective(ABC):
    """A sum over the utterances of a batch, whatever the cut into ranks and micro-batches."""

    @abstractmethod
    def __call__(self, recognizer: Recognizer, batch: Batch) -> Outcome:
        """Run the recogniser on a batch and sum up."""
