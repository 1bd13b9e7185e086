"""Forced alignment: which frames of an utterance speak which token of a known transcript.

Viterbi search (Viterbi 1967) in the lattice of CTC (Graves et al. 2006, ICML): the same paths that
`ctc_loss` sums over, but the best one alone. Exact at any length: where backpointers of the whole
recording would not fit into memory, only every n-th column is kept and the rest is computed again
from there, so that memory grows with the square root of the number of frames.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from asr.core.padded import Padded
from asr.ctc.loss import BLANK, check_tokens, feasible, min_frames

_POINTER_BYTES = 1 << 27  # backpointers that are held at once, one byte a frame and state


class Alignment(NamedTuple):
    """The best path of one utterance, told by its tokens.

    starts, ends: (U,) int64, token u speaks in frames starts[u] <= t < ends[u]; frames between
        tokens are blank.
    confidences: (U,) mean posterior of a token over its frames, 0 to 1.
    score: natural log of the path's probability.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    confidences: NDArray[np.float64]
    score: float


def align(
    log_probs: Padded,
    tokens: Padded,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Alignment]:
    """Align each utterance of a batch with its tokens; on any device.

    Args:
        log_probs: (B, T, V), the blank is 0; what lies beyond the lengths is never read.
        tokens: (B, U), each in 1..V-1.
        progress: called with frames done and frames in all; long recordings take minutes.

    Raises:
        ValueError: a token is not in the vocabulary, an utterance has too few frames for its
            tokens, or its log-probabilities hold NaN or rule the tokens out.
    """
    check_tokens(tokens, log_probs.values.shape[2])
    _check_feasible(log_probs.lengths, tokens)
    if log_probs.values.shape[1] == 0:
        none = np.zeros(0, dtype=np.int64)
        return [Alignment(none, none, np.zeros(0), 0.0) for _ in range(len(log_probs.values))]
    states = _Lattice(log_probs, tokens).best_states(progress)  # (B, T)
    symbols = tokens.values.new_full((len(states), 2 * tokens.values.shape[1] + 1), BLANK)
    symbols[:, 1::2] = tokens.values * tokens.mask
    path = symbols.gather(1, torch.from_numpy(states).to(symbols.device))  # (B, T)
    scores = log_probs.values.gather(2, path[..., None])[..., 0].double().cpu().numpy()  # (B, T)
    sizes = zip(log_probs.lengths.tolist(), tokens.lengths.tolist(), strict=True)
    return [_spans(states[i, :t], scores[i, :t], u, i) for i, (t, u) in enumerate(sizes)]


def _spans(
    states: NDArray[np.int64], scores: NDArray[np.float64], count: int, row: int
) -> Alignment:
    total = float(scores.sum())
    if not np.isfinite(total):
        raise ValueError(
            f"utterance {row} in the batch cannot be aligned: its log-probabilities "
            + ("hold NaN" if np.isnan(total) else "give every path of its tokens probability zero")
        )
    # States never go back: token u holds the run of state 2 u + 1.
    own = 2 * np.arange(count) + 1
    starts, ends = np.searchsorted(states, own), np.searchsorted(states, own, side="right")
    sums = np.concatenate([[0.0], np.cumsum(np.exp(scores))])
    return Alignment(starts, ends, (sums[ends] - sums[starts]) / (ends - starts), total)


class _Lattice:
    """States 0..2U of each utterance: blank, token 0, blank, token 1, ..., blank.

    A step stays, goes one state on, or skips the blank between two different tokens.
    """

    def __init__(self, log_probs: Padded, tokens: Padded) -> None:
        self.log_probs = log_probs
        size = 2 * tokens.values.shape[1] + 1
        self.symbols = tokens.values.new_full((len(tokens.values), size), BLANK)  # (B, S)
        self.symbols[:, 1::2] = tokens.values * tokens.mask
        self.last = 2 * tokens.lengths  # (B,)
        skips = self.symbols[:, 2:] != self.symbols[:, :-2]  # never to a blank: they are equal
        self.skips = F.pad(skips, (2, 0))[:, :size]  # (B, S)
        # Sums over hours of frames would round in float32.
        kind = log_probs.values.device.type
        self.dtype = torch.float32 if kind == "mps" else torch.float64

    def best_states(self, progress: Callable[[int, int], None]) -> NDArray[np.int64]:
        """(B, T) the state of each frame on the best path; beyond the lengths the last one."""
        frames, held = (
            self.log_probs.values.shape[1],
            max(1, _POINTER_BYTES // self.symbols.numel()),
        )
        block = frames if frames <= held else max(1, min(held, round(frames**0.5)))
        columns = [self._first()]
        starts = range(1, frames, block)
        rounds, done = (len(starts) - 1) * block + frames - 1, 0
        for start in starts[:-1]:
            columns.append(self._run(columns[-1], start, start + block, None))
            progress(done := done + block, rounds)
        states = np.empty((len(self.symbols), frames), dtype=np.int64)
        final, state = columns[-1], None
        for start in reversed(starts):
            end = min(start + block, frames)
            moves = np.empty((end - start, *self.symbols.shape), dtype=np.int8)
            column = self._run(columns.pop(), start, end, moves)
            if state is None:
                final = column
                state = self._end(final)
            for t in range(end - 1, start - 1, -1):
                states[:, t] = state
                state = state - moves[t - start, np.arange(len(state)), state]
            progress(done := done + end - start, rounds)
        states[:, 0] = self._end(final) if state is None else state
        return states

    def _first(self) -> Tensor:
        """(B, S) scores after the first frame: it is in the first blank or the first token."""
        column = self.log_probs.values.new_full(self.symbols.shape, -torch.inf, dtype=self.dtype)
        column[:, :2] = self._emissions(0)[:, :2]
        return column.masked_fill(self.log_probs.lengths[:, None] == 0, 0.0)

    def _emissions(self, t: int) -> Tensor:
        return self.log_probs.values[:, t].gather(1, self.symbols).to(self.dtype)  # (B, S)

    def _run(self, column: Tensor, start: int, end: int, moves: NDArray[np.int8] | None) -> Tensor:
        """Advance over frames start..end-1; keep how each state was reached where `moves` is."""
        kept = []
        for t in range(start, end):
            one = F.pad(column, (1, 0), value=-torch.inf)[:, :-1]
            two = F.pad(column, (2, 0), value=-torch.inf)[:, :-2]
            two = two.masked_fill(~self.skips, -torch.inf)
            best = torch.maximum(column, one)
            real = (t < self.log_probs.lengths)[:, None]
            if moves is not None:
                # Of equal ways the one that stays: the path moved on as early as it could.
                move = (one > column).to(torch.int8).masked_fill(two > best, 2)
                kept.append(move * real)
            best = torch.maximum(best, two) + self._emissions(t)
            column = torch.where(real, best, column)
        if moves is not None:
            moves[:] = torch.stack(kept).cpu().numpy()
        return column

    def _end(self, column: Tensor) -> NDArray[np.int64]:
        """(B,) the better of the last token and the blank behind it."""
        last = self.last[:, None]
        ends = torch.cat([(last - 1).clamp(min=0), last], dim=1)  # (B, 2)
        place = column.gather(1, ends).argmax(dim=1, keepdim=True)
        return ends.gather(1, place)[:, 0].cpu().numpy()


def _check_feasible(lengths: Tensor, tokens: Padded) -> None:
    fits = feasible(lengths, tokens)
    if fits.all():
        return
    row = int((~fits).nonzero()[0])
    own = tokens.values[row, : int(tokens.lengths[row])].tolist()
    raise ValueError(
        f"utterance {row} in the batch cannot be aligned: its {len(own)} tokens need "
        f"{min_frames(own)} frames, and it has {int(lengths[row])}; is this its transcript?"
    )
