"""Beam search with a language model, a lexicon and hotwords; see `search` for how it goes."""

import copy
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.core.compiled import frozen, prepare
from asr.core.padded import Padded
from asr.decoder.base import Decoder, Hypothesis
from asr.decoder.graph import build_graph, build_scorer, build_words
from asr.decoder.hypotheses import NO_MODEL, OF_TOKENS, OF_WORDS, Pruning
from asr.decoder.search import SIGNATURE, search
from asr.language_model.ngram import NGram
from asr.tokenizer.base import Tokenizer

_FARTHEST = 600.0  # nats behind the best hypothesis that numbers can hold

# The options that are numbers, what must hold for each, and how that is said.
_NUMBERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lm_weight": (lambda v: 0 <= v <= 1000, "0 to 1000"),
    "word_score": (lambda v: v is None or abs(v) <= 100, "nats, -100 to 100, or null"),
    "beam_size": (lambda v: 1 <= v <= 1 << 20 and v == int(v), "a whole number, 1 or more"),
    "beam_threshold": (lambda v: v is None or v > 0, "more than 0 nats, or null"),
    "beam_size_token": (lambda v: v is None or v >= 1, "1 or more, or null"),
    "token_threshold": (lambda v: v is None or v <= 0, "a log-probability, or null"),
    "blank_skip_threshold": (lambda v: v is None or 0 < v <= 1, "a probability above 0, or null"),
    "recombine": (lambda v: v in (True, False), "true or false"),
    "nbest": (lambda v: v >= 1 and v == int(v), "a whole number, 1 or more"),
    "threads": (lambda v: v is None or v >= 1, "1 or more, or null"),
}


class Beam(Decoder):
    """CTC prefix beam search.

    Args:
        lm: an ARPA file, such as `python -m asr.lm` makes; None: no language model.
        lm_unit: "word", or "token" for n-grams of the tokenizer's symbols, spaces written \u2581.
        lm_weight: of the language model's log-probabilities.
        word_score: nats for each word; None: 1.5 with a language model of words, which makes
            each word cost something, and else 0.
        lexicon: the words that may be output: a file with one a line (what follows a white space
            is not read), or "lm" for those of the language model. None: any.
        hotwords: words and the nats that each is worth when it occurs.
        beam_size: hypotheses that live on from a frame.
        beam_threshold: nats behind the best at which one does not.
        beam_size_token: tokens of a frame that are looked at; None: all.
        token_threshold: log-probability below which they are not; None: all.
        blank_skip_threshold: probability of the blank from which a frame is taken as blank; None:
            every frame is searched.
        recombine: of hypotheses with the same future (token, place in the word, history of the
            language model) drop those that `nbest` others are ahead of. Almost always right, not
            exact: what its parents in the beam would still have given to one is lost with it.
        nbest: hypotheses to give, of different texts; of tokens that spell the same text, in
            spaces more or less or in other pieces, the best ones count.
        threads: that decode the utterances of a batch; None: one for each CPU.

    Raises:
        ValueError: an option is out of range, a file cannot be read, or the lexicon holds words
            that the tokens cannot spell.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        lm: str | None,
        lm_unit: str,
        lm_weight: float,
        word_score: float | None,
        lexicon: str | None,
        hotwords: Mapping[str, float] | None,
        beam_size: int,
        beam_threshold: float | None,
        beam_size_token: int | None,
        token_threshold: float | None,
        blank_skip_threshold: float | None,
        recombine: bool,
        nbest: int,
        threads: int | None,
    ) -> None:
        super().__init__(tokenizer)
        self._options = {k: v for k, v in locals().items() if k not in ("self", "tokenizer")}
        self._options.pop("__class__", None)
        _check(self._options)
        if lm_unit == "token" and lm is None:
            raise ValueError("decoder.lm_unit=token needs decoder.lm")
        self._model = None if lm is None else NGram.open(Path(lm))
        self._unit = NO_MODEL if lm is None else OF_TOKENS if lm_unit == "token" else OF_WORDS
        self._texts = ["", *(tokenizer.spell(token) for token in range(1, len(tokenizer)))]
        model = self._model if self._unit == OF_WORDS else None
        self._words = build_words(model, lexicon, hotwords or {}, self._texts)
        self._settle()
        prepare(search, *SIGNATURE)

    def with_options(self, **changes: Any) -> "Beam":
        """The same words and language model under other weights and limits.

        Raises:
            ValueError: an option is out of range, or one that changes words or language model.
        """
        if fixed := changes.keys() - _NUMBERS.keys():
            raise ValueError(f"{', '.join(sorted(fixed))} cannot change; build another decoder")
        other = copy.copy(self)
        other._options = self._options | changes
        _check(other._options)
        other._settle()
        return other

    def _settle(self) -> None:
        o = self._options
        self.nbest = int(o["nbest"])
        self.threads = int(o["threads"] or os.cpu_count() or 1)
        self._pruning = Pruning(
            int(o["beam_size"]),
            min(
                _FARTHEST if o["beam_threshold"] is None else float(o["beam_threshold"]), _FARTHEST
            ),
            int(o["beam_size_token"] or len(self.tokenizer)),
            -math.inf if o["token_threshold"] is None else float(o["token_threshold"]),
            math.inf if (p := o["blank_skip_threshold"]) is None else math.log(p),
            bool(o["recombine"]),
        )
        self._scorer = build_scorer(self._model, self._unit, float(o["lm_weight"]), self._texts)
        usual = 1.5 if self._unit == OF_WORDS else 0.0
        word_score = usual if o["word_score"] is None else float(o["word_score"])
        half = self._pruning.beam_threshold / 2
        self._graph = build_graph(self._words, self._scorer, word_score, half)

    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """See `Decoder`. Words are one space apart, whatever tokens for spaces surround them.

        Where every path is ruled out, the one hypothesis is empty and of score -inf.
        """
        self._check_vocabulary(log_probs)
        values = log_probs.values.detach().float().cpu().contiguous().numpy()  # (B, T, V)
        lengths = log_probs.lengths.cpu().numpy().astype(np.int64)
        _check_values(values, lengths)
        count, frames, _ = values.shape
        # Some will be of the same text.
        wanted = 1 if self.nbest == 1 else min(4 * self.nbest, self._pruning.beam_size)
        found = (
            np.empty((count, wanted, frames), np.int32),
            np.empty((count, wanted, frames), np.int32),
            np.empty((count, wanted), np.int32),
            np.empty((count, wanted), np.float64),
        )
        values = frozen(values)

        best: list[list[Hypothesis]] = [[] for _ in range(count)]

        def decode(rows: NDArray[np.int64]) -> None:
            search(values, lengths, rows, self._graph, self._scorer, self._pruning, *found)
            for i in rows.tolist():  # while other threads are searching
                best[i] = self._hypotheses(*(array[i] for array in found))

        # The longest first, in turns, a few helpings for each thread.
        order = np.argsort(-lengths, kind="stable")
        helpings = [order[i :: 4 * self.threads].copy() for i in range(4 * self.threads)]
        helpings = [rows for rows in helpings if len(rows)]
        if self.threads == 1 or len(helpings) < 2:
            decode(order)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(decode, helpings))
        return best

    def _hypotheses(
        self,
        tokens: NDArray[np.int32],
        frames: NDArray[np.int32],
        sizes: NDArray[np.int32],
        scores: NDArray[np.float64],
    ) -> list[Hypothesis]:
        hypotheses: list[Hypothesis] = []
        texts = set()
        for rank, size in enumerate(sizes.tolist()):
            if size < 0 or len(hypotheses) == self.nbest:
                break
            own = tokens[rank, :size].tolist()
            text = " ".join("".join([self._texts[token] for token in own]).split())
            if text in texts:
                continue
            texts.add(text)
            steps = tuple(frames[rank, :size].tolist())
            hypotheses.append(Hypothesis(text, tuple(own), float(scores[rank]), steps))
        return hypotheses or [Hypothesis("", (), -math.inf, ())]


def _check(options: Mapping[str, Any]) -> None:
    for name, (holds, what) in _NUMBERS.items():
        try:
            good = holds(options[name])
        except TypeError:
            good = False
        if not good:
            said = "null" if options[name] is None else options[name]
            raise ValueError(f"decoder.{name}={said} must be {what}")
    if options["nbest"] > options["beam_size"]:
        raise ValueError(f"decoder.nbest={options['nbest']} is more than decoder.beam_size")
    if options["lm_unit"] not in ("word", "token"):
        raise ValueError(f"decoder.lm_unit={options['lm_unit']} must be word or token")


def _check_values(values: NDArray[np.float32], lengths: NDArray[np.int64]) -> None:
    count, frames, _ = values.shape
    if lengths.shape != (count,) or ((lengths < 0) | (lengths > frames)).any():
        raise ValueError(f"lengths {lengths.tolist()} for {count} utterances of {frames} frames")
    for i, length in enumerate(lengths.tolist()):
        # One reading of the array: the largest value is NaN if one is.
        largest = values[i, :length].max(initial=-np.inf)
        if not largest <= 1e-3:
            what = "hold NaN" if np.isnan(largest) else f"hold {largest:.3g}, above 0"
            raise ValueError(
                f"the log-probabilities of utterance {i} in the batch {what}; "
                + (
                    "its audio or the model's weights are not finite"
                    if np.isnan(largest)
                    else "a decoder takes log_softmax, not logits or probabilities"
                )
            )
