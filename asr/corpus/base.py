"""The contract of a corpus: named splits, each an iterator of utterances."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from asr.corpus.manifest import Utterance


class LeftOut(Counter[str]):
    """Entries that do not become utterances: how many by reason, and a few of each by name."""

    NUM_EXAMPLES = 5

    def __init__(self) -> None:
        super().__init__()
        self.examples: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Count one entry."""
        self[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < self.NUM_EXAMPLES:
            examples.append(name)


class Corpus(ABC):
    """Where speech and its transcripts come from.

    `left_out` counts, by reason in plain words, the entries that a corpus names but that cannot
    become utterances; `asr.prepare` starts it anew for each split and reports it, so that nothing
    is dropped silently.
    """

    def __init__(self) -> None:
        self.left_out = LeftOut()

    @property
    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """The names of the splits; each becomes `<split>.jsonl`."""

    @abstractmethod
    def utterances(self, split: str, folder: Path) -> Iterator[Utterance]:
        """Yield the utterances of a split, with transcripts as the corpus writes them.

        A duration of 0 means "to the end of the file"; `asr.prepare` reads it from the header.

        Args:
            split: one of `splits`.
            folder: where a corpus that downloads or synthesises puts its audio.

        Raises:
            ValueError: the corpus is not where it should be, or is damaged; says what and how
                to mend it.
        """
