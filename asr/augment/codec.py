"""What telephones and low bit rates leave of speech: real codecs, there and back in memory."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from scipy import fft

from asr.augment.base import Augment, Samples, Scene
from asr.augment.options import check_probability

_BAND = (300.0, 3400.0)  # Hz, of a telephone
_EDGE = 100.0  # Hz, from all to nothing


class _Coding(NamedTuple):
    """How soundfile writes it. compression: 0 to 1, larger is a lower bit rate."""

    sample_rate: int
    format: str
    subtype: str
    compression: float | None


_CODINGS = {
    "g711": _Coding(8000, "RAW", "ULAW", None),  # ITU-T G.711, mu-law, 64 kbit/s: landlines
    "gsm": _Coding(8000, "WAV", "GSM610", None),  # GSM 06.10 full rate, 13 kbit/s: mobile phones
    "opus": _Coding(16000, "OGG", "OPUS", 1.0),  # RFC 6716, about 7 kbit/s
    "mp3": _Coding(16000, "MP3", "MPEG_LAYER_III", 0.7),  # about 31 kbit/s
}


class Codec(Augment):
    """Sends some utterances through a codec; those of telephones also limit the band.

    Args:
        probability: of an utterance to be coded.
        kinds: of "g711", "gsm" (telephones, 8 kHz), "opus" and "mp3" (16 kHz), equally likely.

    Raises:
        ValueError: an option is out of range, or libsndfile here cannot write a kind.
    """

    def __init__(self, *, probability: float, kinds: Sequence[str]) -> None:
        check_probability("codec", probability)
        if not kinds or not set(kinds) <= _CODINGS.keys():
            raise ValueError(
                f"augment.codec.kinds={list(kinds)} must name some of {', '.join(_CODINGS)}"
            )
        for kind in kinds:
            if not soundfile.check_format(_CODINGS[kind].format, _CODINGS[kind].subtype):
                raise ValueError(
                    f"augment.codec.kinds: {kind} cannot be written by the libsndfile that is "
                    f"installed ({soundfile.__libsndfile_version__}); leave it out, or install "
                    "soundfile from PyPI, which brings one that can"
                )
        self.probability = probability
        self.kinds = tuple(kinds)

    def __call__(self, waveform: Samples, rng: np.random.Generator, scene: Scene) -> Samples:
        """(N,) samples to as many."""
        if rng.random() >= self.probability:
            return waveform
        coding = _CODINGS[self.kinds[rng.integers(len(self.kinds))]]
        sent: Samples = soxr.resample(waveform, scene.sample_rate, coding.sample_rate)
        if len(sent) == 0:
            return waveform
        telephone = coding.sample_rate == 8000
        received = _coded(_telephone_band(sent) if telephone else sent, coding)
        if telephone:  # the receiver filters too: quantising makes noise outside of the band
            received = _telephone_band(received)
        heard: Samples = soxr.resample(received, coding.sample_rate, scene.sample_rate)
        return np.pad(heard, (0, max(0, len(waveform) - len(heard))))[: len(waveform)]


def _coded(sound: Samples, coding: _Coding) -> Samples:
    """(N,) samples, written and read again; codecs clip, so what is too loud goes softer."""
    loudest = max(1.0, float(np.abs(sound).max()))
    form = {"format": coding.format, "subtype": coding.subtype}
    raw = {"samplerate": coding.sample_rate, "channels": 1} | form if coding.format == "RAW" else {}
    with io.BytesIO() as file:
        soundfile.write(
            file, sound / loudest, coding.sample_rate, compression_level=coding.compression, **form
        )
        file.seek(0)
        read: Samples = soundfile.read(file, dtype="float32", **raw)[0]
    return read[: len(sound)] * np.float32(loudest)  # whole frames were coded


def _telephone_band(sound: Samples) -> Samples:
    """(N,) samples at 8 kHz without what a telephone does not carry; nothing moves in time."""
    size = fft.next_fast_len(
        len(sound) + 800, real=True
    )  # 0.1 s, so that no end rings at the other
    hertz = np.arange(size // 2 + 1, dtype=np.float32) * (8000 / size)
    inside = np.minimum(hertz - _BAND[0], _BAND[1] - hertz) / _EDGE + 0.5  # 0.5 at the edges
    band = np.sin(np.pi / 2 * np.clip(inside, 0, 1)) ** 2
    limited: Samples = fft.irfft(fft.rfft(sound, size) * band.astype(np.float32), size)
    return limited[: len(sound)]
