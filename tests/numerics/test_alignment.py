"""Forced alignment equals torchaudio's and enumeration, whatever the batch, padding and memory."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.functional import forced_align, merge_tokens

import asr.ctc.alignment
from asr.core.padded import Padded
from asr.ctc.alignment import Alignment, align
from asr.ctc.loss import ctc_loss, min_frames


@st.composite
def batches(draw, max_tokens=6, max_extra=9, vocabulary=5):
    """Log-probabilities (B, T, V) and tokens that fit into them, some exactly."""
    token = st.integers(1, vocabulary - 1)
    tokens = draw(
        st.lists(st.lists(token, min_size=1, max_size=max_tokens), min_size=1, max_size=4)
    )
    lengths = [min_frames(t) + draw(st.integers(0, max_extra)) for t in tokens]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    sharpness = draw(st.sampled_from([0.3, 2.0, 8.0]))
    logits = sharpness * torch.randn(len(tokens), max(lengths), vocabulary, generator=generator)
    padded = Padded.stack([torch.tensor(t, dtype=torch.int64) for t in tokens])
    return Padded(logits.log_softmax(-1), torch.tensor(lengths)), padded


def own(batch: Padded, row: int) -> torch.Tensor:
    return batch.values[row : row + 1, : int(batch.lengths[row])]


def same(one: Alignment, other: Alignment) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@settings(deadline=None, max_examples=150)
@given(batches(max_tokens=12, max_extra=30))
def test_equals_torchaudio(batch):
    log_probs, tokens = batch
    for row, found in enumerate(align(log_probs, tokens)):
        path, scores = forced_align(own(log_probs, row), own(tokens, row))
        spans = merge_tokens(path[0], scores[0].exp())
        assert found.starts.tolist() == [span.start for span in spans]
        assert found.ends.tolist() == [span.end for span in spans]
        assert found.confidences == pytest.approx([span.score for span in spans], rel=1e-4)
        assert found.score == pytest.approx(float(scores.sum()), rel=1e-5, abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(batches(max_tokens=2, max_extra=2, vocabulary=3))
def test_no_path_is_better(batch):
    log_probs, tokens = batch
    for row, found in enumerate(align(log_probs, tokens)):
        frames, wanted = own(log_probs, row)[0], own(tokens, row)[0].tolist()
        best = max(
            sum(float(frames[t, symbol]) for t, symbol in enumerate(path))
            for path in itertools.product(range(3), repeat=len(frames))
            if [s for s, _ in itertools.groupby(path) if s] == wanted
        )
        assert found.score == pytest.approx(best, abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(batches(), st.integers(1, 40))
def test_batch_padding_and_memory_change_nothing(batch, memory):
    log_probs, tokens = batch
    dirty = torch.nn.functional.pad(log_probs.values, (0, 0, 0, 3), value=7.0)
    dirty[~Padded(dirty, log_probs.lengths).mask] = math.nan
    longer = torch.nn.functional.pad(tokens.values, (0, 2), value=99)
    longer[~Padded(longer, tokens.lengths).mask] = 99
    together = align(Padded(dirty, log_probs.lengths), Padded(longer, tokens.lengths))
    held = asr.ctc.alignment._POINTER_BYTES
    try:
        asr.ctc.alignment._POINTER_BYTES = memory  # backpointers of a few frames at a time
        little = align(log_probs, tokens)
    finally:
        asr.ctc.alignment._POINTER_BYTES = held
    for row, found in enumerate(together):
        one = slice(row, row + 1)
        alone = align(
            Padded(own(log_probs, row), log_probs.lengths[one]),
            Padded(own(tokens, row), tokens.lengths[one]),
        )
        assert same(found, alone[0]) and same(found, little[row])


@settings(deadline=None, max_examples=40)
@given(batches())
def test_the_best_path_is_a_part_of_the_loss(batch):
    log_probs, tokens = batch
    for loss, found in zip(ctc_loss(log_probs, tokens), align(log_probs, tokens), strict=True):
        assert -found.score >= float(loss) - 1e-4
        assert (found.ends > found.starts).all() and (found.starts[1:] >= found.ends[:-1]).all()
        assert ((found.confidences > 0) & (found.confidences <= 1 + 1e-6)).all()


def test_progress_covers_every_frame_and_ends_full():
    log_probs = Padded(torch.randn(1, 300, 5).log_softmax(-1), torch.tensor([300]))
    tokens = Padded(torch.tensor([[1, 2, 3]]), torch.tensor([3]))
    held, seen = asr.ctc.alignment._POINTER_BYTES, []
    try:
        asr.ctc.alignment._POINTER_BYTES = 7 * 40
        align(log_probs, tokens, lambda done, total: seen.append((done, total)))
    finally:
        asr.ctc.alignment._POINTER_BYTES = held
    assert len(seen) > 10 and seen == sorted(seen) and seen[-1][0] == seen[-1][1]


def test_silence_and_nothing():
    log_probs = Padded(torch.randn(3, 4, 5).log_softmax(-1), torch.tensor([4, 0, 2]))
    tokens = Padded(torch.zeros(3, 0, dtype=torch.int64), torch.tensor([0, 0, 0]))
    blank, nothing, _ = align(log_probs, tokens)
    assert blank.score == pytest.approx(float(log_probs.values[0, :, 0].sum()), rel=1e-6)
    assert nothing.score == 0 and len(nothing.starts) == 0
    empty = align(
        Padded(torch.zeros(2, 0, 5), log_probs.lengths[1:2].repeat(2)),
        Padded(*(x[:2] for x in tokens)),
    )
    assert [a.score for a in empty] == [0, 0]


def test_what_cannot_be_aligned_is_told_so():
    values = torch.randn(2, 4, 5).log_softmax(-1)
    log_probs = Padded(values, torch.tensor([4, 3]))
    tokens = Padded(torch.tensor([[1, 2], [3, 3]]), torch.tensor([2, 2]))
    align(log_probs, tokens)
    with pytest.raises(ValueError, match=r"utterance 1 .* 2 tokens need 3 frames, and it has 2"):
        align(Padded(values, torch.tensor([4, 2])), tokens)
    with pytest.raises(ValueError, match=r"token 0 of utterance 0 .* is the blank"):
        align(log_probs, Padded(torch.tensor([[0, 2], [3, 3]]), tokens.lengths))
    spoilt = values.clone()
    spoilt[1, 2] = math.nan
    with pytest.raises(ValueError, match=r"utterance 1 .* hold NaN"):
        align(Padded(spoilt, log_probs.lengths), tokens)
    spoilt[1] = torch.tensor([0.0, *[-math.inf] * 4])
    with pytest.raises(ValueError, match=r"utterance 1 .* probability zero"):
        align(Padded(spoilt, log_probs.lengths), tokens)
