"""Recorded background noise or music, such as MUSAN (arXiv:1510.08484)."""

import numpy as np

from asr.augment.added import Added, filled
from asr.augment.base import Samples, Scene
from asr.augment.folder import AudioFolder
from asr.core.audio import audio_info, load_waveform

_MARGIN = 0.01  # seconds more than needed, for a resampler's rounding


class NoiseFolder(Added):
    """Adds a piece of a recording to some utterances.

    A file is drawn, all as likely however long, then a place in it; only the piece is read. Shorter
    recordings are repeated.

    Args:
        folder: searched with all folders below it for wav, flac, ogg, opus and mp3.
        probability: of an utterance to get noise.
        snr_low_db, snr_high_db: range of the ratio of speech to noise, drawn uniformly in decibels
            of mean power over the whole utterance.

    Raises:
        ValueError: an option is out of range, or the folder is missing or empty. In a call: a file
            cannot be read.
    """

    def __init__(
        self, *, folder: str | None, probability: float, snr_low_db: float, snr_high_db: float
    ) -> None:
        super().__init__("noise_folder", probability, snr_low_db, snr_high_db)
        self.files = AudioFolder("noise_folder", folder)

    def sound(self, count: int, rng: np.random.Generator, scene: Scene) -> Samples:
        """(count,) samples of one file."""
        path = self.files.choose(rng)
        seconds = count / scene.sample_rate + _MARGIN
        offset = rng.uniform(0, max(0.0, audio_info(path).duration - seconds))
        piece = load_waveform(path, scene.sample_rate, offset=offset, duration=seconds)
        return filled(piece, count, rng)
