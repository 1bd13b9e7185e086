"""Mean and variance of each utterance, over its real frames only."""

from asr.core.padded import Padded

_EPSILON = 1e-5


def normalise(features: Padded) -> Padded:
    """Give each feature of each utterance mean 0 and variance 1; what is constant becomes 0.

    features: (B, T, F), of any content beyond the lengths; the result is zero there.
    """
    # The first frame is subtracted before anything is summed: a constant then is exactly 0,
    # and little is lost where a mean is large beside its deviations.
    shifted = Padded(features.values - features.values[:, :1], features.lengths).zeroed()
    count = features.lengths.clamp(min=1)[:, None, None]  # (B, 1, 1)
    mean = shifted.values.sum(dim=1, keepdim=True) / count  # (B, 1, F)
    centred = Padded(shifted.values - mean, features.lengths).zeroed()
    variance = centred.values.square().sum(dim=1, keepdim=True) / count
    return Padded(centred.values / (variance.sqrt() + _EPSILON), features.lengths)
