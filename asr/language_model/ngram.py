"""An n-gram back-off model to score words with: opened from an ARPA file, walked word by word."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from asr.core.compiled import frozen, kernel, prepare
from asr.language_model import kept
from asr.language_model.arpa import read_arpa
from asr.language_model.arrange import arrange
from asr.language_model.base import END, START, UNKNOWN, Arpa, Grams
from asr.language_model.flat import FLAT_TYPE, ROOT, Flat, walk

_UNLISTED = -100.0  # log10 of an unknown word, where a model lists none, as KenLM has it


class Perplexity(NamedTuple):
    """How well a model knows a text, the ends of its sentences counted as words.

    with_unknown counts unknown words as the model scores them; without leaves them out.
    tokens: all of them; unknown: those that the model does not list.
    """

    with_unknown: float
    without_unknown: float
    tokens: int
    unknown: int


class NGram:
    """A model that can be walked.

    vocabulary: the words by their numbers; `unknown` stands for all others, `end` for the end of
        a sentence (None where the model has no such word).
    start: the state at the start of a sentence.
    """

    def __init__(self, order: int, vocabulary: list[str], flat: Flat) -> None:
        self.order = order
        self.vocabulary = vocabulary
        self.flat = Flat(*map(frozen, flat))
        self.numbers = {word: i for i, word in enumerate(vocabulary)}
        self.unknown = self.numbers[UNKNOWN]
        self.end = self.numbers.get(END)
        begin = self.numbers.get(START)
        self.start = ROOT if begin is None else int(flat.states[begin])

    @classmethod
    def open(cls, path: Path) -> "NGram":
        """Read an ARPA file, or map what an earlier reading kept beside it.

        Raises:
            ValueError: it is not an ARPA file; says where.
        """
        if path.is_dir():
            raise ValueError(f"{path}: a folder; name the language model's file in it")
        if not path.is_file():
            raise ValueError(f"{path}: no such language model; `python -m asr.lm` makes one")
        stamp = path.stat()
        key = f"{stamp.st_size} {stamp.st_mtime_ns}"
        places = kept.places(path)
        for place in places:
            if (found := kept.find(place, key)) is not None:
                return cls(*found)
        model = cls.from_arpa(read_arpa(path))
        for place in places:
            try:
                kept.keep(kept.Kept(model.order, model.vocabulary, model.flat), place, key)
                break
            except OSError:  # not ours to write, or full: the model is there all the same
                continue
        return model

    @classmethod
    def from_arpa(cls, arpa: Arpa) -> "NGram":
        """Arrange listed n-grams for walking.

        Raises:
            ValueError: an n-gram's history is not listed.
        """
        arpa = _with_unknown(arpa)
        return cls(len(arpa.orders), arpa.vocabulary, arrange(arpa))

    def number(self, word: str) -> int:
        """A word's number, or that of unknown words."""
        return self.numbers.get(word, self.unknown)

    def score(self, state: int, word: int) -> tuple[float, int]:
        """Log-probability (nats) of a word after a state, and the state that follows."""
        log_prob, state = walk(self.flat, state, word)
        return float(log_prob), int(state)

    def finish(self, state: int) -> float:
        """Log-probability (nats) that the sentence ends here; 0 if the model knows no ends."""
        return 0.0 if self.end is None else self.score(state, self.end)[0]

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> Perplexity:
        """Perplexity of sentences, which are words without marks of start and end.

        Raises:
            ValueError: there are none.
        """
        prepare(_walk_all, FLAT_TYPE, types.int64, types.int32[::1], types.float64[::1])
        total, known, tokens, unknown = 0.0, 0.0, 0, 0
        end = [] if self.end is None else [self.end]
        for sentence in sentences:
            words = np.array([self.number(w) for w in sentence] + end, dtype=np.int32)
            scores = np.empty(len(words))
            _walk_all(self.flat, self.start, words, scores)
            seen = words != self.unknown
            total, known = total + scores.sum(), known + scores[seen].sum()
            tokens, unknown = tokens + len(words), unknown + int((~seen).sum())
        if tokens == 0:
            raise ValueError("there is no sentence to measure the language model on")
        return Perplexity(
            float(np.exp(-total / tokens)),
            float(np.exp(-known / max(tokens - unknown, 1))),
            tokens,
            unknown,
        )


def _with_unknown(arpa: Arpa) -> Arpa:
    """A model that lists unknown words; they may be called <UNK>."""
    if UNKNOWN in arpa.vocabulary:
        return arpa
    if "<UNK>" in arpa.vocabulary:
        return arpa._replace(vocabulary=[UNKNOWN if w == "<UNK>" else w for w in arpa.vocabulary])
    first = arpa.orders[0]
    more = Grams(
        np.append(first.words, np.array([[len(arpa.vocabulary)]], np.int32), axis=0),
        np.append(first.log10_probs, np.array([_UNLISTED], np.float32)),
        np.append(first.log10_backoffs, np.zeros(1, np.float32)),
    )
    return Arpa([*arpa.vocabulary, UNKNOWN], [more, *arpa.orders[1:]])


@kernel
def _walk_all(flat: Flat, state: int, words: NDArray[np.int32], scores: NDArray[np.float64]) -> int:
    for i in range(len(words)):
        scores[i], state = walk(flat, state, words[i])
    return state
