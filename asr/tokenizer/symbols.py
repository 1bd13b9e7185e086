"""Tokens as another program numbered them: any symbols, one of which may stand for the space."""

from collections.abc import Sequence
from typing import Any

from asr.tokenizer.base import Tokenizer


class Symbols(Tokenizer):
    """One token for each symbol, of one character or of several.

    Args:
        symbols: all V of them; the first is the blank's name.
        space: what in them stands for a space, such as `|` or SentencePiece's `\u2581`.

    Raises:
        ValueError: there are none beside the blank, one is empty or occurs twice.
    """

    def __init__(self, symbols: Sequence[str], space: str | None = None) -> None:
        own = list(symbols[1:])
        if not own:
            raise ValueError("the tokens hold no symbol beside the blank")
        if twice := sorted({s for s in own if own.count(s) > 1}):
            raise ValueError(f"the tokens hold more than once: {', '.join(map(repr, twice))}")
        if "" in own:
            raise ValueError(f"token {own.index('') + 1} is an empty symbol")
        self._symbols = tuple(symbols)
        self._space = space
        self._texts = [s.replace(space, " ") if space else s for s in own]
        self._tokens = {text: token for token, text in enumerate(self._texts, start=1)}

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._symbols

    def encode(self, text: str) -> list[int]:
        """A token for each character.

        Raises:
            ValueError: no token stands for a character, or there are tokens of several characters,
                for then only the program that made them knows how it cuts a text.
        """
        if long := [s for s in self._texts if len(s) > 1]:
            raise ValueError(
                f"the tokens hold symbols of several characters ({long[0]!r}), and how a text is "
                "cut into them is not known here"
            )
        if unknown := self.unknown(text):
            raise ValueError(f"no token stands for {', '.join(map(repr, sorted(unknown)))}")
        return [self._tokens[character] for character in text]

    def decode(self, tokens: Sequence[int]) -> str:
        """The symbols one after the other, with spaces for what stands for them."""
        for token in tokens:
            if not 1 <= token <= len(self._texts):
                raise ValueError(f"token {token} is not one of 1..{len(self._texts)}")
        return "".join(self._texts[token - 1] for token in tokens)

    def unknown(self, text: str) -> set[str]:
        return set(text) - set("".join(self._texts))

    def state(self) -> dict[str, Any]:
        return {
            "_target_": "asr.tokenizer.symbols.Symbols",
            "symbols": list(self._symbols),
            "space": self._space,
        }
