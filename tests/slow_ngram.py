"""N-gram models as one would write them down first: dictionaries, one formula at a time.

Oracles of `asr.language_model`: Katz's walk down the back-offs, and modified Kneser-Ney from the
formulas of Chen and Goodman (1998). Right for tiny texts only.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from asr.language_model.base import END, START, UNKNOWN, Arpa

Gram = tuple[str, ...]


class SlowNGram:
    """A model as dictionaries: log10 of probabilities and of back-off weights."""

    def __init__(self, arpa: Arpa) -> None:
        self.order = len(arpa.orders)
        self.probs: dict[Gram, float] = {}
        self.backoffs: dict[Gram, float] = {}
        for grams in arpa.orders:
            for words, prob, backoff in zip(*grams, strict=True):
                gram = tuple(arpa.vocabulary[w] for w in words)
                self.probs[gram] = float(prob)
                self.backoffs[gram] = float(backoff)

    def log10(self, history: Gram, word: str) -> float:
        history = history[len(history) - min(self.order - 1, len(history)) :]
        if (word,) not in self.probs:
            word = UNKNOWN
        if (*history, word) in self.probs:
            return self.probs[(*history, word)]
        assert history, f"{word} is no unigram, and there is no {UNKNOWN}"
        return self.backoffs.get(history, 0.0) + self.log10(history[1:], word)

    def score(self, words: Sequence[str]) -> list[float]:
        """log10 of each word of a sentence and of its end."""
        known = [w if (w,) in self.probs else UNKNOWN for w in (START, *words, END)]
        return [self.log10(tuple(known[:i]), known[i]) for i in range(1, len(known))]


class SlowKneserNey:
    """Interpolated modified Kneser-Ney, with cut-offs as lmplz has them."""

    def __init__(
        self,
        sentences: Sequence[Sequence[str]],
        order: int,
        cutoffs: Sequence[int],
        fallback: tuple[float, float, float],
    ) -> None:
        self.order, self.cutoffs = order, cutoffs
        padded = [(START, *s, END) for s in sentences]
        self.words = {UNKNOWN, END, *(w for s in sentences for w in s)}
        self.raw = Counter(g for s in padded for n in range(1, order + 1) for g in grams(s, n))
        before = defaultdict(set)
        for gram in self.raw:
            before[gram[1:]].add(gram[0])
        self.adjusted = {
            g: c if len(g) == order or g[0] == START else len(before[g])
            for g, c in self.raw.items()
            if g != (START,)
        }
        self.discounts = [self._discounts(n, fallback) for n in range(1, order + 1)]

    def _discounts(self, n: int, fallback: tuple[float, float, float]) -> list[float]:
        of = Counter(a for g, a in self.adjusted.items() if len(g) == n)
        if of[1] and of[2] and of[3]:
            y = of[1] / (of[1] + 2 * of[2])
            found = [k - (k + 1) * y * of[k + 1] / of[k] for k in (1, 2, 3)]
            if all(d > 0 for d in found):
                return [0.0, *found]
        return [0.0, *fallback]

    def listed(self, gram: Gram) -> bool:
        return self.raw[gram] > self.cutoffs[len(gram) - 1]

    def prob(self, history: Gram, word: str) -> float:
        """p(word | history), for a history that the text holds."""
        continued = {g: a for g, a in self.adjusted.items() if g[:-1] == history}
        total = sum(continued.values())
        gram = (*history, word)
        lower = self.prob(history[1:], word) if history else 1 / len(self.words)
        if total == 0:
            return lower
        own = 0.0
        if gram in continued and self.listed(gram):
            own = continued[gram] - self._lost(gram)
        return own / total + self.backoff(history) * lower

    def backoff(self, history: Gram) -> float:
        continued = {g: a for g, a in self.adjusted.items() if g[:-1] == history}
        freed = sum(self._lost(g) if self.listed(g) else a for g, a in continued.items())
        return freed / sum(continued.values()) if continued else 1.0

    def _lost(self, gram: Gram) -> float:
        return self.discounts[len(gram) - 1][min(self.adjusted[gram], 3)]


def grams(words: Sequence[str], n: int) -> Iterator[Gram]:
    for i in range(len(words) - n + 1):
        yield tuple(words[i : i + n])


def perplexity(model: SlowNGram, sentences: Sequence[Sequence[str]]) -> tuple[float, float]:
    """With unknown words and without."""
    scored = [
        (w, s)
        for sentence in sentences
        for w, s in zip([*sentence, END], model.score(sentence), strict=True)
    ]
    known = [s for w, s in scored if (w,) in model.probs]
    every = [s for _, s in scored]
    return tuple(10 ** (-math.fsum(x) / len(x)) for x in (every, known))
