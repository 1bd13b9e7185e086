"""The contract of a tokenizer: text to the tokens of CTC and back. Token 0 is the blank."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Tokenizer(ABC):
    """Maps text to tokens 1..V-1 and back, without loss.

    `configs/tokenizer/*.yaml` name what builds one from the training transcripts; a checkpoint
    rebuilds it from `state()`.
    """

    @property
    @abstractmethod
    def symbols(self) -> tuple[str, ...]:
        """The V symbols by token; the first is the blank's name."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Tokens of a text.

        Raises:
            ValueError: the text holds what no token stands for; names the symbols. The caller
                adds the utterance.
        """

    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, which hold no blanks.

        Raises:
            ValueError: a token is the blank or outside the vocabulary.
        """

    @abstractmethod
    def unknown(self, text: str) -> set[str]:
        """The characters of a text for which `encode` would raise."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint: `_target_` and the arguments that rebuild this tokenizer."""

    def __len__(self) -> int:
        """V, the blank included."""
        return len(self.symbols)
