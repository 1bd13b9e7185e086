"""A Padded keeps its lengths and is zero beyond them."""

import pytest
import torch

from asr.core.padded import Padded


def test_stack_pads_with_zeros() -> None:
    padded = Padded.stack([torch.ones(3, 2), torch.ones(1, 2)])
    assert padded.values.shape == (2, 3, 2)
    assert padded.lengths.tolist() == [3, 1] and padded.lengths.dtype == torch.int64
    assert padded.mask.tolist() == [[True, True, True], [True, False, False]]
    assert padded.values.sum() == 8


def test_zeroed_clears_what_lies_beyond() -> None:
    dirty = Padded(torch.full((2, 3, 2), float("nan")), torch.tensor([0, 2]))
    dirty.values[1, :2] = 1
    assert dirty.zeroed().values.sum() == 4


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Padded.stack([])
