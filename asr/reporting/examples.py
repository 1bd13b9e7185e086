"""What augmentation does to a handful of training utterances, to hear and to see in TensorBoard."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import audio, image

from asr.core.padded import Padded
from asr.data.batch import Example
from asr.data.dataset import SpeechDataset
from asr.data.loader import TrainingData
from asr.recognizer.recognizer import Recognizer

_COLOURS = matplotlib.colormaps["magma"].with_extremes(bad="white")
_TITLES = ("as recorded", "augmented", "as the model gets it")


class Shown(NamedTuple):
    """One utterance of the first epoch, before and after.

    recorded, augmented: (N,), (N',) samples.
    features: (T, F) as recorded, (T', F) augmented, (T', F) masked.
    """

    id: str
    recorded: torch.Tensor
    augmented: torch.Tensor
    features: tuple[NDArray[np.float32], ...]


def example_summaries(recognizer: Recognizer, data: TrainingData, count: int) -> list[Summary]:
    """Of `count` utterances, for the beginning of a run."""
    shown = list(_examples(recognizer, data, count))
    rate, found = recognizer.features.sample_rate, []
    for number, example in enumerate(shown, 1):
        pair = example.recorded, example.augmented
        loudest = max(1.0, *(float(waveform.abs().max()) for waveform in pair))
        for title, waveform in zip(_TITLES, pair, strict=False):
            found.append(audio(f"examples/{number} {title}", waveform / loudest, sample_rate=rate))
    if shown:
        picture = draw_examples(shown, recognizer.features.hop / rate)
        found.append(image("examples", picture, dataformats="HWC"))
    return found


def _examples(recognizer: Recognizer, data: TrainingData, count: int) -> Iterator[Shown]:
    """Utterances from all over the training set, augmented and masked as in the first epoch.

    What cannot be read is passed over; when its turn comes in training, it is counted and named.
    """
    dataset, draws = data.dataset, data.dataset.draws(0, data.weights)
    plain = SpeechDataset(
        dataset.manifest, dataset.tokenizer, dataset.sample_rate, resample=dataset.resample
    )
    for place in np.linspace(0, len(draws) - 1, min(count, len(draws))).astype(int):
        draw = draws[place]
        recorded, augmented = plain[replace(draw, stretches=())], dataset[draw]
        if isinstance(recorded, Example) and isinstance(augmented, Example):
            yield Shown(
                recorded.id,
                recorded.waveform,
                augmented.waveform,
                _features(recognizer, recorded, augmented),
            )


@torch.inference_mode()
def _features(recognizer: Recognizer, *examples: Example) -> tuple[NDArray[np.float32], ...]:
    like = next(recognizer.parameters())
    recorded, augmented = (
        recognizer.features(Padded.stack([e.waveform.to(like.dtype)]).to(like.device))
        for e in examples
    )
    masked = recognizer.spec_augment.train()(augmented, torch.tensor([examples[-1].seed]))
    return tuple(p.values[0].float().cpu().numpy() for p in (recorded, augmented, masked))


def draw_examples(shown: list[Shown], frame_seconds: float) -> NDArray[np.uint8]:
    """(H, W, 3): a row for each utterance, its features before and after.

    Masks are white, what is beyond the end is grey."""
    height = 0.8 + 1.6 * len(shown)  # inches; fixed margins: a layout engine takes most of a second
    figure = Figure(figsize=(15, height), dpi=80)
    margins = {"left": 0.05, "right": 0.99, "bottom": 0.5 / height, "top": 1 - 0.3 / height}
    rows = figure.subplots(
        len(shown), 3, squeeze=False, sharex=True, sharey=True,
        gridspec_kw=margins | {"wspace": 0.04, "hspace": 0.08},
    )  # fmt: skip
    for example, row in zip(shown, rows, strict=True):
        recorded, augmented, masked = example.features
        low, high = np.percentile(recorded, [5, 99.5])
        masks = np.ma.masked_array(masked, mask=masked != augmented)
        for axes, features in zip(row, (recorded, augmented, masks), strict=True):
            axes.imshow(
                features.T, origin="lower", aspect="auto", cmap=_COLOURS, vmin=low, vmax=high,
                extent=(0, len(features) * frame_seconds, 0, features.shape[1]),
            )  # fmt: skip
            axes.set_facecolor("0.8")
        row[0].set_ylabel(example.id[-24:], fontsize=8)
    longest = max(len(features) for example in shown for features in example.features)
    rows[0, 0].set_xlim(0, longest * frame_seconds)
    for axes, title in zip(rows[0], _TITLES, strict=True):
        axes.set_title(title, loc="left", fontsize=10)
    for axes in rows[-1]:
        axes.set_xlabel("seconds")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
