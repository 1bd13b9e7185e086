"""Long recordings in pieces that fit in memory and in a model, cut where it is quiet."""

from collections.abc import Iterator
from os import PathLike
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.core.audio import stream_waveform

_FRAME_SECONDS = 0.020


class Segment(NamedTuple):
    """A piece of a recording. offset: seconds from its start; waveform: (N,) samples."""

    offset: float
    waveform: NDArray[np.float32]


def segments(
    path: str | PathLike[str], sample_rate: int, *, max_seconds: float, raw: str | None = None
) -> Iterator[Segment]:
    """Cut a recording of any length, in memory that does not grow with it.

    Each cut is in the middle of the quietest 20 ms in the last third of the longest piece
    allowed, so that words are rarely cut. Nothing is lost between pieces: joined, they are what
    `load_waveform` gives.

    Args:
        path: any audio file.
        sample_rate: samples per second wanted.
        max_seconds: of the longest piece.
        raw: "ENCODING:RATE:CHANNELS" of a headerless file.

    Raises:
        ValueError: `max_seconds` is below 0.1, or as for `load_waveform`.
    """
    if not max_seconds >= 0.1:
        raise ValueError(f"max_seconds={max_seconds} must be >= 0.1")
    longest, frame = int(max_seconds * sample_rate), int(_FRAME_SECONDS * sample_rate)
    start, pending = 0, np.zeros(0, dtype=np.float32)
    for piece in stream_waveform(path, sample_rate, raw=raw):
        pending = np.concatenate([pending, piece])
        while len(pending) > longest:
            cut = _quiet_place(pending[:longest], frame)
            yield Segment(start / sample_rate, pending[:cut].copy())
            start, pending = start + cut, pending[cut:]
    yield Segment(start / sample_rate, pending)


def _quiet_place(window: NDArray[np.float32], frame: int) -> int:
    """The middle of the quietest frame in the last third."""
    count = max(1, len(window) // 3 // frame)
    begin = len(window) - count * frame
    energies = np.square(window[begin:].reshape(count, frame)).sum(axis=1)
    return begin + int(np.argmin(energies)) * frame + frame // 2
