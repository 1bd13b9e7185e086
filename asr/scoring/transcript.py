"""Recordings of any length: cut at pauses, recognised in pieces; their text, words and times."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from asr.core.padded import Padded
from asr.data.segment import segments
from asr.decoder.base import Decoder
from asr.recognizer.recognizer import Recognizer
from asr.recognizer.words import Word, time_words

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".raw", ".aif", ".aiff", ".au"}


class Piece(NamedTuple):
    """One stretch of a recording. offset, duration: seconds. log_probs: (T', V)."""

    offset: float
    duration: float
    log_probs: Tensor


class Heard(NamedTuple):
    """What was recognised in one piece; the words' times count from the recording's start."""

    end: float
    text: str
    words: list[Word]


def audio_files(paths: Sequence[Path]) -> dict[str, Path]:
    """The files named, and those in the folders named that look like audio, in order.

    Returns:
        Each file by its name, which is relative to the folder that was named.

    Raises:
        ValueError: a path does not exist, a folder holds no audio, or two files have one name.
    """
    files: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
        found = {path.name: path}
        if path.is_dir():
            audio = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
            found = {str(p.relative_to(path)): p for p in audio}
            if not found:
                kinds = " ".join(sorted(AUDIO_SUFFIXES))
                raise ValueError(f"{path}: no audio in this folder ({kinds})")
        for name in found.keys() & files.keys():
            if files[name] != found[name]:
                raise ValueError(
                    f"{files[name]} and {found[name]} have the same name; give them apart"
                )
        files |= found
    return files


@torch.inference_mode()
def pieces(
    recognizer: Recognizer,
    path: Path,
    *,
    max_seconds: float,
    batch_size: int,
    raw: str | None = None,
    heard: Callable[[float], None] = lambda seconds: None,
) -> Iterator[list[Piece]]:
    """Yield a recording's pieces, a batch of them at a time, in memory bounded by a batch.

    heard: called with the seconds of audio in each batch.

    Raises:
        ValueError: the file cannot be read, or an option is out of range.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    device = next(recognizer.parameters()).device
    rate = recognizer.features.sample_rate
    stream = segments(path, rate, max_seconds=max_seconds, raw=raw)
    while batch := list(islice(stream, batch_size)):
        waveforms = Padded.stack([torch.from_numpy(s.waveform) for s in batch])  # (B, N)
        log_probs = recognizer(waveforms.to(device))  # (B, T', V)
        lengths = log_probs.lengths.tolist()
        heard(int(waveforms.lengths.sum()) / rate)
        yield [
            Piece(segment.offset, len(segment.waveform) / rate, values[:frames])
            for segment, values, frames in zip(batch, log_probs.values, lengths, strict=True)
        ]


def transcribe(
    recognizer: Recognizer,
    decoder: Decoder,
    path: Path,
    *,
    max_seconds: float,
    batch_size: int,
    raw: str | None = None,
) -> Iterator[Heard]:
    """Yield what is heard in each piece of a recording, as soon as it is recognised.

    Raises:
        ValueError: as `pieces`.
    """
    for batch in pieces(recognizer, path, max_seconds=max_seconds, batch_size=batch_size, raw=raw):
        log_probs = Padded.stack([piece.log_probs for piece in batch])
        log_probs = Padded(log_probs.values, log_probs.lengths.to(log_probs.values.device))
        best = [hypotheses[0] for hypotheses in decoder(log_probs)]
        tokens = Padded.stack([torch.tensor(h.tokens, dtype=torch.int64) for h in best])
        timed = time_words(
            recognizer, log_probs, tokens.to(log_probs.values.device), [p.duration for p in batch]
        )
        for piece, hypothesis, words in zip(batch, best, timed, strict=True):
            later = [_later(word, piece.offset) for word in words]
            yield Heard(piece.offset + piece.duration, hypothesis.text, later)


def _later(word: Word, seconds: float) -> Word:
    return word._replace(
        start=word.start + seconds,
        end=word.end + seconds,
        tokens=tuple(_later(token, seconds) for token in word.tokens),
    )
