"""Averaged weights: an exponential moving average, which is what gets validated and shipped."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from asr.recognizer.recognizer import Recognizer


def averaged(recognizer: Recognizer, decay: float) -> AveragedModel:
    """A moving average of parameters and batch norm's statistics.

    It begins as a copy after the first update; its decay then rises to `decay` as
    (1 + n) / (10 + n), so that the untrained weights of the start do not linger.

    Raises:
        ValueError: `decay` is not in (0, 1).
    """
    if not 0 < decay < 1:
        raise ValueError(f"trainer.average_decay={decay} must lie between 0 and 1 (0: no average)")

    def update(averages: Sequence[Tensor], current: Sequence[Tensor], num: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(num)) / (10 + int(num)))
        with torch.no_grad():
            torch._foreach_lerp_(list(averages), list(current), weight)

    return AveragedModel(recognizer, multi_avg_fn=update, use_buffers=True)
