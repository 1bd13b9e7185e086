"""Audio files to waveforms: wav, flac, ogg, opus, mp3, and headerless samples as declared.

What a file is, its bytes say, never its name. Waveforms are mono float32 in [-1, 1].
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from asr.core.audio_file import ffmpeg_command, opened_audio

MAX_SECONDS = 3600.0  # of one waveform in memory; a megabyte of FLAC can hold a day of silence

_BLOCK_VALUES = 1 << 18  # what is held at once, before mixing down, however long the file
_MP3_WARM_UP_FRAMES = 8192
_FULL_SCALE = np.float32(2**-15)  # of 16-bit samples
_LOUDEST = 1e10  # full scale is 1; the power of what is louder would overflow


class AudioInfo(NamedTuple):
    """What a file's header says. duration: seconds; sample_rate: samples per second."""

    duration: float
    sample_rate: int
    channels: int
    format: str


def audio_info(path: str | os.PathLike[str], raw: str | None = None) -> AudioInfo:
    """Length and form of an audio file, by its headers alone.

    Raises:
        ValueError: as for `load_waveform`, but for damage that only decoding shows.
    """
    with opened_audio(Path(path), raw) as sound:
        coding = sound.subtype if sound.format in ("OGG", "RAW") else sound.format
        duration = sound.frames / sound.samplerate
        return AudioInfo(duration, sound.samplerate, sound.channels, coding.lower())


def load_waveform(
    path: str | os.PathLike[str],
    sample_rate: int,
    *,
    offset: float = 0.0,
    duration: float | None = None,
    raw: str | None = None,
    resample: bool = True,
) -> NDArray[np.float32]:
    """Read an audio file or a slice of it: mono, at the rate asked for.

    Args:
        path: wav, flac, ogg, opus or mp3, whatever its name.
        sample_rate: samples per second wanted.
        offset: seconds to skip.
        duration: at most so many seconds; None reads to the end. What is read must not be longer
            than an hour (`MAX_SECONDS`), whatever is asked.
        raw: "ENCODING:RATE:CHANNELS" of a headerless file, such as "s16be:16000:1"; encodings
            are s8, u8, s16le, s16be, f32le, f32be.
        resample: whether another rate is converted (soxr's HQ) or refused.

    Returns:
        (N,) samples, the mean of the channels.

    Raises:
        ValueError: the file is missing, empty, not audio, cut short or damaged, has another
            rate while `resample` is off, or holds samples that are not finite; or the slice
            holds no samples, or more than an hour. Says which file, why, and how to mend it. An
            Ogg file that was cut exactly between two of its pages cannot be told from a shorter
            one.
    """
    pieces = list(_stream(Path(path), sample_rate, offset, duration, raw, resample, MAX_SECONDS))
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def stream_waveform(
    path: str | os.PathLike[str],
    sample_rate: int,
    *,
    offset: float = 0.0,
    duration: float | None = None,
    raw: str | None = None,
    resample: bool = True,
) -> Iterator[NDArray[np.float32]]:
    """The samples of `load_waveform` in pieces, so that a file of any length fits in memory.

    Yields:
        (N_i,) samples, N_i > 0; at least one piece.
    """
    return _stream(Path(path), sample_rate, offset, duration, raw, resample, math.inf)


def _stream(
    path: Path,
    sample_rate: int,
    offset: float,
    duration: float | None,
    raw: str | None,
    resample: bool,
    max_seconds: float,
) -> Iterator[NDArray[np.float32]]:
    with opened_audio(path, raw) as sound:
        rate = int(sound.samplerate)
        if rate != sample_rate and not resample:
            raise ValueError(
                f"{path}: its sample rate is {rate} Hz but {sample_rate} Hz are wanted; allow "
                f"resampling, or convert it: {ffmpeg_command(path, sample_rate)}"
            )
        start, stop = _bounds(sound, path, offset, duration)
        if stop - start > max_seconds * rate:
            raise ValueError(
                f"{path}: {(stop - start) / rate:.0f} s would be held in memory, but one waveform "
                f"may last {max_seconds:.0f} s; name parts of it by offset and duration"
            )
        blocks = _blocks(sound, path, start, stop)
        empty = True
        for block in blocks if rate == sample_rate else _resampled(blocks, rate, sample_rate):
            if len(block):
                empty = False
                yield block
    if empty:
        raise ValueError(f"{path}: too short to give one sample at {sample_rate} Hz; remove it")


def _blocks(
    sound: soundfile.SoundFile, path: Path, start: int, stop: int
) -> Iterator[NDArray[np.float32]]:
    """Mono blocks of the frames from `start` to before `stop`, at the file's own rate."""
    integers = sound.subtype.startswith("PCM_")
    while start < stop:
        wanted = min(_BLOCK_VALUES // sound.channels, stop - start)
        frames = _frames(sound, start, wanted)  # (n, channels)
        if len(frames) < wanted:
            raise ValueError(
                f"{path}: truncated: its header promises {sound.frames} samples but it ends "
                f"after {start + len(frames)}; copy or download the file again"
            )
        block = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float64)
        # What is not a number fails both comparisons; what was whole numbers is one and small.
        if not (integers or (block.max() <= _LOUDEST and block.min() >= -_LOUDEST)):
            at = start + int(np.argmin(np.abs(block) <= _LOUDEST))
            raise ValueError(
                f"{path}: sample {at} ({at / sound.samplerate:.3f} s) is not a finite number, or "
                f"beyond {_LOUDEST:g}; write the file anew or leave it out"
            )
        start += wanted
        yield block.astype(np.float32, copy=False)


def _frames(sound: soundfile.SoundFile, start: int, count: int) -> NDArray[np.float32]:
    # An MP3's frames borrow bits from those before them, and soundfile seeks after each read,
    # which forgets these: so every block is read with what precedes it, at once. Other files are
    # left where they stand, because a FLAC's seek decodes a frame even if it leads nowhere.
    warm_up = min(start, _MP3_WARM_UP_FRAMES) if sound.format == "MP3" else 0
    if sound.format == "MP3" or sound.tell() != start:
        sound.seek(start - warm_up)
    if sound.subtype == "PCM_16" and sound.format != "FLAC":  # the same samples in half the time
        frames: NDArray[np.float32]
        frames = np.multiply(sound.read(count, "int16", always_2d=True), _FULL_SCALE)
        return frames
    frames = sound.read(warm_up + count, "float32", always_2d=True)
    return frames[warm_up:]


def _bounds(
    sound: soundfile.SoundFile, path: Path, offset: float, duration: float | None
) -> tuple[int, int]:
    """First frame of a slice and the frame after its last."""
    if not offset >= 0:
        raise ValueError(f"{path}: offset={offset} must be >= 0 seconds")
    rate, frames = sound.samplerate, sound.frames
    start = round(min(offset * rate, frames))
    if start >= frames:
        raise ValueError(
            f"{path}: offset {offset:g} s is beyond the end; the file has {frames / rate:.3f} s"
        )
    end = math.inf if duration is None else (offset + duration) * rate
    stop = frames if end >= frames else round(end) if end > start else start
    if stop <= start:
        raise ValueError(
            f"{path}: {duration:g} s from {offset:g} s hold no samples; give a longer duration"
        )
    return start, stop


def _resampled(
    blocks: Iterator[NDArray[np.float32]], rate: int, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
