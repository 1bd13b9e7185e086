"""Recordings that the page offers: audio files and folders, or the utterances of manifests."""

import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import soundfile

from asr.core.audio import audio_info, load_waveform
from asr.corpus.manifest import Utterance, read_manifest
from asr.scoring.transcript import audio_files
from asr.web.browser_audio import write_pcm16


def open_examples(paths: Sequence[Path], most: int) -> list[Utterance]:
    """The first so many recordings of the files, folders and manifests named, in order.

    Raises:
        ValueError: one cannot be read.
    """
    found: list[Utterance] = []
    for path in paths:
        room = most - len(found)
        if path.suffix == ".jsonl":
            found += islice(read_manifest(path), room)
        else:
            named = islice(audio_files([path]).items(), room)
            found += [Utterance(name, str(f), audio_info(f).duration, "") for name, f in named]
    return found


def as_wav(example: Utterance) -> bytes:
    """A recording as a WAV file that every browser plays: one channel, 16 bits, at its own rate.

    Raises:
        ValueError: as `load_waveform`.
    """
    rate = audio_info(example.audio, example.raw).sample_rate
    samples = load_waveform(
        example.audio, rate, offset=example.offset, duration=example.duration, raw=example.raw
    )
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, 1, "PCM_16", format="WAV") as sound:
        write_pcm16(sound, samples)
    return file.getvalue()
