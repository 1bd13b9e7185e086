"""A batch: what the loader's workers hand to the trainer."""

from collections.abc import Sequence
from typing import NamedTuple

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
    """Utterances side by side: waveforms (B, N), tokens (B, U), seeds (B,) int64 on the CPU."""

    ids: tuple[str, ...]
    waveforms: Padded
    tokens: Padded
    texts: tuple[str, ...]
    seeds: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device; seeds stay, because masks are drawn on the CPU."""
        return self._replace(
            waveforms=self.waveforms.to(device, non_blocking=True),
            tokens=self.tokens.to(device, non_blocking=True),
        )


def collate(examples: Sequence[Example]) -> Batch:
    """Pad examples to one batch."""
    ids, waveforms, tokens, texts, seeds = zip(*examples, strict=True)
    return Batch(
        ids=ids,
        waveforms=Padded.stack(waveforms),  # (B, N)
        tokens=Padded.stack(tokens),  # (B, U)
        texts=texts,
        seeds=torch.tensor(seeds, dtype=torch.int64),
    )
