"""A batch holds each waveform as it was, and zeros beyond it."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.core.padded import Padded
from asr.data.batch import Example, collate


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_waveforms_are_padded_with_zeros(lengths: list[int]) -> None:
    waveforms = [torch.full((length,), float(i + 1)) for i, length in enumerate(lengths)]
    np.full(6 * 60, np.nan, dtype=np.float32)  # what memory that is used again may hold
    batch = collate([Example("a", w, torch.tensor([1]), "a", 0) for w in waveforms])
    expected = Padded.stack(waveforms)
    assert torch.equal(batch.waveforms.values, expected.values)
    assert torch.equal(batch.waveforms.lengths, expected.lengths)
