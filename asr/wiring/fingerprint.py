"""A fingerprint of audio loading and features, kept in every checkpoint.

A loader or library that changed its mind costs WER and says nothing; this notices.
"""

import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from asr.core.audio import load_waveform
from asr.core.padded import Padded
from asr.features.base import FeatureExtractor


def feature_fingerprint(features: FeatureExtractor) -> Tensor:
    """(4, F) features of four frames of a reference signal, through a file and a resampler.

    The signal is a second of chirps in 16-bit FLAC at 22,050 Hz, two channels.
    """
    seconds = np.arange(22050) / 22050
    left = np.sin(2 * np.pi * (100 * seconds + 2500 * seconds**2))
    right = np.sin(2 * np.pi * (4000 * seconds - 1500 * seconds**2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.flac"
        soundfile.write(path, np.stack([left, right], axis=1) * 0.4, 22050, subtype="PCM_16")
        waveform = torch.from_numpy(load_waveform(path, features.sample_rate))
    with torch.inference_mode():
        device = next((b.device for b in features.buffers()), torch.device("cpu"))
        frames: Tensor = features(Padded.stack([waveform]).to(device)).values[0].float().cpu()
    places = torch.linspace(0.1, 0.9, 4).mul(len(frames)).long()
    return frames[places].clone()
