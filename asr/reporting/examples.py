"""What augmentation does to a handful of training utterances, to hear and to see in TensorBoard."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

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


def write_examples(
    folder: Path,
    recognizer: Recognizer,
    data: TrainingData,
    count: int,
    say: Callable[[str], None],
) -> None:
    """Write `count` utterances as of update 0 into event files of their own, for a run that begins.

    What an earlier start without a checkpoint left in the folder is void. Those who go on begin
    later than update 0, and so take nothing back. A disk that is full costs a warning.

    Raises:
        ValueError: the count is negative.
    """
    if count < 0:
        raise ValueError(f"trainer.num_examples={count} must be at least 0")
    shown = list(_examples(recognizer, data, count))
    rate = recognizer.features.sample_rate
    try:
        with closing(SummaryWriter(str(folder), purge_step=0)) as writer:
            for number, example in enumerate(shown, 1):
                pair = example.recorded, example.augmented
                loudest = max(1.0, *(float(waveform.abs().max()) for waveform in pair))
                for title, waveform in zip(_TITLES, pair, strict=False):
                    tag = f"examples/{number} {title}"
                    writer.add_audio(tag, waveform / loudest, 0, sample_rate=rate)
            if shown:
                picture = draw_examples(shown, recognizer.features.hop / rate)
                writer.add_image("examples", picture, 0, dataformats="HWC")
    except OSError as error:
        say(f"warning: no examples of training utterances in {folder} ({error.strerror or error})")


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
