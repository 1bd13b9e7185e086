"""Schedules: warm-up from below, the stated shape, no dependence on anything but the place."""

import pytest

from asr.training.schedule import Cosine, Exponential, Noam, Plateau


def test_warm_up_rises_linearly_and_never_starts_at_zero() -> None:
    schedule = Cosine(warmup_steps=9, floor=0.0)
    factors = [schedule(step, 0.0, 10) for step in range(12)]
    assert factors[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert factors[10:] == [1.0, 1.0]


def test_cosine_ends_at_its_floor() -> None:
    schedule = Cosine(warmup_steps=0, floor=0.1)
    assert [schedule(0, e, 4) for e in (0, 2, 4, 5)] == pytest.approx([1, 0.55, 0.1, 0.1])


def test_exponential_divides_each_epoch() -> None:
    schedule = Exponential(warmup_steps=0, anneal=2.0)
    assert [schedule(0, e, 4) for e in (0, 1, 2.0, 3)] == pytest.approx([1, 0.5, 0.25, 0.125])


def test_noam_rises_and_then_falls_with_the_square_root() -> None:
    schedule = Noam(warmup_steps=99)
    best = [schedule(step, 0.0, 10) for step in range(1000)]
    paper = [min((n + 1) ** -0.5, (n + 1) * 100**-1.5) for n in range(1000)]  # without d_model
    assert best == pytest.approx([factor / max(paper) for factor in paper])


def test_a_plateau_multiplies_each_time() -> None:
    schedule = Plateau(warmup_steps=0, factor=0.5, patience=3)
    assert [schedule(9, 1.0, 4, plateaus) for plateaus in range(3)] == [1, 0.5, 0.25]
    assert schedule.patience == 3 and Noam(warmup_steps=1).patience == 0


def test_ranges_are_checked_by_name() -> None:
    with pytest.raises(ValueError, match=r"schedule\.floor"):
        Cosine(warmup_steps=0, floor=2)
    with pytest.raises(ValueError, match=r"schedule\.warmup_steps"):
        Exponential(warmup_steps=-1, anneal=1.1)
    with pytest.raises(ValueError, match=r"schedule\.anneal"):
        Exponential(warmup_steps=1, anneal=0.9)
    with pytest.raises(ValueError, match=r"schedule\.patience"):
        Plateau(warmup_steps=1, factor=0.5, patience=0)
    with pytest.raises(ValueError, match=r"schedule\.factor"):
        Plateau(warmup_steps=1, factor=1.0, patience=1)
