"""Before training: does every transcript fit into the model's output? From durations alone."""

import hashlib
import json
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from asr.core import kept
from asr.core.distributed import is_main
from asr.core.progress import progress_bar
from asr.core.spread import spread
from asr.corpus.manifest import Manifest
from asr.ctc.loss import min_frames
from asr.recognizer.recognizer import Recognizer
from asr.tokenizer.base import Tokenizer

_WORST = 10  # utterances shown
_SAMPLE = 64  # utterances that reference losses are computed on
_PIECE = 50_000  # utterances that a process looks at at a time; what took longer is kept


@dataclass(frozen=True)
class Fit:
    """Whether transcripts fit into the model's output.

    frames, needed: (utterances,) output frames there, and those needed. counts: (V,) how often
    each token occurs. rows: some of the utterances that fit. tokens: theirs.
    """

    frames: NDArray[np.int64]
    needed: NDArray[np.int64]
    counts: NDArray[np.int64]
    rows: NDArray[np.int64]
    tokens: tuple[tuple[int, ...], ...]


def check_transcripts(
    train: Manifest,
    recognizer: Recognizer,
    allowed: float,
    say: Callable[[str], None],
    place: Path | None = None,
) -> Fit:
    """Report transcripts that are too long for their audio at the model's output rate.

    Audio is not read. Changes of speed, which augmentation draws later, are not counted.

    allowed: the share that may be too long; they teach nothing (loss and gradient 0).
    place: a file to keep in what took long to find out.

    Raises:
        ValueError: a transcript holds what the alphabet does not, or more are too long.
    """
    samples = torch.from_numpy(np.rint(train.durations * recognizer.features.sample_rate)).long()
    frames = recognizer.output_lengths(samples).numpy()
    needed, counts = _needed_frames(train, recognizer.tokenizer, place)
    fits = np.flatnonzero((frames >= needed) & (needed > 0))
    rows = fits[np.linspace(0, len(fits) - 1, min(_SAMPLE, len(fits))).astype(int)]
    tokens = tuple(tuple(recognizer.tokenizer.encode(train[i].text)) for i in rows.tolist())
    fit = Fit(frames, needed, counts, rows, tokens)
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


def _needed_frames(
    train: Manifest, tokenizer: Tokenizer, place: Path | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) frames that each transcript needs, and (V,) how often each token occurs."""
    state = hashlib.sha256(train.digests.data)
    state.update(json.dumps(tokenizer.state(), default=repr).encode())
    key = f"transcripts-1 {state.hexdigest()}"
    if place is not None and (found := kept.find(place, key)) is not None:
        return found[1]["needed"], found[1]["counts"]
    pieces = [range(i, min(i + _PIECE, len(train))) for i in range(0, len(train), _PIECE)]
    needed, counts = [], np.zeros(len(tokenizer), dtype=np.int64)
    with (
        progress_bar("checking transcripts", len(train)) as advance,
        closing(spread(partial(_look, train, tokenizer), pieces)) as results,
    ):
        for part, seen in results:
            needed.append(part)
            counts += seen
            advance(len(part))
    arrays = {"needed": np.concatenate(needed), "counts": counts}
    if place is not None and len(pieces) > 1 and is_main():
        with suppress(OSError):  # it can be found out again
            kept.keep(place, key, {}, arrays)
    return arrays["needed"], counts


def _look(
    train: Manifest, tokenizer: Tokenizer, rows: range
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    tokens = []
    for i in rows:
        utterance = train[i]
        try:
            tokens.append(tokenizer.encode(utterance.text))
        except ValueError as error:
            raise ValueError(f"{train.name}: utterance {utterance.id}: {error}") from None
    needed = np.array([min_frames(t) for t in tokens])
    flat = np.fromiter(chain.from_iterable(tokens), dtype=np.int64)
    return needed, np.bincount(flat, minlength=len(tokenizer))


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
