"""CTC's many-to-one map: from one symbol a frame to the tokens it spells."""

import torch.nn.functional as F
from torch import Tensor

from asr.core.padded import Padded


def collapse(
    best: Tensor, lengths: Tensor, blank: int = 0
) -> tuple[list[list[int]], list[list[int]]]:
    """Merge repeated symbols, then drop blanks.

    Args:
        best: (B, T) int, a symbol for each frame; what lies beyond the lengths is not read.
        lengths: (B,) frames.

    Returns:
        For each utterance its tokens, and for each token the first frame of its run.
    """
    previous = F.pad(best, (1, 0), value=blank)[:, :-1]  # (B, T)
    starts = (best != previous) & (best != blank) & Padded(best, lengths).mask
    tokens, frames = best[starts].tolist(), starts.nonzero()[:, 1].tolist()
    ends = starts.sum(dim=1).cumsum(dim=0).tolist()
    spans = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return [tokens[span] for span in spans], [frames[span] for span in spans]
