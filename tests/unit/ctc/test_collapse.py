"""Collapsing a path: repeats merge, blanks vanish, padding is not read."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.core.padded import Padded
from asr.ctc.collapse import collapse

PATHS = st.lists(st.lists(st.integers(0, 3), max_size=12), min_size=1, max_size=4)


def slow_collapse(path: list[int], blank: int) -> tuple[list[int], list[int]]:
    runs = [list(run) for _, run in itertools.groupby(enumerate(path), key=lambda pair: pair[1])]
    starts = [run[0] for run in runs if run[0][1] != blank]
    return [symbol for _, symbol in starts], [frame for frame, _ in starts]


@given(PATHS, st.integers(0, 3), st.integers(0, 3))
def test_equals_run_by_run(paths, blank, junk):
    batch = Padded.stack([torch.tensor(p, dtype=torch.int64) for p in paths])
    dirty = batch.values.masked_fill(~batch.mask, junk)
    tokens, frames = collapse(dirty, batch.lengths, blank)
    expected = [slow_collapse(path, blank) for path in paths]
    assert list(zip(tokens, frames, strict=True)) == expected


def test_a_blank_between_equal_symbols_keeps_both():
    tokens, frames = collapse(torch.tensor([[0, 1, 1, 0, 1, 2, 2]]), torch.tensor([7]))
    assert tokens == [[1, 1, 2]]
    assert frames == [[1, 4, 5]]
