"""The estimator equals the formulas, sums to one, and equals KenLM's lmplz."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from slow_ngram import SlowKneserNey, SlowNGram, perplexity

from asr.language_model.arpa import read_arpa
from asr.language_model.base import END, START, UNKNOWN, Arpa
from asr.language_model.counts import Counts, count_text
from asr.language_model.estimate import Estimate, estimate
from asr.language_model.ngram import NGram
from asr.language_model.sentences import Units, read_sentences

FALLBACK = (0.5, 1.0, 1.5)


def random_sentences(seed: int, words: int = 5, count: int = 60) -> list[list[str]]:
    """Words of very different frequency, one word often; sentences of one word to six."""
    rng = np.random.default_rng([seed])
    frequency = 1 / np.arange(1, words + 1) ** 1.5
    lengths = [6, *rng.integers(1, 7, count - 1)]
    drawn = [rng.choice(words, n, p=frequency / frequency.sum()) for n in lengths]
    return [[f"w{w}" for w in sentence] for sentence in drawn]


@pytest.fixture
def counted(tmp_path: Path) -> Callable[..., Counts]:
    def count(sentences: list[list[str]], order: int, **options: object) -> Counts:
        path = tmp_path / "text.txt"
        path.write_text("".join(" ".join(s) + "\n" for s in sentences))
        return count_text([path], order, Units(), **options)

    return count


def listed(arpa: Arpa) -> dict[tuple[str, ...], tuple[float, float]]:
    return {
        tuple(arpa.vocabulary[w] for w in words): (float(prob), float(backoff))
        for grams in arpa.orders
        for words, prob, backoff in zip(*grams, strict=True)
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("order", "cutoffs"),
    [(1, [0]), (2, [0, 0]), (3, [0, 0, 0]), (4, [0, 0, 0, 0]), (5, [0] * 5),
     (3, [0, 0, 1]), (3, [0, 1, 2]), (4, [0, 0, 1, 1]), (5, [0, 1, 1, 2, 3])],
)  # fmt: skip
def test_it_equals_the_formulas(
    order: int, cutoffs: list[int], seed: int, counted: Callable[..., Counts]
) -> None:
    sentences = random_sentences(seed)
    slow = SlowKneserNey(sentences, order, cutoffs, FALLBACK)
    found = estimate(counted(sentences, order), prune=cutoffs, discount_fallback=FALLBACK)
    for ours, theirs in zip(found.discounts, slow.discounts, strict=True):
        assert ours[:3] == pytest.approx(theirs[1:])
    entries = listed(found.arpa)
    expected = {g for g in slow.raw if slow.listed(g)} | {(UNKNOWN,)}
    assert entries.keys() == expected
    for gram, (prob, backoff) in entries.items():
        if gram != (START,):
            assert prob == pytest.approx(np.log10(slow.prob(gram[:-1], gram[-1])), abs=2e-6), gram
        if len(gram) < order:
            assert backoff == pytest.approx(np.log10(slow.backoff(gram)), abs=2e-6), gram


def histories(model: SlowNGram) -> list[tuple[str, ...]]:
    listed = {g for g in model.probs if len(g) < model.order and g[-1] != END}
    return sorted(listed | {g[1:] for g in listed} | {("w0", "w4", "w3", "w2")})


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "options",
    [{}, {"prune": [0, 0, 1]}, {"entropy_threshold": 0.003},
     {"prune": [0, 1, 1, 2], "entropy_threshold": 0.001}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("limit", [{}, {"min_count": 8}], ids=str)
def test_probabilities_sum_to_one(
    options: dict, limit: dict, seed: int, counted: Callable[..., Counts]
) -> None:
    counts = counted(random_sentences(seed, words=9), 4, **limit)
    found = estimate(counts, discount_fallback=FALLBACK, **options)
    if "entropy_threshold" in options:
        assert 0 < found.kept[3] < found.after_cutoffs[3] and found.kept[1] > 0
    model = SlowNGram(found.arpa)
    words = [w for w in found.arpa.vocabulary if w != START]
    for history in histories(model):
        total = sum(10 ** model.log10(history, w) for w in words)
        assert total == pytest.approx(1, abs=2e-6), history


def test_pruning_leaves_out_what_matters_least(counted: Callable[..., Counts]) -> None:
    """An n-gram's worth is the divergence of the two distributions after its history."""
    counts = counted(random_sentences(1, words=6), 2)
    whole = estimate(counts, discount_fallback=FALLBACK).arpa
    model = SlowNGram(whole)
    words = [w for w in whole.vocabulary if w != START]
    worth = {}
    for history, word in (g for g in model.probs if len(g) == 2):
        before = {w: 10 ** model.log10((history,), w) for w in words}
        short = {w: 10 ** model.log10((), w) for w in words}
        explicit = {w for w in words if (history, w) in model.probs} - {word}
        weight = (1 - sum(before[w] for w in explicit)) / (1 - sum(short[w] for w in explicit))
        after = {w: before[w] if w in explicit else weight * short[w] for w in words}
        divergence = sum(before[w] * np.log(before[w] / after[w]) for w in words)
        often = 10 ** model.probs[(END if history == START else history,)]
        worth[history, word] = np.expm1(often * divergence)
    ranked = sorted(worth.values())
    for place in (0, len(ranked) // 3, len(ranked) // 2, len(ranked) - 1):
        threshold = ranked[place] * 1.0001
        pruned = estimate(counts, entropy_threshold=threshold, discount_fallback=FALLBACK).arpa
        kept = {g for g in listed(pruned) if len(g) == 2}
        assert kept == {g for g, value in worth.items() if value >= threshold}


def test_pruned_models_hold_what_they_are_asked(counted: Callable[..., Counts]) -> None:
    found = estimate(counted(random_sentences(2), 4), entropy_threshold=0.002,
                     discount_fallback=FALLBACK)  # fmt: skip
    entries = listed(found.arpa)
    assert all(gram[:-1] in entries for gram in entries if len(gram) > 1)
    before = listed(estimate(counted(random_sentences(2), 4), discount_fallback=FALLBACK).arpa)
    assert all(before[gram][0] == prob for gram, (prob, _) in entries.items())


def test_perplexity_equals_the_slow_walk(counted: Callable[..., Counts]) -> None:
    arpa = estimate(counted(random_sentences(3), 3), discount_fallback=FALLBACK).arpa
    test = [*random_sentences(4), ["w0", "new", "w1"], []]
    found = NGram.from_arpa(arpa).perplexity(test)
    assert found[:2] == pytest.approx(perplexity(SlowNGram(arpa), test), rel=1e-5)
    assert (found.unknown, found.tokens) == (1, sum(len(s) + 1 for s in test))


@pytest.fixture(scope="module")
def trigrams(shared_data: Path) -> Estimate:
    counts = count_text([shared_data / "decoding" / "lm_train.txt.gz"], 3, Units())
    return estimate(counts)


def test_every_entry_equals_lmplz(shared_data: Path, trigrams: Estimate) -> None:
    theirs = read_arpa(shared_data / "decoding" / "lm_3gram.arpa.gz")
    ours = trigrams.arpa
    assert ours.vocabulary == theirs.vocabulary
    for mine, other in zip(ours.orders, theirs.orders, strict=True):
        a, b = (np.lexsort(grams.words.T) for grams in (mine, other))
        np.testing.assert_array_equal(mine.words[a], other.words[b])
        np.testing.assert_allclose(mine.log10_probs[a], other.log10_probs[b], atol=1e-6)
        np.testing.assert_allclose(mine.log10_backoffs[a], other.log10_backoffs[b], atol=1e-6)


def test_perplexity_equals_lmplz(shared_data: Path, trigrams: Estimate) -> None:
    test = list(read_sentences([shared_data / "decoding" / "lm_test.txt"], Units()))
    found = NGram.from_arpa(trigrams.arpa).perplexity(test)
    assert (found.unknown, found.tokens) == (20, 5284)
    assert found.without_unknown == pytest.approx(129.6, abs=0.05)
