"""Schedules: warm-up from below, the stated shape, no dependence on anything but the place."""

import pytest

from asr.training.schedule import Cosine, Exponential


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


def test_ranges_are_checked_by_name() -> None:
    with pytest.raises(ValueError, match=r"schedule\.floor"):
        Cosine(warmup_steps=0, floor=2)
    with pytest.raises(ValueError, match=r"schedule\.warmup_steps"):
        Exponential(warmup_steps=-1, anneal=1.1)
    with pytest.raises(ValueError, match=r"schedule\.anneal"):
        Exponential(warmup_steps=1, anneal=0.9)
