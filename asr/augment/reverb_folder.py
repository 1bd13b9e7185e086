"""Real rooms: measured impulse responses, such as those of OpenSLR 28."""

from pathlib import Path

import numpy as np
import soxr

from asr.augment.base import Samples
from asr.augment.convolved import Convolved
from asr.augment.folder import AudioFolder
from asr.core.audio_file import opened_audio

_LONGEST = 10.0  # seconds of a response; what comes later is no room's


class ReverbFolder(Convolved):
    """Puts some utterances into a room whose impulse response was measured.

    A file is drawn, then one of its channels (averaging microphones would make a comb filter). Its
    loudest sample is taken for the direct path.

    Args:
        folder: searched with all folders below it for wav, flac, ogg, opus and mp3.
        probability: of an utterance to be put into a room.

    Raises:
        ValueError: an option is out of range, or the folder is missing or empty. In a call: a file
            cannot be read, is silent, or holds samples that are no numbers.
    """

    def __init__(self, *, folder: str | None, probability: float) -> None:
        super().__init__("reverb_folder", probability)
        self.files = AudioFolder("reverb_folder", folder)

    def response(self, rng: np.random.Generator, sample_rate: int) -> tuple[Samples, int]:
        """One channel of one file."""
        path = self.files.choose(rng)
        with opened_audio(Path(path), None) as sound:
            rate = sound.samplerate
            frames = sound.read(int(_LONGEST * rate), dtype="float32", always_2d=True)
        channel = np.ascontiguousarray(frames[:, rng.integers(frames.shape[1])])
        response: Samples = soxr.resample(channel, rate, sample_rate, quality="HQ")
        energy = np.sum(np.square(response, dtype=np.float64))
        if not 0 < energy < np.inf:
            raise ValueError(
                f"{path}: no room's impulse response, because it is silent or its samples are no "
                "numbers; remove it"
            )
        return response, int(np.abs(response).argmax())
