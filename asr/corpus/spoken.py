"""The embedded corpus: sentences of our own grammar, read by a text-to-speech engine.

SVOX Pico (py-nanotts) brings its voices in its wheel, so that a first training needs no download
and nobody's licence. Styles (voice x pitch x speed) are the speakers; sentences and styles of the
development and test splits do not occur in training. Levels, pauses and a little background
noise vary, because a perfectly clean recording teaches nothing about real ones.
"""

import ctypes
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from importlib.metadata import version
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import py_nanotts
import soundfile
from numpy.typing import NDArray

from asr.core.progress import progress_bar
from asr.corpus.base import Corpus
from asr.corpus.grammar import pronunciation, sentences, transcript
from asr.corpus.manifest import Utterance

SAMPLE_RATE = 16000  # Pico's own
SPLITS = ("train", "dev", "test")

_RENDERING = 1  # raise it when `render` changes, so that old audio is made anew
_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_MAX_WORKERS = 8


class Style(NamedTuple):
    """A way of speaking; pitch and speed are factors of the voice's own."""

    voice: str
    pitch: float
    speed: float

    @property
    def name(self) -> str:
        """Such as "en-GB_p0.95_s1.10"."""
        return f"{self.voice}_p{self.pitch:.2f}_s{self.speed:.2f}"


def styles(split: str) -> list[Style]:
    """The styles of a split; no two splits share one."""
    common, between = (0.80, 0.95, 1.10, 1.25), (0.87, 1.02, 1.18)
    pitches, speeds = {
        "train": (common, common),
        "dev": (between[1:2], between),
        "test": (between[::2], between),
    }[split]
    return [Style(*each) for each in product(("en-GB", "en-US"), pitches, speeds)]


class Reading(NamedTuple):
    """One sentence to be read into one file."""

    path: str
    sentence: str
    style: Style
    seed: tuple[int, ...]
    noise_snr_db: tuple[float, float]


class Spoken(Corpus):
    """The embedded corpus.

    Args:
        num_train, num_dev, num_test: sentences of each split, about 3 seconds each.
        noise_snr_db: the lowest and the highest signal-to-noise ratio, in dB.
        seed: of sentences, noise, pauses and levels. The same seed gives the same samples (on a
            C library without glibc's `mallopt`, up to one part in a thousand).
        num_workers: processes that synthesise; None is one a CPU. Never this one: what else it has
            done would change the samples' last bits.
    """

    def __init__(
        self,
        *,
        num_train: int,
        num_dev: int,
        num_test: int,
        noise_snr_db: tuple[float, float],
        seed: int,
        num_workers: int | None,
    ) -> None:
        super().__init__()
        self.counts = dict(zip(SPLITS, (num_train, num_dev, num_test), strict=True))
        for split, count in self.counts.items():
            if count < 1:
                raise ValueError(f"corpus.num_{split}={count} must be at least 1")
        low, high = noise_snr_db
        if low > high:
            raise ValueError(f"corpus.noise_snr_db=[{low}, {high}] must be [lowest, highest] in dB")
        if num_workers is not None and num_workers < 1:
            raise ValueError(f"corpus.num_workers={num_workers} must be at least 1, or null")
        self.noise_snr_db = (float(low), float(high))
        self.seed = seed
        self.num_workers = num_workers

    @property
    def splits(self) -> tuple[str, ...]:
        """train, dev and test."""
        return SPLITS

    def utterances(self, split: str, folder: Path) -> Iterator[Utterance]:
        """Synthesise a split, unless it stands complete in the folder, and yield it."""
        audio = folder / "audio" / split
        readings = self.readings(split, audio)
        plan = _fingerprint(readings)
        stamp = audio / "complete.json"
        if not _is_complete(stamp, plan, readings):
            shutil.rmtree(audio, ignore_errors=True)
            audio.mkdir(parents=True)
            _read_aloud(readings, self.num_workers, f"speaking {split}")
            stamp.write_text(json.dumps({"plan": plan}) + "\n")
        for reading in readings:
            yield Utterance(
                id=Path(reading.path).stem,
                audio=reading.path,
                duration=0.0,
                text=transcript(reading.sentence),
                speaker=reading.style.name,
            )

    def readings(self, split: str, audio: Path) -> list[Reading]:
        """What is to be read into which file, in which style."""
        index = SPLITS.index(split)
        # Test comes first: more training sentences leave the other splits as they are.
        order = ("test", "dev", "train")
        first = sum(self.counts[s] for s in order[: order.index(split)])
        chosen = sentences(first + self.counts[split], self.seed)[first:]
        voices = styles(split)
        deal = np.random.default_rng([self.seed, index]).permutation(len(chosen)) % len(voices)
        return [
            Reading(
                str(audio / f"{split}-{number:05d}.flac"),
                sentence,
                voices[style],
                (self.seed, index, number),
                self.noise_snr_db,
            )
            for number, (sentence, style) in enumerate(zip(chosen, deal, strict=True))
        ]


def speak(sentence: str, style: Style) -> NDArray[np.float64]:
    """The engine's (N,) samples in [-1, 1] at 16 kHz."""
    pcm = py_nanotts.NanoTTS().speak(
        pronunciation(sentence), voice=style.voice, speed=style.speed, pitch=style.pitch
    )
    return np.frombuffer(pcm, dtype="<i2") / 32768


def render(
    speech: NDArray[np.float64], noise_snr_db: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Add pauses before and after, a level and background noise, all drawn from `rng`.

    Args:
        speech: (N,) samples.
        noise_snr_db: the range of the signal-to-noise ratio.
    """
    before, after = rng.uniform(0.02, 0.3, size=2)
    padded = np.pad(speech, (int(before * SAMPLE_RATE), int(after * SAMPLE_RATE)))
    white = rng.standard_normal(1 << len(padded).bit_length())  # a power of two: FFTs are fast
    noise = (white if rng.random() < 0.5 else _pink(white))[: len(padded)]
    snr_db = rng.uniform(*noise_snr_db)
    level = np.sqrt(np.mean(speech**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    mixed = padded + level * noise
    peak_db = rng.uniform(-20.0, -1.0)
    return np.asarray(mixed * (10 ** (peak_db / 20) / np.abs(mixed).max()))


def _pink(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equal power in each octave above 30 Hz."""
    frequencies = np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(white) / np.sqrt(np.maximum(frequencies, 30.0))
    return np.fft.irfft(spectrum, len(white))


def _read(reading: Reading) -> None:
    samples = render(
        speak(reading.sentence, reading.style),
        reading.noise_snr_db,
        np.random.default_rng(reading.seed),
    )
    soundfile.write(reading.path, samples, SAMPLE_RATE, subtype="PCM_16")


def _read_aloud(readings: list[Reading], num_workers: int | None, title: str) -> None:
    """Synthesise in processes: the engine holds the interpreter's lock while it speaks."""
    if num_workers is None:
        num_workers = min(os.cpu_count() or 1, _MAX_WORKERS)
    with progress_bar(title, len(readings)) as advance:
        executor = ProcessPoolExecutor(num_workers, get_context("spawn"), _make_engine_repeatable)
        try:
            _run(executor, readings, advance)
        finally:
            executor.shutdown(cancel_futures=True)


def _run(executor: Executor, readings: list[Reading], advance: Callable[[float], None]) -> None:
    # Workers are born deaf to Ctrl-C, which a terminal sends them too: the parent stops them, and
    # even one that is still starting says nothing.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = executor.map(_read, readings, chunksize=8)
    finally:
        signal.signal(signal.SIGINT, handler)
    for _ in done:
        advance(1)


def _make_engine_repeatable() -> None:
    # Pico reads memory that it never wrote: what malloc recycles changes its last bits. Blocks
    # beyond the threshold come fresh from the system, full of zeros.
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 17)


def _fingerprint(readings: list[Reading]) -> str:
    """Changes with whatever changes the audio."""
    said = [(Path(r.path).name, *r[1:]) for r in readings]
    return hashlib.sha256(repr((_RENDERING, version("py-nanotts"), said)).encode()).hexdigest()


def _is_complete(stamp: Path, plan: str, readings: list[Reading]) -> bool:
    try:
        stands = json.loads(stamp.read_text())["plan"] == plan
    except (OSError, ValueError, KeyError):
        return False
    return stands and all(Path(reading.path).is_file() for reading in readings)
