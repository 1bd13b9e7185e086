"""Before training: does every transcript fit into the model's output? From durations alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from asr.corpus.manifest import Manifest
from asr.ctc.loss import min_frames
from asr.recognizer.recognizer import Recognizer

_WORST = 10  # utterances shown


@dataclass(frozen=True)
class Fit:
    """Of each training utterance: its tokens, output frames there, and output frames needed."""

    tokens: tuple[tuple[int, ...], ...]
    frames: NDArray[np.int64]
    needed: NDArray[np.int64]


def check_transcripts(
    train: Manifest, recognizer: Recognizer, allowed: float, say: Callable[[str], None]
) -> Fit:
    """Report transcripts that are too long for their audio at the model's output rate.

    Audio is not read. Changes of speed, which augmentation draws later, are not counted.

    allowed: the share that may be too long; they teach nothing (loss and gradient 0).

    Raises:
        ValueError: a transcript holds what the alphabet does not, or more are too long.
    """
    samples = torch.from_numpy(np.rint(train.durations * recognizer.features.sample_rate)).long()
    frames = recognizer.output_lengths(samples).numpy()
    tokens = []
    for utterance in train:
        try:
            tokens.append(tuple(recognizer.tokenizer.encode(utterance.text)))
        except ValueError as error:
            raise ValueError(f"{train.name}: utterance {utterance.id}: {error}") from None
    needed = np.array([min_frames(t) for t in tokens])
    fit = Fit(tuple(tokens), frames, needed)
    bad = np.flatnonzero(frames < needed)
    if not len(bad):
        return fit
    message = (
        f"{train.name}: {len(bad)} of {len(train)} transcripts are too long for their audio at the "
        f"model's output rate, {1000 * recognizer.frame_seconds:g} ms a frame, and teach nothing. "
        f"The worst:{_worst(train, fit, bad)}\n{_remedy(recognizer, samples, needed, allowed)}"
    )
    if len(bad) > allowed * len(train):
        raise ValueError(
            f"{message}\nThat is more than data.max_infeasible={allowed:g}. Mend the transcripts, "
            "or lessen the model's strides, or allow more"
        )
    say("warning: " + message)
    return fit


def _worst(train: Manifest, fit: Fit, bad: NDArray[np.int64]) -> str:
    order = bad[np.argsort((fit.frames - fit.needed)[bad], kind="stable")]
    return "".join(
        f"\n  {train[i].id}: {fit.needed[i]} frames needed, {fit.frames[i]} there, from "
        f"{train[i].duration:.2f} s: {train[i].text!r}"
        for i in order[:_WORST].tolist()
    )


def _remedy(
    recognizer: Recognizer, samples: torch.Tensor, needed: NDArray[np.int64], allowed: float
) -> str:
    """The largest strides at which the allowed share, and every transcript, would fit."""
    inputs, stride = recognizer.features.output_lengths(samples).numpy(), recognizer.model.stride
    hop = 1000 * recognizer.features.hop / recognizer.features.sample_rate  # ms
    left = {s: int((-(-inputs // s) < needed).sum()) for s in range(stride - 1, 0, -1)}
    enough = [s for s, count in left.items() if count <= allowed * len(needed)]
    every = [s for s in enough if left[s] == 0]
    options = [
        f"with {s} ({s * hop:g} ms) {left[s] or 'none'} would be too long"
        for s in dict.fromkeys(enough[:1] + every[:1])
    ]
    hopeless = f"at a stride of 1, still {int((inputs < needed).sum())} would be too long"
    return f"The model's stride is {stride} frames of {hop:g} ms: {', '.join(options) or hopeless}"
