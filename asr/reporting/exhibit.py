"""What there is to hear and see of an utterance: its sound, its spectrogram, its words in it."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image

from asr.core.audio import load_waveform
from asr.core.padded import Padded
from asr.corpus.manifest import Utterance
from asr.ctc.loss import feasible
from asr.recognizer.recognizer import Recognizer
from asr.recognizer.words import time_words
from asr.scoring.comparison import Comparison
from asr.scoring.word_alignment import Place

_RATE = 16000  # Hz
# What every browser plays; of variable bit rate (about 40 kbit/s) it keeps its length to the
# sample, so that words stay where they are.
_CODING = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE"}
_COMPRESSION = 0.5  # 0 to 1
_LEVELS = 16  # of colour: a third of the bytes of all, and nothing that is seen

# A word: text, start and end in seconds, what it is (right, wrong, extra, missing), confidence.
TimedWord = tuple[str, float, float, str, float]


class Exhibit(NamedTuple):
    """As the page's script takes it.

    audio, picture: data URIs. seconds: of both. lanes: what each line is called, and its words.
    notes: what could not be shown, and why.
    """

    audio: str
    picture: str
    seconds: float
    lanes: list[tuple[str, list[TimedWord]]]
    notes: list[str]


def worst(comparison: Comparison, count: int, max_seconds: float) -> list[int]:
    """Places of the utterances with the most errors of all systems together, none too long."""
    utterances = comparison.systems[0].evaluation.utterances
    errors = [sum(s.counts[i].errors for s in comparison.systems) for i in range(len(utterances))]
    fit = [i for i, u in enumerate(utterances) if u.duration <= max_seconds]
    return sorted(fit, key=lambda i: -errors[i])[:count]


@torch.inference_mode()
def exhibit(
    utterance: Utterance, comparison: Comparison, index: int, recognizers: Sequence[Recognizer]
) -> Exhibit:
    """An utterance as the systems of a comparison heard it.

    index: its place in the test set. recognizers: of each system. The picture are the features of
    the first, and where the reference is, is that one's alignment.

    Raises:
        ValueError: its audio cannot be read.
    """
    first, places = recognizers[0], [system.places[index] for system in comparison.systems]
    texts = [("reference", comparison.systems[0].evaluation.utterances[index].reference)]
    texts += [(s.name, s.evaluation.utterances[index].hypothesis) for s in comparison.systems]
    kinds = [list(_kinds_said(places)), *(list(_kinds_heard(own)) for own in places)]
    log_probs = {r: r(_batch(r, utterance)) for r in dict.fromkeys(recognizers)}  # (1, T', V)
    lanes, notes = [], []
    for recognizer, (name, text), own in zip([first, *recognizers], texts, kinds, strict=True):
        words, fault = _timed(recognizer, log_probs[recognizer], utterance.duration, text, own)
        lanes.append((name, words))
        notes += [f"Where the words of {name} lie is not known: {fault}."] if fault else []
    batch = _batch(first, utterance)
    features = first.features(batch).values[0].float().cpu().numpy()  # (T, F)
    seconds = int(batch.lengths[0]) / first.features.sample_rate
    sound = _waveform(utterance, _RATE)
    return Exhibit(audio_uri(sound), picture_uri(features), round(seconds, 4), lanes, notes)


def audio_uri(waveform: NDArray[np.float32]) -> str:
    """Samples at 16 kHz as MP3 in a data URI."""
    file = io.BytesIO()
    soundfile.write(file, waveform, _RATE, compression_level=_COMPRESSION, **_CODING)
    return "data:audio/mpeg;base64," + base64.b64encode(file.getvalue()).decode()


def picture_uri(features: NDArray[np.float32]) -> str:
    """(T, F) as a PNG in a data URI: a column for each frame, the first feature at the bottom."""
    low, high = np.percentile(features, [5, 99.5])
    levels = np.rint(np.clip((features - low) / max(high - low, 1e-6), 0, 1) * (_LEVELS - 1))
    picture = Image.fromarray(levels.T[::-1].astype(np.uint8))
    colours = matplotlib.colormaps["magma"](np.linspace(0, 1, _LEVELS), bytes=True)[:, :3]
    picture.putpalette(colours.tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", bits=4, optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _timed(
    recognizer: Recognizer, log_probs: Padded, duration: float, text: str, kinds: Sequence[str]
) -> tuple[list[TimedWord], str | None]:
    """The words of a text with their times; none, and why, where they cannot be aligned."""
    if unknown := recognizer.tokenizer.unknown(text):
        return [], f"the alphabet does not hold {' '.join(sorted(unknown))!r}"
    encoded = torch.tensor(recognizer.tokenizer.encode(text), dtype=torch.int64)
    tokens = Padded.stack([encoded]).to(log_probs.values.device)
    if not feasible(log_probs.lengths, tokens).all():
        return [], "it has more tokens than there is time for"
    (words,) = time_words(recognizer, log_probs, tokens, [duration])
    return [
        (word.text, round(word.start, 3), round(word.end, 3), kind, round(word.confidence, 2))
        for word, kind in zip(words, kinds, strict=True)
    ], None


def _batch(recognizer: Recognizer, utterance: Utterance) -> Padded:
    waveform = torch.from_numpy(_waveform(utterance, recognizer.features.sample_rate))
    return Padded.stack([waveform]).to(next(recognizer.parameters()).device)  # (1, N)


def _waveform(utterance: Utterance, rate: int) -> NDArray[np.float32]:
    return load_waveform(
        utterance.audio, rate, offset=utterance.offset, duration=utterance.duration,
        raw=utterance.raw,
    )  # fmt: skip


def _kinds_said(systems: Sequence[Sequence[Place]]) -> Iterator[str]:
    """Of each word of the reference: missing where no system has anything for it."""
    said = ([heard for word, heard in places if word is not None] for places in systems)
    for heard in zip(*said, strict=True):
        yield "missing" if all(word is None for word in heard) else "right"


def _kinds_heard(places: Sequence[Place]) -> Iterator[str]:
    """Of each word of a hypothesis."""
    for said, heard in places:
        if heard is not None:
            yield "extra" if said is None else "right" if said == heard else "wrong"
