"""Texts that are known already: where their words are spoken in a recording."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from asr.core.padded import Padded
from asr.core.text import normalise
from asr.ctc.alignment import align
from asr.ctc.loss import feasible
from asr.data.dataset import SpeechDataset
from asr.data.loader import evaluation_plan, load_batches
from asr.recognizer.recognizer import Recognizer
from asr.recognizer.words import TimedText, Word, frame_centres, time_words, words_of
from asr.scoring.transcript import Piece


def align_file(
    recognizer: Recognizer,
    name: str,
    path: Path,
    words: Sequence[tuple[str, str]],
    batches: Iterable[Sequence[Piece]],
    *,
    raw: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TimedText:
    """Find known words in a recording of any length.

    Args:
        name: what outputs are to call it.
        words: each word as it is to be shown, and what of it is spoken (see `spoken_words`).
        batches: the recording's pieces (see `pieces`).
        progress: as for `align`.

    Raises:
        ValueError: as `pieces`; there are no words, they hold what the alphabet does not, or they
            do not fit into the recording.
    """
    if not words:
        raise ValueError("its text holds no words")
    tokens = recognizer.tokenizer.encode(" ".join(spoken for _, spoken in words))
    parts = [piece for batch in batches for piece in batch]
    log_probs = torch.cat([piece.log_probs for piece in parts])  # (T', V)
    centres = np.concatenate(
        [frame_centres(recognizer, len(piece.log_probs), piece.offset) for piece in parts]
    )
    one = Padded(log_probs[None], torch.tensor([len(log_probs)], device=log_probs.device))
    target = Padded.stack([torch.tensor(tokens, dtype=torch.int64)]).to(log_probs.device)
    duration = parts[-1].offset + parts[-1].duration
    found = words_of(recognizer, tokens, align(one, target, progress)[0], centres, duration)
    return TimedText(name, str(path), 0.0, duration, tuple(_as_shown(found, words)), raw)


def text_of(path: Path, text: str | None, words: str | None) -> str:
    """The text of a recording: given word by word, in a file, or in the file beside it.

    Raises:
        ValueError: there is none, or it is not UTF-8.
    """
    if words is not None:
        return words
    file = path.with_suffix(".txt") if text is None else Path(text)
    if not file.is_file():
        raise ValueError(f"{file}: no such file; name the text with text=FILE or words='...'")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not UTF-8 text") from None


def spoken_words(text: str, *, case: str, punctuation: str) -> list[tuple[str, str]]:
    """Each word of a text as it stands, and normalised to what is spoken of it.

    What is not spoken, such as a dash between words, is shown with the word before it.
    """
    words: list[tuple[str, str]] = []
    lead = ""
    for shown in text.split():
        spoken = normalise(shown, case=case, punctuation=punctuation)
        if spoken:
            words.append((f"{lead} {shown}".strip(), spoken))
            lead = ""
        elif words:
            words[-1] = (f"{words[-1][0]} {shown}", words[-1][1])
        else:
            lead = f"{lead} {shown}".strip()
    return words


def _as_shown(found: Sequence[Word], words: Sequence[tuple[str, str]]) -> list[Word]:
    """The words as they were written: `well-known` is spoken as two, and shown as one."""
    rest, merged = iter(found), []
    for shown, spoken in words:
        parts = list(islice(rest, len(spoken.split())))
        tokens = tuple(token for part in parts for token in part.tokens)
        confidence = float(np.mean([token.confidence for token in tokens]))
        merged.append(Word(shown, parts[0].start, parts[-1].end, confidence, tokens))
    return merged


@torch.inference_mode()
def align_dataset(
    recognizer: Recognizer,
    dataset: SpeechDataset,
    *,
    batch_seconds: float,
    left_out: Callable[[str, str], None],
    progress: Callable[[float], None] = lambda count: None,
) -> list[TimedText]:
    """Align every utterance of a manifest with its transcript.

    left_out: called with the id of each utterance that cannot be aligned, and the reason.
    progress: called with the number of utterances of each batch that is done.

    Raises:
        ValueError: an utterance could not be read.
    """
    device = next(recognizer.parameters()).device
    plan = evaluation_plan(dataset, batch_seconds, max_utterances=64)
    found: dict[int, TimedText] = {}
    for draws, batch in zip(plan, load_batches(dataset, plan, workers=0), strict=True):
        log_probs = recognizer(batch.waveforms.to(device))  # (B, T', V)
        tokens = batch.tokens.to(device)
        fits = feasible(log_probs.lengths, tokens).tolist()
        rows = []
        for row, (name, text) in enumerate(zip(batch.ids, batch.texts, strict=True)):
            if unknown := recognizer.tokenizer.unknown(text):
                left_out(name, f"the alphabet does not hold {' '.join(sorted(unknown))!r}")
            elif not fits[row]:
                left_out(name, f"too short for its text: {text!r}")
            else:
                rows.append(row)
        progress(len(draws))
        if not rows:
            continue
        utterances = [dataset.manifest[draws[row].index] for row in rows]
        timed = time_words(
            recognizer,
            Padded(log_probs.values[rows], log_probs.lengths[rows]),
            Padded(tokens.values[rows], tokens.lengths[rows]),
            [u.duration for u in utterances],
        )
        for row, u, words in zip(rows, utterances, timed, strict=True):
            found[draws[row].index] = TimedText(
                u.id, u.audio, u.offset, u.duration, tuple(words), u.raw
            )
    return [found[index] for index in sorted(found)]
