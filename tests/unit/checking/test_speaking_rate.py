"""Implausible rates: against the corpus's own, and nothing more once they are left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.checking.speaking_rate import Rates, speaking_rates


def found(
    characters: NDArray[np.int32], seconds: NDArray[np.float32],
    kept: NDArray[np.bool_] | None = None, *, removes: bool = True, deviations: float = 4.0,
) -> Rates:  # fmt: skip
    usable = (characters > 0) & (seconds > 0)
    return speaking_rates(
        characters, seconds, usable, usable if kept is None else kept & usable,
        slowest=1, fastest=40, deviations=deviations, removes=removes,
    )  # fmt: skip


def corpus(count: int = 500, seed: int = 1) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(1, 10, count)
    characters = np.rint(seconds * np.exp(rng.normal(np.log(14), 0.18, count)))
    return characters.astype(np.int32), seconds.astype(np.float32)


def test_a_swapped_transcript_is_found_and_the_worst_comes_first() -> None:
    characters, seconds = corpus()
    assert len(found(characters, seconds).index) == 0
    characters[[3, 77, 200]] = np.rint(seconds[[3, 77, 200]] * [35, 50, 3])
    rates = found(characters, seconds)
    assert rates.index.tolist() == [200, 77, 3]
    assert rates.usual == pytest.approx(14, rel=0.05)
    assert rates.lowest < 8 < 25 < rates.highest


def test_a_regular_corpus_allows_for_some_haste() -> None:
    seconds = np.full(100, 2.0, np.float32)
    characters = np.full(100, 28, np.int32)
    characters[:3] = [45, 70, 12]
    assert found(characters, seconds).index.tolist() == [1, 2]


def test_few_utterances_are_held_against_all_languages() -> None:
    seconds = np.full(10, 1.0, np.float32)
    characters = np.array([4, 39, 41, 1, 20, 20, 20, 20, 20, 20], np.int32)
    assert found(characters, seconds).index.tolist() == [2]


def test_without_text_or_sound_there_is_no_rate() -> None:
    characters, seconds = corpus()
    characters[4], seconds[9] = 0, np.nan
    rates = found(characters, seconds)
    assert np.isnan(rates.rates[[4, 9]]).all() and len(rates.index) == 0


def test_what_has_another_fault_does_not_tell_what_is_usual() -> None:
    characters, seconds = corpus(100)
    kept = np.ones(100, bool)
    kept[:60] = False
    characters[:60] *= 5
    rates = found(characters, seconds, kept)
    assert rates.usual == pytest.approx(14, rel=0.1)
    assert set(rates.index.tolist()) == set(range(60))


@given(st.integers(0, 10_000), st.floats(0.5, 3), st.floats(0.2, 1.5))
def test_what_stays_is_plausible(seed: int, deviations: float, spread: float) -> None:
    """However long the tails are: each removal narrows what is usual for the rest."""
    rng = np.random.default_rng(seed)
    seconds = np.full(200, 10.0, np.float32)
    characters = np.rint(np.exp(5 + spread * rng.standard_t(2, 200)).clip(1, 1e6)).astype(np.int32)
    gone = found(characters, seconds, deviations=deviations).index
    stays = np.setdiff1d(np.arange(200), gone)
    again = found(characters[stays], seconds[stays], deviations=deviations)
    assert len(again.index) == 0


def test_a_warning_removes_nothing() -> None:
    rng = np.random.default_rng(1)
    seconds = np.full(200, 10.0, np.float32)
    characters = np.rint(np.exp(5 + rng.standard_t(2, 200)).clip(1, 1e6)).astype(np.int32)
    warned = found(characters, seconds, removes=False, deviations=2.0)
    removed = found(characters, seconds, removes=True, deviations=2.0)
    assert set(warned.index.tolist()) < set(removed.index.tolist())
