"""Audio that costs what speech costs, where there is none: for benchmarks, never to learn from.

Durations are spread as in LibriSpeech's train-clean-100: most from 12 to 16 seconds, a fifth
shorter. Each file is a buzz of moving pitch under noise, cut into syllables; flac takes 60 % of it,
about as of speech.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16000
_LETTERS_A_SECOND = 14


def durations(count: int, seed: int) -> NDArray[np.float64]:
    """Seconds of so many utterances, mean about 12.7."""
    rng = np.random.default_rng([seed, 1])
    usual = rng.normal(14.4, 1.3, count).clip(11, 17.5)
    return np.where(rng.random(count) < 0.2, rng.uniform(1.5, 11, count), usual).round(3)


def write_corpus(
    folder: Path, *, seconds: Sequence[float] | NDArray[np.float64], utterances: int
) -> tuple[Path, Path]:
    """A flac file of each duration, by all cores, and manifests for training and development.

    The training manifest names the files again and again, under other names: an epoch may be long
    though little was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = len(seconds)
    with ProcessPoolExecutor() as pool:
        paths = list(pool.map(_write, repeat(folder), range(files), seconds))
    lines = [_line(paths[i % files], i, float(seconds[i % files])) for i in range(utterances)]
    return _manifest(folder / "train.jsonl", lines), _manifest(folder / "dev.jsonl", lines[:1])


def _manifest(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _line(path: str, number: int, seconds: float) -> str:
    rng = np.random.default_rng(number)
    letters = rng.choice(list("etaoinshrdlucm    "), int(seconds * _LETTERS_A_SECOND))
    text = " ".join("".join(letters).split()) or "e"
    entry = {"audio_filepath": path, "duration": seconds, "text": text, "id": f"u{number}"}
    return json.dumps(entry)


def _write(folder: Path, number: int, seconds: float) -> str:
    rng = np.random.default_rng([number, 2])
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (rng.uniform(90, 220) * time + 3 * np.sin(2 * np.pi * 0.7 * time))
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = np.abs(np.sin(2 * np.pi * 2.2 * time)) ** 2
    sound = 0.05 * syllables * buzz + 0.004 * rng.standard_normal(len(time))
    path = folder / f"{number:05}.flac"
    soundfile.write(path, sound, RATE)
    return str(path)
