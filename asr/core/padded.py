"""`Padded`: a batch of sequences and their lengths, which never part.

The legend for every shape comment in this program:

    B batch    N samples    T frames    F features    V vocabulary (blank = 0)    U tokens
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Padded(NamedTuple):
    """Sequences of different lengths in one tensor.

    values: (B, T, ...), zero beyond each length.
    lengths: (B,) int64, on the same device as values.
    """

    values: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, T) bool: True where a position is real."""
        positions = torch.arange(self.values.shape[1], device=self.values.device)
        return positions < self.lengths[:, None]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Padded":
        """The same sequences on another device."""
        return Padded(
            self.values.to(device, non_blocking=non_blocking),
            self.lengths.to(device, non_blocking=non_blocking),
        )

    def zeroed(self) -> "Padded":
        """The same sequences with whatever lies beyond the lengths set to zero."""
        mask = self.mask.reshape(self.values.shape[:2] + (1,) * (self.values.dim() - 2))
        return Padded(self.values.masked_fill(~mask, 0), self.lengths)

    @staticmethod
    def stack(sequences: Sequence[Tensor]) -> "Padded":
        """Pad tensors of shape (T_i, ...) to one (B, max T_i, ...).

        Raises:
            ValueError: there are no sequences.
        """
        if not sequences:
            raise ValueError("Padded.stack needs at least one sequence; this batch is empty")
        values = torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True)
        return Padded(values, torch.tensor([len(s) for s in sequences], dtype=torch.int64))
