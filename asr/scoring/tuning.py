"""The search for a decoder's weights: log-probabilities of a development set, decoded many times.

Trials are proposed by the tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS), as
Optuna has it. Nothing in it is timed, so that a seed gives the same trials everywhere, whatever
the number of threads.
"""

import difflib
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor

from asr.core.padded import Padded
from asr.corpus.manifest import Utterance
from asr.decoder.base import Decoder
from asr.scoring.error_rate import ErrorCounts, batch_character_errors, batch_word_errors
from asr.scoring.interval import paired_interval

Options = Mapping[str, Any]
Space = Mapping[str, FloatDistribution | IntDistribution]

_FRAMES = 1 << 16  # of a batch, padding included: bounds the memory
_CER_SHARE = 1e-6  # of the objective: settles ties, and never outweighs a word


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of the searched options, and the errors of each utterance under it."""

    options: Options
    words: tuple[ErrorCounts, ...]
    characters: tuple[ErrorCounts, ...]

    @property
    def wer(self) -> ErrorCounts:
        """Pooled word errors."""
        return sum(self.words, ErrorCounts(0, 0, 0, 0))

    @property
    def cer(self) -> ErrorCounts:
        """Pooled character errors."""
        return sum(self.characters, ErrorCounts(0, 0, 0, 0))

    @property
    def rank(self) -> tuple[float, float, float]:
        """Less is better: by words, then by characters, then the weaker language model."""
        return self.wer.rate, self.cer.rate, self.options.get("lm_weight") or 0.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a search found. trials: in their order; the first is the configuration as given."""

    greedy: Trial
    trials: tuple[Trial, ...]
    speakers: tuple[str | None, ...]

    @property
    def untuned(self) -> Trial:
        """The configuration that the search began with."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The best trial, of equals the first."""
        return min(self.trials, key=lambda trial: trial.rank)

    def gain(self, other: Trial) -> tuple[float, float, float]:
        """By how much the best WER is below another's, and the 95 % interval of that.

        The interval is over speakers where they are known. The same speech chose the best trial,
        so that all three flatter a little.
        """
        low, high = paired_interval(self.best.words, other.words, self.speakers)
        return other.wer.rate - self.best.wer.rate, low, high


def search_space(
    decoder: Decoder, options: Options, ranges: Mapping[str, Sequence[float] | None]
) -> Space:
    """Ranges of a decoder's options as distributions; whole numbers where the option is an int.

    Args:
        decoder: whose constructor says which options there are, and of which type.
        options: that it was built with.
        ranges: option -> [low, high]; one that is None is not searched.

    Raises:
        ValueError: nothing to search, an option that is none, is no number or has no effect, or
            no range.
    """
    searched = {name: ends for name, ends in ranges.items() if ends is not None}
    if not searched:
        raise ValueError("search: nothing to search; name options and their ranges")
    if "lm_weight" in searched and options.get("lm", "") is None:
        raise ValueError(
            "search.lm_weight weighs nothing without a language model: name one with "
            "decoder.lm=FILE, or do not search it: search.lm_weight=null"
        )
    hints = typing.get_type_hints(type(decoder).__init__)
    space: dict[str, FloatDistribution | IntDistribution] = {}
    for name, ends in searched.items():
        kinds = {hints.get(name), *typing.get_args(hints.get(name))}
        if not kinds & {int, float}:
            near = difflib.get_close_matches(name, hints, n=1)
            raise ValueError(
                f"search.{name}: decoder={type(decoder).__name__.lower()} has no such number"
                + (f"; did you mean {near[0]}?" if near and near[0] != name else "")
            )
        whole = float not in kinds
        good = isinstance(ends, Sequence) and len(ends) == 2
        if not good or not all(_is_number(end, whole) for end in ends) or ends[0] >= ends[1]:
            kind = "whole numbers" if whole else "numbers"
            raise ValueError(f"search.{name}={ends} must be [low, high], two {kind}, low < high")
        low, high = ends
        space[name] = (
            IntDistribution(int(low), int(high)) if whole else FloatDistribution(low, high)
        )
    return space


def tune(
    decode: Callable[[Options], Decoder],
    greedy: Decoder,
    log_probs: Sequence[Tensor],
    utterances: Sequence[Utterance],
    *,
    start: Options,
    space: Space,
    trials: int,
    seed: int,
    progress: Callable[[int, str], object] = lambda count, said: None,
) -> Tuning:
    """Decode the same log-probabilities under many settings.

    Args:
        decode: makes the decoder of a setting of the searched options.
        greedy: the decoder that all is held against.
        log_probs: (T', V) of each utterance.
        utterances: what was said, and by whom.
        start: the options to begin with, of which those of `space` count; they may lie outside
            their ranges.
        space: of the search; see `search_space`.
        trials: how many settings to try, the first included; Ctrl-C ends the search earlier.
        seed: of the search; the same seed gives the same trials.
        progress: called after each trial with 1 and what the best so far is.

    Raises:
        ValueError: fewer than one trial, a setting that the decoder refuses, or no reference with
            words in it.
    """
    if trials < 1:
        raise ValueError(f"trials={trials} must be at least 1")
    references = [u.text for u in utterances]
    if not any(reference.split() for reference in references):
        raise ValueError("there is nothing to tune on: every reference is empty")
    start = {name: start[name] for name in space}
    # What the decoder refuses at an end of a range it refuses now, not in the middle of a search.
    for name, distribution in space.items():
        for end in (distribution.low, distribution.high):
            decode({**start, name: end})
    baseline = _run(greedy, {}, log_probs, references)
    done: list[Trial] = []

    def attempt(options: Options) -> float:
        done.append(_run(decode(options), options, log_probs, references))
        best = min(done, key=lambda trial: trial.rank)
        progress(1, f"searching, best WER {100 * best.wer.rate:.2f} %")
        return done[-1].wer.rate + _CER_SHARE * done[-1].cer.rate

    study = _study(seed)
    value = attempt(start)
    if all(_is_inside(start[name], distribution) for name, distribution in space.items()):
        first = optuna.trial.create_trial(
            params=dict(start), distributions=dict(space), value=value
        )
        study.add_trial(first)
    with suppress(KeyboardInterrupt):  # what was tried until then is an answer too
        for _ in range(trials - 1):
            asked = study.ask(dict(space))
            study.tell(asked, attempt({name: _rounded(x) for name, x in asked.params.items()}))
    return Tuning(baseline, tuple(done), tuple(u.speaker for u in utterances))


def _study(seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # `multivariate` is experimental in Optuna 4, and in 5 what it does anyway.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    return optuna.create_study(direction="minimize", sampler=sampler)


def _run(
    decoder: Decoder, options: Options, log_probs: Sequence[Tensor], references: Sequence[str]
) -> Trial:
    texts = [""] * len(log_probs)
    for batch in _batches([len(values) for values in log_probs]):
        best = decoder(Padded.stack([log_probs[i] for i in batch]))  # (B, T', V)
        for i, hypotheses in zip(batch, best, strict=True):
            texts[i] = hypotheses[0].text
    words = batch_word_errors(references, texts)
    return Trial(options, tuple(words), tuple(batch_character_errors(references, texts)))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices, the longest first, as many at a time as a batch may hold frames."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > _FRAMES:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _is_number(value: object, whole: bool) -> bool:
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)


def _is_inside(value: Any, distribution: FloatDistribution | IntDistribution) -> bool:
    whole = isinstance(distribution, IntDistribution)
    return _is_number(value, whole) and bool(distribution.low <= value <= distribution.high)


def _rounded(value: float) -> float:
    """To four digits, which decide no word and are what a person would write."""
    return value if isinstance(value, int) else float(f"{value:.4g}")
