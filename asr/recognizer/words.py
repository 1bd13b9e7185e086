"""Words with times and confidences: what an alignment says of a text, in seconds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.core.padded import Padded
from asr.ctc.alignment import Alignment, align
from asr.recognizer.recognizer import Recognizer


class Word(NamedTuple):
    """A word, or a token of one. start, end: seconds. confidence: 0 to 1.

    CTC is sure of a token at a point rather than over its length, so that words come out a little
    short: from the first frame of their first token to the last frame of their last.
    A word's confidence is the mean of its tokens'.
    """

    text: str
    start: float
    end: float
    confidence: float
    tokens: tuple["Word", ...] = ()


class TimedText(NamedTuple):
    """A recording, or a stretch of one, and its words, whose times count from its start.

    name: what outputs call it. audio: its file; raw: its form, if it is headerless.
    offset, duration: seconds of the stretch.
    """

    name: str
    audio: str
    offset: float
    duration: float
    words: tuple[Word, ...]
    raw: str | None = None

    @property
    def text(self) -> str:
        """The words, joined by spaces."""
        return " ".join(word.text for word in self.words)

    @property
    def confidence(self) -> float:
        """Mean over the words; 1 where there are none."""
        return float(np.mean([word.confidence for word in self.words])) if self.words else 1.0


def time_words(
    recognizer: Recognizer, log_probs: Padded, tokens: Padded, durations: Sequence[float]
) -> list[list[Word]]:
    """The words of each utterance of a batch, whose log-probabilities the recogniser gave.

    Args:
        log_probs: (B, T', V). tokens: (B, U). durations: (B,) seconds of audio.

    Raises:
        ValueError: as `align`.
    """
    found = align(log_probs, tokens)
    return [
        words_of(
            recognizer,
            tokens.values[i, : int(tokens.lengths[i])].tolist(),
            one,
            frame_centres(recognizer, int(log_probs.lengths[i])),
            duration,
        )
        for i, (one, duration) in enumerate(zip(found, durations, strict=True))
    ]


def frame_centres(recognizer: Recognizer, frames: int, offset: float = 0.0) -> NDArray[np.float64]:
    """(frames,) the seconds on which frames are centred that begin at second `offset`."""
    return offset + np.arange(frames, dtype=np.float64) * recognizer.frame_seconds


def words_of(
    recognizer: Recognizer,
    tokens: Sequence[int],
    alignment: Alignment,
    centres: NDArray[np.float64],
    duration: float,
) -> list[Word]:
    """The words of one utterance.

    Args:
        tokens: (U,). alignment: of these tokens.
        centres: (T',) the second on which each frame is centred.
        duration: seconds; nothing begins before 0 or ends after it.
    """
    half = recognizer.frame_seconds / 2
    starts = np.clip(centres[alignment.starts] - half, 0, duration)
    ends = np.clip(centres[alignment.ends - 1] + half, 0, duration)
    timed = [
        Word(recognizer.tokenizer.symbols[token], float(start), float(end), float(sure))
        for token, start, end, sure in zip(tokens, starts, ends, alignment.confidences, strict=True)
    ]
    return [
        Word(
            text,
            timed[where][0].start,
            timed[where][-1].end,
            float(np.mean(alignment.confidences[where])),
            tuple(timed[where]),
        )
        for text, where in recognizer.tokenizer.words(tokens)
    ]
