"""The search: it finds what is best, by a rule for ties, the same from the same seed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from asr.core.padded import Padded
from asr.corpus.manifest import Utterance
from asr.decoder.base import Decoder, Hypothesis
from asr.decoder.greedy import Greedy
from asr.scoring.error_rate import ErrorCounts
from asr.scoring.interval import paired_interval
from asr.scoring.tuning import Trial, Tuning, search_space, tune
from asr.tokenizer.char import Char

TOKENIZER = Char(" ab")
# Utterance i is of i + 1 frames, and says so in as many words.
SPOKEN = [Utterance(f"u{i}", "", 1.0, "a" + " a" * i, f"s{i % 3}") for i in range(30)]


class Dial(Decoder):
    """Hears utterance i rightly if both dials are near enough to (0.7, 12), else no more than b."""

    def __init__(
        self, tokenizer: Char, *, lm: str | None, lm_weight: float, beam_size: int | None
    ) -> None:
        super().__init__(tokenizer)
        self.lm, self.lm_weight, self.beam_size = lm, lm_weight, beam_size

    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        distance = abs(self.lm_weight - 0.7) + abs((self.beam_size or 0) - 12) / 50
        texts = [
            "a" + " a" * (n - 1) if distance < n / 30 else "b" for n in log_probs.lengths.tolist()
        ]
        return [[Hypothesis(text, (), 0.0, ())] for text in texts]


OPTIONS: dict[str, Any] = {"lm": "lm.arpa", "lm_weight": 1.5, "beam_size": 40}
RANGES: dict[str, Any] = {"lm_weight": [0, 2], "beam_size": [1, 60]}
LOG_PROBS = [torch.randn(i + 1, 4).log_softmax(-1) for i in range(len(SPOKEN))]


def dial(**options: Any) -> Dial:
    return Dial(TOKENIZER, **(OPTIONS | options))


def search(make: Callable[..., Decoder] = dial, **options: Any) -> Tuning:
    ranges = options.pop("ranges", RANGES)
    start = OPTIONS | options.pop("start", {})
    return tune(
        lambda setting: make(**setting), Greedy(TOKENIZER), LOG_PROBS,
        options.pop("utterances", SPOKEN), start=start,
        space=search_space(dial(), OPTIONS, ranges), **{"trials": 60, "seed": 1} | options,
    )  # fmt: skip


def test_it_finds_the_best_and_counts_rightly() -> None:
    said: list[str] = []
    found = search(progress=lambda count, what: said.extend([what] * count))
    assert len(found.trials) == 60 == len(said)
    assert found.untuned.options == {"lm_weight": 1.5, "beam_size": 40}
    # The first setting is 1.36 off, so that nothing is heard; of u0 only its word is a chance.
    assert found.untuned.wer.rate == 1 and found.greedy.wer.rate > 0.5
    assert found.best.wer.rate < 0.02
    assert found.best.wer.rate == min(t.wer.rate for t in found.trials)
    assert said[0].endswith("100.00 %") and f"{100 * found.best.wer.rate:.2f} %" in said[-1]
    # A search that learns is better than its own random beginning.
    begun, late = found.trials[1:11], found.trials[40:]
    assert sum(t.wer.rate for t in late) / 20 < 0.7 * sum(t.wer.rate for t in begun) / 10
    assert all(isinstance(t.options["beam_size"], int) for t in found.trials)
    assert all(0 <= t.options["lm_weight"] <= 2 for t in found.trials)
    assert all(len(f"{t.options['lm_weight']:.10g}") <= 9 for t in found.trials)


def test_the_gain_is_that_of_the_counts() -> None:
    found = search(trials=20)
    speakers = [u.speaker for u in SPOKEN]
    gain, low, high = found.gain(found.untuned)
    assert gain == found.untuned.wer.rate - found.best.wer.rate > 0
    assert (low, high) == paired_interval(found.best.words, found.untuned.words, speakers)
    assert found.gain(found.best) == (0, 0, 0)


def test_the_same_seed_gives_the_same_trials() -> None:
    assert search(trials=25) == search(trials=25)
    assert search(trials=25, seed=2).trials[1:] != search(trials=25).trials[1:]


def test_the_first_setting_may_lie_outside_the_ranges() -> None:
    for start in ({"beam_size": None}, {"lm_weight": 9.0}):
        found = search(start=start, trials=15)
        assert found.untuned.options.items() >= start.items()
        assert len(found.trials) == 15


def test_one_trial_is_the_setting_itself() -> None:
    found = search(trials=1)
    assert found.best is found.untuned and found.trials == (found.untuned,)


def test_ties_go_to_fewer_characters_then_to_the_weaker_model() -> None:
    def trial(weight: float, words: int, characters: int) -> Trial:
        counts = (ErrorCounts(words, 0, 0, 10),), (ErrorCounts(characters, 0, 0, 50),)
        return Trial({"lm_weight": weight}, *counts)

    def best(*trials: Trial) -> Trial:
        return Tuning(trials[0], trials, (None,)).best

    worse = trial(0.1, 3, 0)
    assert best(worse, trial(0.8, 2, 9), trial(0.9, 2, 8)).options == {"lm_weight": 0.9}
    tied = trial(0.5, 2, 8)
    assert best(worse, trial(0.9, 2, 8), tied, trial(0.5, 2, 8)) is tied


def test_every_utterance_keeps_its_place_in_large_batches() -> None:
    long = [torch.zeros(n, 4) for n in (20_000, 1, 30_000, 40_000, 2, 50_000)]
    spoken = [Utterance(f"u{i}", "", 1.0, "b" if i != 1 else "a") for i in range(6)]
    seen: list[int] = []

    class Measured(Dial):
        def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
            seen.append(log_probs.values.shape[0] * log_probs.values.shape[1])
            lengths = log_probs.lengths.tolist()
            return [[Hypothesis("a" if n == 1 else "b", (), 0.0, ())] for n in lengths]

    found = tune(
        lambda setting: Measured(TOKENIZER, **(OPTIONS | setting)), Greedy(TOKENIZER), long,
        spoken, start=OPTIONS, trials=1, seed=0,
        space=search_space(dial(), OPTIONS, {"lm_weight": [0, 1]}),
    )  # fmt: skip
    assert found.best.wer.errors == 0
    assert max(seen) <= 1 << 16 and len(seen) == 4


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({}, "nothing to search"),
        ({"lm_weight": None}, "nothing to search"),
        ({"lm_wieght": [0, 1]}, "did you mean lm_weight"),
        ({"lm": [0, 1]}, r"search\.lm: decoder=dial has no such number"),
        ({"lm_weight": [1, 0]}, "low < high"),
        ({"lm_weight": [1, 1]}, "low < high"),
        ({"lm_weight": [1, 2, 3]}, r"\[low, high\]"),
        ({"lm_weight": 3}, r"\[low, high\]"),
        ({"lm_weight": [False, True]}, "two numbers"),
        ({"beam_size": [1, 2.5]}, "two whole numbers"),
    ],
)
def test_ranges_that_are_none(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search_space(dial(), OPTIONS, ranges)


def test_a_weight_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"decoder\.lm=FILE"):
        search_space(dial(), OPTIONS | {"lm": None}, RANGES)
    space = search_space(dial(), OPTIONS | {"lm": None}, {"beam_size": [1, 2], "lm_weight": None})
    assert list(space) == ["beam_size"]


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="trials=0"):
        search(trials=0)
    with pytest.raises(ValueError, match="every reference is empty"):
        search(utterances=[Utterance(f"u{i}", "", 1.0, " ") for i in range(30)])


def test_what_the_decoder_refuses_it_refuses_before_the_search() -> None:
    made: list[Any] = []

    def picky(**options: Any) -> Dial:
        made.append(options)
        if options["beam_size"] > 50:
            raise ValueError("beam_size is at most 50")
        return dial(**options)

    with pytest.raises(ValueError, match="at most 50"):
        search(picky, progress=lambda count, said: pytest.fail("it began"))
    assert made[-1]["beam_size"] == 60
