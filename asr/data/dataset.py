"""A manifest as examples: read, augmented and encoded, by a function of (seed, epoch, slot)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from asr.augment.base import Augment, Samples, Scene
from asr.core.audio import load_waveform
from asr.corpus.manifest import Manifest, Utterance
from asr.data.batch import Example
from asr.tokenizer.base import Tokenizer

# The streams of randomness of one (seed, epoch). Their numbers are part of what a seed means.
_WEIGHTS, _STRETCH, _WAVEFORM, _MODEL = 11, 12, 13, 14
_TRIES = 5  # to find another utterance that can be read


@dataclass(frozen=True, slots=True)
class Draw:
    """An utterance as an epoch plans it. slot: its place in the epoch before any sorting."""

    index: int
    epoch: int
    slot: int
    stretches: tuple[float, ...]


class Draws(Sequence[Draw]):
    """What an epoch holds, as arrays; a draw is made when it is asked for.

    places: (slots,) in the manifest. stretches: (slots,) of each augmentation.
    """

    def __init__(
        self, epoch: int, places: NDArray[np.int64], stretches: Sequence[NDArray[np.float64]]
    ) -> None:
        self.epoch, self.places, self.stretches = epoch, places, tuple(stretches)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, slot: int) -> Draw: ...
    @overload
    def __getitem__(self, slot: slice) -> list[Draw]: ...
    def __getitem__(self, slot: int | slice) -> Draw | list[Draw]:
        if isinstance(slot, slice):
            return [self[i] for i in range(len(self))[slot]]
        slot = range(len(self))[slot]
        stretches = tuple(float(column[slot]) for column in self.stretches)
        return Draw(int(self.places[slot]), self.epoch, slot, stretches)


class SpeechDataset(Dataset[Example | ValueError]):
    """Reads utterances. A file that cannot be read is given back as the `ValueError` it raised.

    augments: applied in their order, each with its own generator; none in evaluation.
    resample: else a file of another sample rate is an error.
    loss_optional: give an utterance that the tokenizer cannot spell no tokens, instead of failing.
    """

    def __init__(
        self,
        manifest: Manifest,
        tokenizer: Tokenizer,
        sample_rate: int,
        *,
        augments: Mapping[str, Augment] | None = None,
        seed: int = 0,
        resample: bool = True,
        loss_optional: bool = False,
    ) -> None:
        self.manifest = manifest
        self.tokenizer = tokenizer
        self.sample_rate = sample_rate
        self.augments = tuple((augments or {}).values())
        self.seed = seed
        self.resample = resample
        self.loss_optional = loss_optional

    def __len__(self) -> int:
        return len(self.manifest)

    def draws(self, epoch: int, weights: NDArray[np.float64] | None = None) -> Draws:
        """What an epoch holds: each utterance once, or as often as its weight says."""
        slots = np.arange(len(self))
        if weights is not None:
            rng = np.random.default_rng([self.seed, epoch, _WEIGHTS])
            slots = np.repeat(slots, np.floor(weights + rng.random(len(self))).astype(int))
        stretches = [
            augment.stretch(len(slots), np.random.default_rng([self.seed, epoch, _STRETCH, i]))
            for i, augment in enumerate(self.augments)
        ]
        # Most change no duration, and a one for each of millions of utterances takes memory.
        columns = [np.broadcast_to(1.0, s.shape) if (s == 1).all() else s for s in stretches]
        return Draws(epoch, slots, columns)

    def durations(self, draws: Draws) -> NDArray[np.float64]:
        """Seconds of each draw, after the changes of speed that were drawn for it."""
        seconds = np.ones(len(draws))
        for stretches in draws.stretches:
            seconds *= stretches
        seconds *= self.manifest.durations[draws.places]
        return seconds

    def __getitem__(self, draw: Draw) -> Example | ValueError:
        utterance = self.manifest[draw.index]
        try:
            waveform = self._waveform(utterance, draw)
            tokens = self._tokens(utterance)
        except ValueError as error:
            return ValueError(f"utterance {utterance.id}: {error}")
        state = np.random.SeedSequence([self.seed, draw.epoch, draw.slot, _MODEL])
        return Example(
            id=utterance.id,
            waveform=torch.from_numpy(waveform),
            tokens=torch.tensor(tokens, dtype=torch.int64),
            text=utterance.text,
            seed=int(state.generate_state(1, np.uint64)[0] >> np.uint64(1)),
        )

    def _waveform(self, utterance: Utterance, draw: Draw) -> Samples:
        waveform = self._recorded(utterance, 0.0, utterance.duration)
        others = partial(self._other, draw.index)
        for i, (augment, stretch) in enumerate(zip(self.augments, draw.stretches, strict=True)):
            rng = np.random.default_rng([self.seed, draw.epoch, draw.slot, _WAVEFORM, i])
            waveform = augment(waveform, rng, Scene(self.sample_rate, stretch, others))
        return waveform

    def _recorded(self, utterance: Utterance, start: float, seconds: float) -> Samples:
        return load_waveform(
            utterance.audio,
            self.sample_rate,
            offset=utterance.offset + start,
            duration=seconds,
            raw=utterance.raw,
            resample=self.resample,
        )

    def _other(self, index: int, count: int, rng: np.random.Generator) -> Samples:
        """1 to `count` samples from a random place of any utterance but the one at `index`."""
        if len(self) == 1:
            raise ValueError("babble needs other utterances, but this is the only one")
        wanted = count / self.sample_rate + 0.01  # for what resampling may round off
        for _ in range(_TRIES):
            other = self.manifest[(index + 1 + int(rng.integers(len(self) - 1))) % len(self)]
            start = rng.uniform(0, max(0.0, other.duration - wanted))
            with suppress(ValueError):  # when its own turn comes, it is counted and named
                return self._recorded(other, start, min(wanted, other.duration - start))[:count]
        raise ValueError(f"babble: {_TRIES} other utterances in a row could not be read")

    def _tokens(self, utterance: Utterance) -> list[int]:
        if self.loss_optional and self.tokenizer.unknown(utterance.text):
            return []
        return self.tokenizer.encode(utterance.text)
