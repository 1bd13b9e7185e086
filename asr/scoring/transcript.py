"""Transcribing audio of any length: cut at pauses, recognised a few pieces at a time."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch

from asr.core.padded import Padded
from asr.data.segment import Segment, segments
from asr.decoder.base import Decoder
from asr.recognizer.recognizer import Recognizer

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".raw", ".aif", ".aiff", ".au"}


class Piece(NamedTuple):
    """The text of one stretch of a file. offset: its start in seconds."""

    offset: float
    text: str


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
                    f"{files[name]} and {found[name]} have the same name; transcribe them apart"
                )
        files |= found
    return files


@torch.inference_mode()
def transcribe(
    recognizer: Recognizer,
    decoder: Decoder,
    path: Path,
    *,
    max_seconds: float,
    batch_size: int,
    raw: str | None = None,
) -> Iterator[Piece]:
    """Yield the pieces of a file as they are recognised, in memory bounded by a batch of them.

    Raises:
        ValueError: the file cannot be read, or an option is out of range.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    device = next(recognizer.parameters()).device
    rate = recognizer.features.sample_rate
    stream = segments(path, rate, max_seconds=max_seconds, raw=raw)
    while batch := list(islice(stream, batch_size)):
        yield from _recognise(recognizer, decoder, batch, device)


def _recognise(
    recognizer: Recognizer, decoder: Decoder, batch: list[Segment], device: torch.device
) -> Iterator[Piece]:
    waveforms = Padded.stack([torch.from_numpy(s.waveform) for s in batch]).to(device)  # (B, N)
    for segment, hypotheses in zip(batch, decoder(recognizer(waveforms)), strict=True):
        yield Piece(segment.offset, hypotheses[0].text)
