"""Averaged weights: an exponential moving average, which is what gets validated and shipped."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from asr.recognizer.recognizer import Recognizer


class Average:
    """A moving average of parameters and batch norm's statistics.

    It begins as a copy after the first update; its decay then rises to `decay` as
    (1 + n) / (10 + n), so that the untrained weights of the start do not linger.

    Raises:
        ValueError: `decay` is not in (0, 1).
    """

    def __init__(self, recognizer: Recognizer, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(
                f"trainer.average_decay={decay} must lie between 0 and 1 (0: no average)"
            )
        self.decay = decay
        self.module = deepcopy(recognizer).requires_grad_(False)
        for part in self.module.modules():
            if isinstance(part, nn.RNNBase):
                part.flatten_parameters()  # a copy's are apart, which costs a GPU time and memory

    @torch.no_grad()
    def update(self, recognizer: Recognizer, step: int, held: Tensor | None = None) -> None:
        """Move towards the weights after update `step` (counted from 0).

        held: () bool, true where the update was not made and nothing shall move; it is not read,
            so that no device is waited for.
        """
        weight = 1.0 if step == 0 else 1 - min(self.decay, (1 + step) / (10 + step))
        own, others = _numbers(self.module), _numbers(recognizer)
        if held is None:
            torch._foreach_lerp_(own, others, weight)
            return
        moved = torch.where(held, 0.0, weight)
        torch._foreach_lerp_(own, others, [moved.to(tensor.dtype) for tensor in own])


def _numbers(recognizer: Recognizer) -> list[Tensor]:
    """All that is a real number."""
    tensors = [*recognizer.parameters(), *recognizer.buffers()]
    return [t.detach() for t in tensors if t.is_floating_point()]
