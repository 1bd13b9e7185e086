"""What can be told of an utterance by its samples alone, in one pass and in bounded memory."""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.core.audio import audio_info, stream_waveform
from asr.corpus.manifest import Utterance

_FULL_SCALE = 0.99  # from here on a sample counts as clipped
_FLAT = 0.98  # of the peak: equal neighbours from here on are a top that was cut off, then lowered
_MIN_FLAT_PEAK = 0.05  # below it 8 bits have too few steps to tell
_RANGE_DB = 30  # sound is what lies so far below the loudest, ...
_RISE = 0.3  # ... and above this share of the way from the quietest to the loudest
_MIN_CONTRAST_DB = 20  # with less between them, noise hides the pauses


class Sound(NamedTuple):
    """Facts of one utterance's samples, at the rate of its file.

    seconds: how long the slice really is; 0 where it begins beyond the end.
    file_seconds: of the whole file. sample_rate: of the file, in Hz.
    offset: mean of the samples, in [-1, 1].
    clipped: share of the samples at full scale, or on flat tops below it.
    loud_db, quiet_db: 99th and 10th percentile of the levels of 10 ms, in dB of full scale.
    sounding: seconds in which something is heard, pauses left out; all where noise hides them.
    digest: 64 bits that are equal for equal samples at an equal rate, whatever the container.
    """

    seconds: float
    file_seconds: float
    sample_rate: int
    offset: float = np.nan
    clipped: float = np.nan
    loud_db: float = np.nan
    quiet_db: float = np.nan
    sounding: float = np.nan
    digest: int = 0


DTYPE = np.dtype(
    [("seconds", "f8"), ("file_seconds", "f8"), ("sample_rate", "i4"), ("offset", "f4"),
     ("clipped", "f4"), ("loud_db", "f4"), ("quiet_db", "f4"), ("sounding", "f4"),
     ("digest", "u8")]
)  # fmt: skip


def measure(utterance: Utterance) -> Sound | str:
    """The facts of an utterance, or why its audio cannot be read."""
    try:
        return _measured(utterance)
    except ValueError as error:
        return str(error)


def _measured(utterance: Utterance) -> Sound:
    info = audio_info(utterance.audio, utterance.raw)
    rate = info.sample_rate
    if round(utterance.offset * rate) >= round(info.duration * rate):
        return Sound(0.0, info.duration, rate)
    digest = hashlib.blake2b(str(rate).encode(), digest_size=8)
    levels, tops = _Levels(max(1, rate // 100)), _Tops()
    count, total = 0, 0.0
    for block in stream_waveform(
        utterance.audio,
        rate,
        offset=utterance.offset,
        duration=utterance.duration,
        raw=utterance.raw,
    ):
        block = block + np.float32(0)  # -0.0 has other bits than 0.0
        digest.update(np.ascontiguousarray(block).data)
        count += len(block)
        total += float(block.sum(dtype=np.float64))
        levels.add(block)
        tops.add(block)
    loud, quiet, sounding = levels.summary()
    return Sound(
        seconds=count / rate,
        file_seconds=info.duration,
        sample_rate=rate,
        offset=total / count,
        clipped=max(tops.full, tops.flat) / count,
        loud_db=loud,
        quiet_db=quiet,
        sounding=min(sounding, count / rate),
        digest=int.from_bytes(digest.digest(), "little"),
    )


class _Levels:
    """Levels of frames of 10 ms, whatever blocks the samples come in."""

    def __init__(self, hop: int) -> None:
        self.hop = hop
        self.rest: NDArray[np.float32] = np.zeros(0, np.float32)
        self.powers: list[NDArray[np.float32]] = []

    def add(self, block: NDArray[np.float32]) -> None:
        samples = np.concatenate([self.rest, block])
        whole = len(samples) // self.hop * self.hop
        self.rest = samples[whole:]
        if whole:
            self.powers.append(samples[:whole].reshape(-1, self.hop).var(axis=1))

    def summary(self) -> tuple[float, float, float]:
        """Loud and quiet levels in dB, and the seconds between them that sound."""
        power = np.concatenate(self.powers or [self.rest.var(keepdims=True)])  # (frames,)
        levels = 10 * np.log10(np.maximum(power, 1e-12))
        quiet, loud = np.percentile(levels, [10, 99])
        threshold = max(loud - _RANGE_DB, quiet + _RISE * (loud - quiet))
        if loud - quiet < _MIN_CONTRAST_DB:
            threshold = -np.inf
        # At least one frame: it is divided by.
        return float(loud), float(quiet), 0.01 * max(1, int((levels >= threshold).sum()))


class _Tops:
    """Samples at full scale, and equal neighbours at the highest peak so far."""

    def __init__(self) -> None:
        self.full = self.flat = 0
        self.peak = 0.0

    def add(self, block: NDArray[np.float32]) -> None:
        heights = np.abs(block)
        peak = float(heights.max())
        if peak * _FLAT > self.peak:
            self.flat = 0  # what was counted lies below the peak
        self.peak = max(self.peak, peak)
        self.full += int((heights >= _FULL_SCALE).sum())
        if self.peak >= _MIN_FLAT_PEAK:
            top = heights[1:] >= _FLAT * self.peak
            self.flat += int((top & (block[1:] == block[:-1])).sum())
