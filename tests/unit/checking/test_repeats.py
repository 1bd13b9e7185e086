"""What occurs twice, against the definition applied to each pair."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr.checking.repeats import across, copies

ROWS = st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=25)  # key, text, side


def columns(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.uint64), table[:, 1].astype(np.uint64), table[:, 2]


@given(ROWS)
def test_across_sides(rows: list[tuple[int, int, int]]) -> None:
    keys, _, sides = columns(rows)
    expected = {}
    for i, (key, _, side) in enumerate(rows):
        others = [j for j, (k, _, s) in enumerate(rows) if k == key and s > side]
        if key and others:
            expected[i] = others[0]
    found = across(keys, sides)
    assert dict(zip(found.index.tolist(), found.other.tolist(), strict=True)) == expected
    assert found.index.tolist() == sorted(expected)


@given(ROWS)
def test_copies_within_a_side(rows: list[tuple[int, int, int]]) -> None:
    keys, texts, sides = columns(rows)
    duplicates, contradictions = {}, {}
    for i, (key, text, side) in enumerate(rows):
        group = [j for j, (k, _, s) in enumerate(rows) if (k, s) == (key, side)]
        others = [j for j in group if rows[j][1] != text]
        if key and others:
            contradictions[i] = others[0]
        elif key and i != group[0]:
            duplicates[i] = group[0]
    same, different = copies(keys, texts, sides)
    assert dict(zip(same.index.tolist(), same.other.tolist(), strict=True)) == duplicates
    assert dict(zip(different.index.tolist(), different.other.tolist(), strict=True)) == (
        contradictions
    )


def test_a_million_of_one_kind_are_no_million_squared() -> None:
    keys = np.full(1_000_000, 7, np.uint64)
    sides = np.arange(1_000_000) % 3
    assert len(across(keys, sides).index) == 666_667
    assert len(copies(keys, keys, sides)[0].index) == 999_997
