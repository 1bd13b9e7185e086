"""Prefix beam search as one would write it down first: dictionaries, logarithms, no look-ahead.

The oracle of `asr.decoder.beam`: every prefix is kept, so that it is right for tiny inputs only.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from asr.language_model.flat import ROOT
from asr.language_model.ngram import NGram

BLANK = 0


def log_add(*values: float) -> float:
    top = max(values)
    return top if top == -math.inf else top + math.log(sum(math.exp(v - top) for v in values))


def enumerate_paths(frames: Sequence[Sequence[float]]) -> dict[tuple[int, ...], float]:
    """Log-probability of every sequence of tokens, path by path."""
    totals: dict[tuple[int, ...], list[float]] = defaultdict(list)
    symbols = range(len(frames[0])) if len(frames) else range(0)
    for path in itertools.product(symbols, repeat=len(frames)):
        tokens = tuple(t for t, _ in itertools.groupby(path) if t != BLANK)
        totals[tokens].append(sum(frame[t] for frame, t in zip(frames, path, strict=True)))
    return {tokens: log_add(*values) for tokens, values in totals.items()}


def search_prefixes(frames: Sequence[Sequence[float]]) -> dict[tuple[int, ...], float]:
    """The same by dynamic programming over prefixes: (ends in blank, ends in token)."""
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in frames:
        following: dict[tuple[int, ...], list[list[float]]] = defaultdict(lambda: [[], []])
        for prefix, (blank, token) in beam.items():
            following[prefix][0].append(log_add(blank, token) + frame[BLANK])
            for symbol in range(1, len(frame)):
                if prefix and symbol == prefix[-1]:
                    following[prefix][1].append(token + frame[symbol])
                    following[(*prefix, symbol)][1].append(blank + frame[symbol])
                else:
                    following[(*prefix, symbol)][1].append(log_add(blank, token) + frame[symbol])
        beam = {
            prefix: (log_add(-math.inf, *blank), log_add(-math.inf, *token))
            for prefix, (blank, token) in following.items()
        }
    return {prefix: log_add(*ends) for prefix, ends in beam.items()}


def score_text(
    text: str,
    model: NGram | None = None,
    *,
    lm_weight: float = 0.0,
    word_score: float = 0.0,
    lexicon: set[str] | None = None,
    hotwords: Mapping[str, float] | None = None,
) -> float:
    """What language model, word score and hotwords say of a text; -inf outside the lexicon."""
    total, state = 0.0, model.start if model else ROOT
    for word in text.split():
        if lexicon is not None and word not in lexicon:
            return -math.inf
        total += word_score + (hotwords or {}).get(word, 0.0)
        if model:
            log_prob, state = model.score(state, model.number(word))
            total += lm_weight * log_prob
    return total + (lm_weight * model.finish(state) if model else 0.0)


def score_tokens(names: Sequence[str], model: NGram, lm_weight: float) -> float:
    """What a language model of tokens says of them."""
    total, state = 0.0, model.start
    for name in names:
        log_prob, state = model.score(state, model.number(name))
        total += log_prob
    return lm_weight * (total + model.finish(state))
