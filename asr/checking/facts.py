"""The facts of every utterance of every manifest, as arrays: of its sound and of its text."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.checking.sound import DTYPE, Sound, measure
from asr.core.progress import progress_bar
from asr.corpus.manifest import Manifest, Utterance
from asr.ctc.loss import min_frames
from asr.engine.base import Engine
from asr.tokenizer.base import Tokenizer

_CHUNK = 16  # utterances handed to a worker at once


@dataclass(frozen=True)
class Split:
    """A manifest and whether it is trained on, or held out."""

    path: Path
    manifest: Manifest
    trained: bool


@dataclass(frozen=True)
class Target:
    """What the utterances are to be trained or scored with.

    tokenizer: the alphabet. sample_rate: of the features, in Hz.
    output_lengths: the model's output frames for numbers of samples.
    alphabet, model: where they come from, for people.
    """

    tokenizer: Tokenizer
    sample_rate: int
    output_lengths: Callable[[Tensor], Tensor]
    alphabet: str
    model: str


@dataclass(frozen=True)
class Facts:
    """Arrays over all utterances, one manifest after the other.

    splits: the manifests. names: what people call them. starts: the place of the first utterance
    of each. split: (n,) the number of each one's manifest. trained: (n,) bool.
    durations, offsets: (n,) seconds as the manifest says. sound: (n,) of `DTYPE`.
    unreadable: why the audio of an utterance cannot be read.
    characters: (n,) of the transcript, white space aside. texts, audios, speakers: (n,) 64 bits
    that are equal for equal ones; a speaker's are 0 where nobody is named.
    frames, needed: (n,) output frames there, and needed for the tokens; -1 where nobody knows.
    outside: (n,) bool, characters outside the alphabet.
    counts: how often training's transcripts hold each character.
    """

    splits: Sequence[Split]
    names: Sequence[str]
    starts: NDArray[np.int64]
    split: NDArray[np.int16]
    trained: NDArray[np.bool_]
    durations: NDArray[np.float64]
    offsets: NDArray[np.float64]
    sound: NDArray[np.void]
    unreadable: dict[int, str]
    characters: NDArray[np.int32]
    texts: NDArray[np.uint64]
    audios: NDArray[np.uint64]
    speakers: NDArray[np.uint64]
    frames: NDArray[np.int64]
    needed: NDArray[np.int64]
    outside: NDArray[np.bool_]
    counts: Counter[str]
    target: Target

    def __len__(self) -> int:
        return len(self.split)

    def utterance(self, index: int) -> Utterance:
        """The utterance behind a place in the arrays."""
        number = int(self.split[index])
        return self.splits[number].manifest[index - int(self.starts[number])]


def gather(splits: Sequence[Split], target: Target, engine: Engine) -> Facts:
    """Read every utterance once.

    Args:
        splits: the manifests.
        target: what they are meant for.
        engine: reads the audio.
    """
    sizes = [len(s.manifest) for s in splits]
    total = sum(sizes)
    split = np.repeat(np.arange(len(splits), dtype=np.int16), sizes)
    characters, offsets = np.zeros(total, np.int32), np.zeros(total)
    needed = np.full(total, -1, np.int64)
    outside = np.zeros(total, bool)
    texts, audios, speakers = (np.zeros(total, np.uint64) for _ in range(3))
    counts: Counter[str] = Counter()
    with progress_bar("reading transcripts", total) as advance:
        for i, (utterance, trained) in enumerate(_all(splits)):
            texts[i], audios[i] = digest(utterance.text), digest(utterance.audio)
            speakers[i] = 0 if utterance.speaker is None else digest(utterance.speaker)
            offsets[i] = utterance.offset
            characters[i] = len("".join(utterance.text.split()))
            if trained:
                counts.update(utterance.text)
            if target.tokenizer.unknown(utterance.text):
                outside[i] = True
            else:
                needed[i] = min_frames(target.tokenizer.encode(utterance.text))
            if i % 1000 == 0:
                advance(min(1000, total - i))
    sound, unreadable = _listen(splits, total, engine)
    samples = torch.from_numpy(np.rint(sound["seconds"] * target.sample_rate)).long()
    frames = target.output_lengths(samples).numpy()
    return Facts(
        splits=splits,
        names=short_names([s.path for s in splits]),
        starts=np.cumsum([0, *sizes[:-1]]),
        split=split,
        trained=np.array([s.trained for s in splits])[split],
        durations=np.concatenate([s.manifest.durations for s in splits]),
        offsets=offsets,
        sound=sound,
        unreadable=unreadable,
        characters=characters,
        texts=texts,
        audios=audios,
        speakers=speakers,
        frames=frames,
        needed=needed,
        outside=outside,
        counts=counts,
        target=target,
    )


def digest(text: str) -> int:
    """64 bits of a text, other than 0."""
    bits = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(bits, "little") or 1


def short_names(paths: Sequence[Path]) -> list[str]:
    """Each path's stem, with its folder's name, then with a number, where several are the same."""
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.resolve().parent.name}-{path.stem}" for path in paths]
    again = [names[:i].count(name) for i, name in enumerate(names)]
    return [f"{name}-{n + 1}" if n else name for name, n in zip(names, again, strict=True)]


def _all(splits: Sequence[Split]) -> Iterator[tuple[Utterance, bool]]:
    for split in splits:
        for utterance in split.manifest:
            yield utterance, split.trained


def _listen(
    splits: Sequence[Split], total: int, engine: Engine
) -> tuple[NDArray[np.void], dict[int, str]]:
    sound = np.zeros(total, DTYPE)
    unreadable = {}
    utterances = (utterance for utterance, _ in _all(splits))
    heard = engine.map(measure, utterances, "checking audio", total, chunk=_CHUNK)
    for i, found in enumerate(heard):
        if isinstance(found, str):
            unreadable[i] = found
            found = Sound(0.0, 0.0, 0)
        sound[i] = found
    return sound, unreadable
