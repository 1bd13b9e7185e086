"""Characters as tokens: the alphabet of the training transcripts, the space among them."""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from asr.tokenizer.base import Tokenizer

_BLANK = "<blank>"


class Char(Tokenizer):
    """One token for each character (Unicode code point).

    Args:
        characters: the alphabet; character i becomes token i + 1.

    Raises:
        ValueError: there are none, one occurs twice, or one is not a single character.
    """

    def __init__(self, characters: Sequence[str]) -> None:
        if not characters:
            raise ValueError("the alphabet is empty: no training transcript holds a character")
        for character in characters:
            if not isinstance(character, str) or len(character) != 1:
                raise ValueError(f"the alphabet's {character!r} is not a single character")
        self._characters = tuple(characters)
        self._tokens = {c: token for token, c in enumerate(characters, start=1)}
        if len(self._tokens) != len(characters):
            twice = sorted({c for c in characters if characters.count(c) > 1})
            raise ValueError(f"the alphabet holds {_names(twice)} more than once")

    @classmethod
    def train(cls, texts: Iterable[str]) -> "Char":
        """The alphabet of some transcripts, in the order of code points.

        Raises:
            ValueError: the transcripts hold no character.
        """
        return cls(sorted(set(chain.from_iterable(texts))))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The blank's name and the characters."""
        return (_BLANK, *self._characters)

    def encode(self, text: str) -> list[int]:
        """A token for each character; raises ValueError for those outside the alphabet."""
        try:
            return [self._tokens[character] for character in text]
        except KeyError:
            raise ValueError(
                f"the alphabet of {len(self._characters)} characters does not hold "
                f"{_names(sorted(self.unknown(text)))}; normalise the text as the training "
                "transcripts were, or train on transcripts that hold it"
            ) from None

    def decode(self, tokens: Sequence[int]) -> str:
        """The characters of tokens 1..V-1; raises ValueError for the blank and others."""
        for token in tokens:
            if not 1 <= token <= len(self._characters):
                raise ValueError(
                    f"token {token} stands for no character: tokens are "
                    f"1..{len(self._characters)}, and 0 is the blank, which a decoder drops"
                )
        return "".join(self._characters[token - 1] for token in tokens)

    def unknown(self, text: str) -> set[str]:
        """The characters of a text that are outside the alphabet."""
        return set(text) - self._tokens.keys()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"_target_": "asr.tokenizer.char.Char", "characters": list(self._characters)}


def _names(characters: Sequence[str]) -> str:
    return ", ".join(f"{c!r} ({unicodedata.name(c, f'U+{ord(c):04X}')})" for c in characters)
