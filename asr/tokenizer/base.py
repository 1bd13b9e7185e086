"""The contract of a tokenizer: text to the tokens of CTC and back. Token 0 is the blank."""

import re
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

    def spell(self, token: int) -> str:
        """What a token 1..V-1 adds to a text, the space before a word included."""
        return self.decode([token])

    def words(self, tokens: Sequence[int]) -> list[tuple[str, slice]]:
        """The words of a sequence of tokens, in order, and which tokens each is made of.

        Joined by spaces they are `decode`'s text, but for white space around and between words.
        """
        pieces = [self.spell(token) for token in tokens]
        owners = [i for i, piece in enumerate(pieces) for _ in piece]
        return [
            (word.group(), slice(owners[word.start()], owners[word.end() - 1] + 1))
            for word in re.finditer(r"\S+", "".join(pieces))
        ]

    @abstractmethod
    def unknown(self, text: str) -> set[str]:
        """The characters of a text for which `encode` would raise."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint: `_target_` and the arguments that rebuild this tokenizer."""

    def __len__(self) -> int:
        """V, the blank included."""
        return len(self.symbols)
