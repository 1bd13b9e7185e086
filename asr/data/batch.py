"""A batch: what the loader's workers hand to the trainer."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asr.core.padded import Padded


class Example(NamedTuple):
    """One utterance, read. waveform: (N,) float32. tokens: (U,) int64. seed: its randomness."""

    id: str
    waveform: Tensor
    tokens: Tensor
    text: str
    seed: int


class Batch(NamedTuple):
    """Utterances side by side: waveforms (B, N), tokens (B, U), seeds (B,) int64 on the CPU.

    A rank that gets no utterance of a batch still has to take part in it: its tensors then hold
    one utterance without samples and tokens, which weighs nothing, and ids and texts are empty.

    unreadable: of utterances that belong here but could not be read: their places in the plan's
    batch, and why, with their names.
    """

    ids: tuple[str, ...]
    waveforms: Padded
    tokens: Padded
    texts: tuple[str, ...]
    seeds: Tensor
    unreadable: tuple[tuple[int, str], ...] = ()

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device; seeds stay, because masks are drawn on the CPU."""
        return self._replace(
            waveforms=self.waveforms.to(device, non_blocking=True),
            tokens=self.tokens.to(device, non_blocking=True),
        )

    def halves(self) -> "list[Batch]":
        """The batch in two, for where it is too large as one; of at least two utterances."""
        return [
            self._replace(
                ids=self.ids[i::2],
                waveforms=_rows(self.waveforms, i),
                tokens=_rows(self.tokens, i),
                texts=self.texts[i::2],
                seeds=self.seeds[i::2],
                unreadable=self.unreadable if i == 0 else (),
            )
            for i in (0, 1)
        ]


def _rows(padded: Padded, start: int) -> Padded:
    """Every second sequence, padded no longer than needed."""
    lengths = padded.lengths[start::2]
    return Padded(padded.values[start::2, : int(lengths.max())], lengths)


def collate(examples: Sequence[Example | ValueError]) -> Batch:
    """Pad examples to one batch; those that could not be read are left out and named."""
    good = [e for e in examples if isinstance(e, Example)]
    unreadable = tuple((i, str(e)) for i, e in enumerate(examples) if isinstance(e, ValueError))
    if not good:
        return _EMPTY._replace(unreadable=unreadable)
    ids, waveforms, tokens, texts, seeds = zip(*good, strict=True)
    return Batch(
        ids=ids,
        waveforms=_side_by_side(waveforms),  # (B, N)
        tokens=Padded.stack(tokens),  # (B, U)
        texts=texts,
        seeds=torch.tensor(seeds, dtype=torch.int64),
        unreadable=unreadable,
    )


def _side_by_side(waveforms: Sequence[Tensor]) -> Padded:
    """`Padded.stack` in half the time: each sample is written once, into numpy's huge pages."""
    lengths = [len(waveform) for waveform in waveforms]
    values = np.empty((len(lengths), max(lengths)), dtype=np.float32)
    for row, waveform, length in zip(values, waveforms, lengths, strict=True):
        row[:length] = waveform.numpy()
        row[length:] = 0
    return Padded(torch.from_numpy(values), torch.tensor(lengths, dtype=torch.int64))


_EMPTY = Batch(
    ids=(),
    waveforms=Padded(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64)),
    tokens=Padded(torch.zeros(1, 0, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)),
    texts=(),
    seeds=torch.zeros(1, dtype=torch.int64),
)
