"""An n-gram back-off model in flat arrays: a walk over states, and a file that is memory-mapped.

A state is a history that the model knows; a word leads to the next state. What a history does not
list is found in its shorter histories, at the price of their back-off weights (Katz 1987). States
are as short as can be: a history that no longer n-gram continues is the same state as its end, so
that a decoder sees that two hypotheses have the same future.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from asr.core.compiled import frozen, frozen_type, kernel, part, prepare, tuple_type
from asr.language_model.arpa import read_arpa
from asr.language_model.base import END, LN10, START, UNKNOWN, Arpa, Grams

ROOT = -1  # the state of the empty history
_UNLISTED = -100.0  # log10 of an unknown word, where a model lists none, as KenLM has it
_MAGIC = b"asr-ngram-1\n"


class Flat(NamedTuple):
    """The arrays. A node is an n-gram; those of order 1 come first: node w is the word w.

    first: (S + 1,) int32, the nodes first[s] .. first[s + 1] continue the history of state s.
    words: (M,) int32, each node's last word, ascending within a history.
    log_probs: (M,) float32, natural logarithms.
    states: (M,) int32, the state after a node's n-gram, or ROOT.
    backoffs: (S,) float32, natural logarithms.
    shorter: (S,) int32, the state of a history without its first word, or ROOT.
    """

    first: NDArray[np.int32]
    words: NDArray[np.int32]
    log_probs: NDArray[np.float32]
    states: NDArray[np.int32]
    backoffs: NDArray[np.float32]
    shorter: NDArray[np.int32]


FLAT_TYPE = tuple_type(
    Flat,
    *(frozen_type(types.int32), frozen_type(types.int32), frozen_type(types.float32)),
    *(frozen_type(types.int32), frozen_type(types.float32), frozen_type(types.int32)),
)
_INTS, _FLOATS = frozen(np.zeros(1, np.int32)), frozen(np.zeros(1, np.float32))
EMPTY = Flat(_INTS, _INTS, _FLOATS, _INTS, _FLOATS, _INTS)  # stands where no model is


@part
def walk(flat: Flat, state: int, word: int) -> tuple[float, int]:
    """Log-probability (nats) of a word after a state, and the state that follows."""
    paid = 0.0
    while state != ROOT:
        low, high = flat.first[state], flat.first[state + 1]
        end = high
        while low < high:
            middle = (low + high) >> 1
            if flat.words[middle] < word:
                low = middle + 1
            else:
                high = middle
        if low < end and flat.words[low] == word:
            return paid + flat.log_probs[low], flat.states[low]
        paid += flat.backoffs[state]
        state = flat.shorter[state]
    return paid + flat.log_probs[word], flat.states[word]


@kernel
def _walk_all(flat: Flat, state: int, words: NDArray[np.int32], scores: NDArray[np.float64]) -> int:
    for i in range(len(words)):
        scores[i], state = walk(flat, state, words[i])
    return state


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
        if not path.is_file():
            raise ValueError(f"{path}: no such language model; `python -m asr.lm` makes one")
        stamp = path.stat()
        key = f"{stamp.st_size} {stamp.st_mtime_ns}"
        places = _cache_places(path)
        for place in places:
            if (model := _map(place, key)) is not None:
                return model
        model = cls.from_arpa(read_arpa(path))
        for place in places:
            try:
                _keep(model, place, key)
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
        return cls(len(arpa.orders), arpa.vocabulary, _arrange(arpa))

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
        """Perplexity of sentences, which are words without marks of start and end."""
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
        return Perplexity(
            float(np.exp(-total / max(tokens, 1))),
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


def _arrange(arpa: Arpa) -> Flat:
    sizes = [len(grams.words) for grams in arpa.orders]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    count, states = int(offsets[-1]), int(offsets[-2])
    words, log_probs = np.empty(count, np.int32), np.empty(count, np.float32)
    backoffs = np.zeros(count, np.float32)
    ends = np.full(count, ROOT, np.int32)  # each n-gram without its first word
    first = np.zeros(states + 1, np.int32)
    first[0] = sizes[0]
    keys: list[NDArray[np.int64]] = []  # of each order: (history's node, word), ascending
    for order, grams in enumerate(arpa.orders, start=1):
        here = slice(offsets[order - 1], offsets[order])
        if order == 1:
            histories = np.full(sizes[0], ROOT)
        else:
            histories = grams.words[:, 0].astype(np.int64)
            for column in range(1, order - 1):
                histories = _find(keys, offsets, histories, grams.words[:, column])
                _check_histories(arpa, grams, histories, order)
        key = (histories << 32) + grams.words[:, -1]
        by_key = np.argsort(key, kind="stable")
        keys.append(key[by_key])
        words[here] = grams.words[by_key, -1]
        log_probs[here] = grams.log10_probs[by_key] * LN10
        backoffs[here] = grams.log10_backoffs[by_key] * LN10
        if order > 1:
            histories = histories[by_key]
            ends[here] = _longest_ends(keys, offsets, ends, histories, words[here])
            level = slice(offsets[order - 2], offsets[order - 1])
            per_history = np.bincount(histories - level.start, minlength=sizes[order - 2])
            first[level.start + 1 : level.stop + 1] = offsets[order - 1] + np.cumsum(per_history)
    return Flat(first, words, log_probs, _states(first, backoffs, ends, offsets),
                backoffs[:states],
                ends[:states])  # fmt: skip


def _find(
    keys: list[NDArray[np.int64]],
    offsets: NDArray[np.int64],
    histories: NDArray[np.int64],
    words: NDArray[np.int32],
) -> NDArray[np.int64]:
    """The nodes that continue histories by words; ROOT where there is none.

    A history of ROOT is continued by the word itself. Others may be of different orders.
    """
    found = np.where(histories == ROOT, words, ROOT).astype(np.int64)
    wanted = (histories << 32) + words
    for order in range(2, len(keys) + 1):
        at = np.flatnonzero((histories >= offsets[order - 2]) & (histories < offsets[order - 1]))
        if len(at) == 0 or len(keys[order - 1]) == 0:
            continue
        place = np.searchsorted(keys[order - 1], wanted[at])
        place = np.minimum(place, len(keys[order - 1]) - 1)
        hit = keys[order - 1][place] == wanted[at]
        found[at[hit]] = offsets[order - 1] + place[hit]
    return found


def _check_histories(arpa: Arpa, grams: Grams, histories: NDArray[np.int64], order: int) -> None:
    if (missing := np.flatnonzero(histories == ROOT)).size:
        gram = [arpa.vocabulary[w] for w in grams.words[missing[0]]]
        raise ValueError(
            f"the {order}-gram {' '.join(gram)!r} continues {' '.join(gram[:-1])!r}, which the "
            f"model does not list with a back-off weight ({missing.size} {order}-grams are so); "
            "it was cut or damaged: make it again"
        )


def _longest_ends(
    keys: list[NDArray[np.int64]],
    offsets: NDArray[np.int64],
    ends: NDArray[np.int32],
    histories: NDArray[np.int64],
    words: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Of each n-gram the longest listed n-gram that ends it."""
    shorter = ends[histories].astype(np.int64)
    found = _find(keys, offsets, shorter, words)
    while (open_ := np.flatnonzero((found == ROOT) & (shorter != ROOT))).size:
        shorter[open_] = ends[shorter[open_]]
        found[open_] = _find(keys, offsets, shorter[open_], words[open_])
    return found


def _states(
    first: NDArray[np.int32],
    backoffs: NDArray[np.float32],
    ends: NDArray[np.int32],
    offsets: NDArray[np.int64],
) -> NDArray[np.int32]:
    """The shortest history that predicts as each n-gram does."""
    states = np.arange(len(ends), dtype=np.int32)
    dull = np.ones(len(ends), dtype=bool)  # n-grams of the highest order are no histories
    dull[: len(first) - 1] = (np.diff(first) == 0) & (backoffs[: len(first) - 1] == 0)
    for start, stop in pairwise(offsets):  # ends are of lower orders
        own = start + np.flatnonzero(dull[start:stop])
        states[own] = np.where(ends[own] == ROOT, ROOT, states[ends[own]])
    return states


def _cache_places(path: Path) -> list[Path]:
    """Where the arrays of a file may be kept: beside it, or in the user's cache."""
    name = f"{path.name}.ngram"
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return [path.with_name(name), home / "asr" / f"{digest}-{name}"]


def _keep(model: NGram, place: Path, key: str) -> None:
    """Write a model's arrays: a line that says what follows, then each array, aligned."""
    place.parent.mkdir(parents=True, exist_ok=True)
    text = np.frombuffer("\n".join(model.vocabulary).encode(), dtype=np.uint8)
    arrays = {"vocabulary": text, **model.flat._asdict()}
    header = json.dumps(
        {"key": key, "order": model.order}
        | {"arrays": {n: [a.dtype.str, len(a)] for n, a in arrays.items()}}
    )
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(_MAGIC + header.encode() + b"\n")
            for array in arrays.values():
                file.write(b"\0" * (-file.tell() % 64))
                file.write(array.data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def _map(place: Path, key: str) -> NGram | None:
    """A kept model, if it is whole and of the same file."""
    try:
        with place.open("rb") as file:
            if file.readline(len(_MAGIC)) != _MAGIC:
                return None
            header = json.loads(file.readline())
            position = file.tell()
        if header["key"] != key:
            return None
        whole = np.memmap(place, mode="r")
        arrays = {}
        for name, (dtype, length) in header["arrays"].items():
            position += -position % 64
            size = np.dtype(dtype).itemsize * length
            arrays[name] = np.asarray(whole[position : position + size]).view(dtype)
            position += size
        if position != len(whole):
            return None
        vocabulary = arrays.pop("vocabulary").tobytes().decode().split("\n")
        return NGram(header["order"], vocabulary, Flat(**arrays))
    except (OSError, ValueError, KeyError, TypeError):  # another version's, or cut short
        return None
