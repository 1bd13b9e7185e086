"""SpecAugment (arXiv:1904.08779): bands of frequency and stretches of time are masked.

Adaptive masks of time, whose number and width grow with the utterance: arXiv:1912.05533.
"""

import numpy as np
import torch
from torch import Tensor, nn

from asr.core.padded import Padded

_STREAM = 21  # keeps these draws apart from others that use the same seeds


class SpecAugment(nn.Module):
    """Sets random bands and stretches of features to 0, their mean after normalisation.

    Acts in training mode only. An utterance's masks depend on its own seed and length, never on
    the batch it is in.

    Args:
        frequency_masks, frequency_width: how many bands, each of 0 to so many features.
        time_masks, time_width: how many stretches, each of 0 to so many frames ...
        time_share: ... and of at most this share of the utterance's frames.
        time_masks_per_frame: how many stretches for each frame of the utterance, rounded down, and
            `time_masks` at most; None: `time_masks` however long it is.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        *,
        frequency_masks: int,
        frequency_width: int,
        time_masks: int,
        time_width: int,
        time_share: float,
        time_masks_per_frame: float | None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("frequency_masks", frequency_masks),
            ("frequency_width", frequency_width),
            ("time_masks", time_masks),
            ("time_width", time_width),
        ):
            if value < 0:
                raise ValueError(f"spec_augment.{name}={value} must be >= 0")
        if not 0 <= time_share <= 1:
            raise ValueError(f"spec_augment.time_share={time_share} must be from 0 to 1")
        if time_masks_per_frame is not None and not 0 <= time_masks_per_frame <= 1:
            raise ValueError(
                f"spec_augment.time_masks_per_frame={time_masks_per_frame} must be from 0 to 1, or "
                "null"
            )
        self.frequency_masks = frequency_masks
        self.frequency_width = frequency_width
        self.time_masks = time_masks
        self.time_width = time_width
        self.time_share = time_share
        self.time_masks_per_frame = time_masks_per_frame

    def forward(self, features: Padded, seeds: Tensor | None) -> Padded:
        """Mask (B, T, F) features.

        seeds: (B,) int64 on the CPU; None only where nothing is masked.

        Raises:
            ValueError: masks must be drawn but there are no seeds.
        """
        if not self.training or self.frequency_masks + self.time_masks == 0:
            return features
        if seeds is None:
            raise ValueError(
                "SpecAugment in training mode needs each utterance's seed; pass seeds, or call "
                ".eval() first"
            )
        draws = self._draws(seeds)  # (B, masks, 2)
        if features.values.is_cuda:  # from pinned memory, else the copy waits for what went before
            draws = draws.pin_memory()
        draws = draws.to(features.values.device, non_blocking=True)
        bands, stretches = draws[:, : self.frequency_masks], draws[:, self.frequency_masks :]
        frames, width = features.values.shape[1:]
        num_features = torch.full_like(features.lengths, width)
        longest = (features.lengths * self.time_share).long().clamp(max=self.time_width)[:, None]
        if self.time_masks_per_frame is not None:  # those beyond the utterance's number stay empty
            number = (features.lengths * self.time_masks_per_frame).long()[:, None]
            longest = longest * (torch.arange(self.time_masks, device=number.device) < number)
        widest = num_features.clamp(max=self.frequency_width)[:, None]
        mask = _masked(stretches, longest, features.lengths, frames)[:, :, None]  # (B, T, 1)
        mask = mask | _masked(bands, widest, num_features, width)[:, None, :]  # (B, T, F)
        return Padded(features.values.masked_fill(mask, 0), features.lengths)

    def _draws(self, seeds: Tensor) -> Tensor:
        # Whole numbers, which every device reduces alike to widths and places: so the lengths
        # need not come back from it.
        size = (self.frequency_masks + self.time_masks, 2)
        draws = [
            np.random.default_rng([seed, _STREAM]).integers(0, 1 << 40, size)
            for seed in seeds.tolist()
        ]
        return torch.from_numpy(np.stack(draws))


def _masked(draws: Tensor, widest: Tensor, sizes: Tensor, count: int) -> Tensor:
    """(B, masks, 2) draws to (B, count) bool: True where any of an utterance's masks lies.

    widest: (B, masks or 1) the largest width allowed; sizes: (B,) how much of `count` is real.
    """
    widths = draws[:, :, 0] % (widest + 1)  # (B, masks)
    starts = draws[:, :, 1] % (sizes[:, None] - widths + 1)
    places = torch.arange(count, device=draws.device)
    inside = (places >= starts[:, :, None]) & (places < (starts + widths)[:, :, None])
    return inside.any(dim=1)
