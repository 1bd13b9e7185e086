"""What browsers record, WebM with Opus and MP4 with AAC, as WAV: libsndfile reads neither.

FFmpeg's libraries, which PyAV brings in its wheel, would open much more: playlists that name other
files, addresses, hundreds of codecs. Here a file's first bytes say which of two containers it is,
it is read from an open file, and only the codecs below are decoded.
"""

from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.core.audio import audio_info

_CONTAINERS = ((0, b"\x1aE\xdf\xa3", "matroska"), (4, b"ftyp", "mov"))  # WebM is Matroska
_CODECS = {"opus", "vorbis", "aac", "mp3", "flac", "alac", "pcm_s16le", "pcm_f32le"}
_RATES = range(1000, 768001)  # Hz, as libsndfile's files may have


def readable(path: Path, max_seconds: float) -> Path:
    """A recording as a file that `load_waveform` reads: itself, or a WAV written beside it.

    Raises:
        ValueError: it is not audio, is damaged, holds nothing, or lasts longer than is allowed,
            which is found before more than that is decoded.
    """
    with path.open("rb") as file:
        head = file.read(16)
        for position, signature, container in _CONTAINERS:
            if head[position:].startswith(signature):
                target = path.with_name(path.name + ".decoded.wav")
                try:
                    _decode(file, container, target, max_seconds)
                except (av.FFmpegError, soundfile.LibsndfileError) as error:
                    reason = f"truncated or damaged ({error}); record it again"
                    raise ValueError(f"{path}: {reason}") from None
                except ValueError as error:
                    raise ValueError(f"{path}: {error}") from None
                return target
    if (seconds := audio_info(path).duration) > max_seconds:
        raise ValueError(f"{path}: {_too_long(f'{seconds:.0f}', max_seconds)}")
    return path


def write_pcm16(sound: soundfile.SoundFile, samples: NDArray[np.float32]) -> None:
    """Add (N,) samples; what was 16 bits once is the same 16 bits, which libsndfile would scale."""
    sound.write(np.rint(samples * 32768.0).clip(-32768, 32767).astype(np.int16))


def _decode(file: BinaryIO, container: str, target: Path, max_seconds: float) -> None:
    file.seek(0)
    seconds = 0.0
    with av.open(file, "r", format=container, metadata_errors="ignore") as media:
        stream = next(iter(media.streams.audio), None)
        if stream is None:
            raise ValueError("it holds no sound; was the microphone switched off?")
        context: av.AudioCodecContext | None = stream.codec_context  # None: FFmpeg has no decoder
        codec = context.codec.canonical_name if context else "something unknown"
        if context is None or codec not in _CODECS:
            raise ValueError(
                f"its sound is coded as {codec}; read are {', '.join(sorted(_CODECS))}"
            )
        if (rate := context.sample_rate) not in _RATES:
            raise ValueError(
                f"a sample rate of {rate} Hz is claimed; is it damaged? Record it again"
            )
        planes = av.AudioResampler(format="fltp", rate=rate)
        with soundfile.SoundFile(target, "w", rate, 1, "PCM_16", format="WAV") as sound:
            for frame in media.decode(stream):
                for part in planes.resample(frame):
                    samples = part.to_ndarray().mean(axis=0)  # of the channels
                    seconds += len(samples) / rate
                    if seconds > max_seconds:
                        raise ValueError(_too_long(f"more than {max_seconds:.0f}", max_seconds))
                    write_pcm16(sound, samples)
    if seconds == 0:
        raise ValueError("it holds no samples; record it again")


def _too_long(seconds: str, most: float) -> str:
    return (
        f"it lasts {seconds} s, but at most {most:.0f} s are recognised here (max_audio_seconds); "
        "send it in parts"
    )
