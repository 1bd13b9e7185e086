"""Mistakes that people make, as parts that a configuration can name: the program must find them."""

from asr.core.padded import Padded
from asr.features.log_mel import LogMel
from asr.model.deepspeech2 import DeepSpeech2


class SoftmaxTwice(DeepSpeech2):
    """Gives probabilities where logits are wanted: the recogniser takes the softmax once more."""

    def forward(self, features: Padded) -> Padded:
        logits = super().forward(features)
        return Padded(logits.values.softmax(dim=-1), logits.lengths).zeroed()


class LogSoftmaxTwice(DeepSpeech2):
    """Gives log-probabilities where logits are wanted, which changes nothing."""

    def forward(self, features: Padded) -> Padded:
        logits = super().forward(features)
        return Padded(logits.values.log_softmax(dim=-1), logits.lengths).zeroed()


class TinyFeatures(LogMel):
    """Features of the wrong size, as from audio divided once too often."""

    def forward(self, waveforms: Padded) -> Padded:
        features = super().forward(waveforms)
        return Padded(features.values * 1e-9, features.lengths)
