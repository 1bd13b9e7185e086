"""An alignment to look at: what was spoken, over the spectrogram and the model's posteriors."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from asr.core.audio import load_waveform
from asr.core.padded import Padded
from asr.recognizer.recognizer import Recognizer
from asr.recognizer.words import TimedText, frame_centres

_LONGEST = 40.0  # seconds that are still legible


@torch.inference_mode()
def draw_alignment(recognizer: Recognizer, timed: TimedText, path: Path) -> None:
    """Write a PNG: features with the words' boundaries, below them each token's posterior.

    Raises:
        ValueError: the recording is longer than 40 seconds, or cannot be read.
    """
    if timed.duration > _LONGEST:
        raise ValueError(
            f"{timed.name}: lasts {timed.duration:.0f} s; a picture shows {_LONGEST:.0f} s at most"
        )
    rate = recognizer.features.sample_rate
    waveform = load_waveform(
        timed.audio, rate, offset=timed.offset, duration=timed.duration, raw=timed.raw
    )
    device = next(recognizer.parameters()).device
    batch = Padded.stack([torch.from_numpy(waveform)]).to(device)
    features = recognizer.features(batch).values[0].float().cpu().numpy()  # (T, F)
    posteriors = recognizer(batch).values[0].exp().cpu().numpy()  # (T', V)
    centres = frame_centres(recognizer, len(posteriors))

    figure = Figure(figsize=(max(6.0, 2.2 * timed.duration), 5.0), layout="constrained")
    spectrum, curves = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    low, high = np.percentile(features, [5, 99.5])
    spectrum.imshow(
        features.T, origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high,
        extent=(0, timed.duration, 0, features.shape[1]),
    )  # fmt: skip
    spectrum.set_ylabel("feature")
    spectrum.set_title(timed.name, loc="left", fontsize=9, pad=22)
    curves.plot(centres, posteriors[:, 0], color="0.8", label="blank")
    curves.plot(centres, posteriors[:, 1:], linewidth=1)
    for word in timed.words:
        for edge in (word.start, word.end):
            spectrum.axvline(edge, color="white", linewidth=0.8)
        middle = (word.start + word.end) / 2
        spectrum.annotate(
            f"{word.text}\n{word.confidence:.2f}", (middle, 1), (0, 2),
            xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", va="bottom", fontsize=8,
        )  # fmt: skip
        curves.axvspan(word.start, word.end, color="0.95", zorder=0)
        for token in word.tokens:
            curves.annotate(
                token.text, ((token.start + token.end) / 2, 1.02), ha="center", fontsize=7
            )
    curves.set_ylim(0, 1.15)
    curves.set_ylabel("posterior")
    curves.set_xlabel("seconds")
    curves.legend(loc="upper right", fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
