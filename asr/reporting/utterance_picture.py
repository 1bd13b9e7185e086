"""One utterance as the model takes it, drawn in milliseconds: a picture at each validation.

Down the picture: the features; each token of the best path at its time, and above it those of the
reference where they fit best; the posterior of each token over time; both texts, word under word.
"""

import io
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from asr.core.padded import Padded
from asr.ctc.alignment import align
from asr.ctc.collapse import collapse
from asr.ctc.loss import BLANK, feasible
from asr.scoring.word_alignment import Place, align_words
from asr.tokenizer.base import Tokenizer

_MARGIN, _MEL, _STRIP, _ROW, _LINE = 44, 112, 17, 12, 21  # pixels
_NARROWEST, _WIDEST = 620, 1200
_MOST_ROWS = 40
_INK, _PALE, _GOLD = (20, 20, 20), (120, 120, 120), (230, 140, 0)
_COLOURS = {"right": _INK, "substitution": (200, 0, 0), "deletion": (200, 0, 0),
            "insertion": (170, 90, 0)}  # fmt: skip
_NOTHING = "***"  # where one side has no word
# Few colours make small files.
_MAGMA = (255 * matplotlib.colormaps["magma"](np.linspace(0, 1, 32))[:, :3]).astype(np.uint8)
_BLUES = (255 * matplotlib.colormaps["Blues"](np.linspace(0, 1, 64))[:, :3]).astype(np.uint8)
_BLUES[0] = 255


class Spoken(NamedTuple):
    """An utterance, and what a model makes of it.

    features: (T, F). log_probs: (T', V). frame_seconds: between frames of the latter.
    """

    duration: float
    reference: str
    hypothesis: str
    features: NDArray[np.float32]
    log_probs: torch.Tensor
    frame_seconds: float


class _Span(NamedTuple):
    """A token from frame `start` to before frame `end`, and what became of its word."""

    token: int
    start: int
    end: int
    kind: str


def draw_utterance(spoken: Spoken, tokenizer: Tokenizer, title: str) -> tuple[bytes, int, int]:
    """A PNG of about 40 kB for five seconds of speech, its width and height."""
    wanted = min(_WIDEST, max(_NARROWEST, _MARGIN + 220 * spoken.duration))
    scale = (wanted - _MARGIN) / max(spoken.duration, 1e-3)  # pixels a second
    said, heard = _reference(spoken, tokenizer), _best_path(spoken, tokenizer)
    rows = _rows(spoken, said, heard)
    texts = list(_word_lines(spoken, int(wanted) - 8))
    roll = _ROW * len(rows)
    height = _LINE + _MEL + 2 * _STRIP + roll + 32 + _LINE * len(texts) + 8
    image = Image.new("RGB", (int(wanted), height), "white")
    pen = ImageDraw.Draw(image)
    pen.text((4, 3), title, _INK, _font(13))
    size = (int(wanted) - _MARGIN, _MEL)
    image.paste(_features(spoken.features).resize(size, Image.Resampling.NEAREST), (_MARGIN, _LINE))
    top = _LINE + _MEL
    for name, spans in (("said", said), ("heard", heard)):
        pen.text((4, top + 2), name, _PALE, _font(10))
        for span in spans:
            middle = _MARGIN + scale * spoken.frame_seconds * (span.start + span.end - 1) / 2
            shown = tokenizer.spell(span.token).strip() or "\N{OPEN BOX}"
            pen.text((middle, top + 2), shown, _COLOURS[span.kind], _font(12), anchor="ma")
        top += _STRIP
    _piano_roll(image, (_MARGIN, top), rows, said, spoken, scale, tokenizer)
    _seconds(pen, top + roll, spoken.duration, scale)
    pen.text((4, top + roll + 16), _LEGEND if said else _NO_FIT, _PALE, _font(10))
    top += roll + 32
    for pieces in texts:
        for x, word, kind in pieces:
            pen.text((x, top), word, _COLOURS[kind], _font(13))
        top += _LINE
    file = io.BytesIO()
    image.quantize(128, Image.Quantize.FASTOCTREE).save(file, "PNG")
    return file.getvalue(), image.width, image.height


_LEGEND = (
    "blue: each token's posterior over time, blank below   orange frames: where the reference "
    "fits best   red: wrong"
)
_NO_FIT = (
    "blue: each token's posterior over time   the reference cannot be aligned with this output"
)


def _features(features: NDArray[np.float32]) -> Image.Image:
    low, high = np.percentile(features, [5, 99.5])
    levels = np.clip((features - low) / max(high - low, 1e-6), 0, 1)
    return Image.fromarray(_MAGMA[(31 * levels.T[::-1]).astype(np.uint8)])


def _reference(spoken: Spoken, tokenizer: Tokenizer) -> list[_Span]:
    """The reference's tokens where they fit best; none if they do not."""
    if tokenizer.unknown(spoken.reference):
        return []
    tokens = tokenizer.encode(spoken.reference)
    batch = Padded.stack([torch.tensor(tokens, dtype=torch.int64)])
    posteriors = Padded.stack([spoken.log_probs])
    if not tokens or not feasible(posteriors.lengths, batch).all():
        return []
    found = align(posteriors, batch)[0]
    kinds = _kinds(tokenizer, tokens, spoken.hypothesis, spoken.reference)
    places = zip(tokens, found.starts.tolist(), found.ends.tolist(), kinds, strict=True)
    return [_Span(*place) for place in places]


def _best_path(spoken: Spoken, tokenizer: Tokenizer) -> list[_Span]:
    """The tokens of the best path, as greedy decoding takes them."""
    best = spoken.log_probs.argmax(dim=1)
    (tokens,), (starts,) = collapse(best[None], torch.tensor([len(best)]))
    path = best.tolist()
    ends = []
    for token, start in zip(tokens, starts, strict=True):
        end = start
        while end < len(path) and path[end] == token:
            end += 1
        ends.append(end)
    kinds = _kinds(tokenizer, tokens, tokenizer.decode(tokens), spoken.reference, heard=True)
    return [_Span(*place) for place in zip(tokens, starts, ends, kinds, strict=True)]


def _kinds(
    tokenizer: Tokenizer,
    tokens: Sequence[int],
    hypothesis: str,
    reference: str,
    heard: bool = False,
) -> list[str]:
    """What became of the word of each token, of the reference or of what was heard."""
    places = [p for p in align_words(reference, hypothesis) if (p.heard if heard else p.reference)]
    kinds = ["right"] * len(tokens)
    for place, (_, where) in zip(places, tokenizer.words(tokens), strict=True):
        kinds[where] = [_kind(place)] * (where.stop - where.start)
    return kinds


def _kind(place: Place) -> str:
    if place.reference is None:
        return "insertion"
    if place.heard is None:
        return "deletion"
    return "right" if place.is_right else "substitution"


def _rows(spoken: Spoken, said: Sequence[_Span], heard: Sequence[_Span]) -> list[int]:
    """The tokens shown, from the top: those said or heard, the likeliest if there are too many."""
    tokens = {span.token for span in (*said, *heard)}
    peaks = spoken.log_probs.amax(dim=0) if len(spoken.log_probs) else spoken.log_probs.new_zeros(0)
    likeliest = sorted(tokens, key=lambda token: -float(peaks[token]))[:_MOST_ROWS]
    return [*sorted(likeliest), BLANK]


def _piano_roll(
    image: Image.Image,
    corner: tuple[int, int],
    rows: Sequence[int],
    said: Sequence[_Span],
    spoken: Spoken,
    scale: float,
    tokenizer: Tokenizer,
) -> None:
    """A row for each token: its posterior over time, and where the reference has it."""
    left, top = corner
    pen = ImageDraw.Draw(image)
    posteriors = spoken.log_probs[:, list(rows)].exp().float().numpy()  # (T', rows)
    frame = scale * spoken.frame_seconds  # pixels; frame t is centred on t * frame
    columns = np.arange(image.width - left)
    owners = np.floor(columns / frame + 0.5).astype(int)
    inside = owners < len(posteriors)
    levels = np.zeros((len(rows), len(columns)), dtype=np.uint8)
    levels[:, inside] = 63 * posteriors[owners[inside]].T ** 0.6  # so that doubts are seen
    picture = Image.fromarray(_BLUES[levels.repeat(_ROW, axis=0)])
    image.paste(picture, corner)
    for place, token in enumerate(rows):
        y = top + _ROW * place
        name = "blank" if token == BLANK else tokenizer.spell(token).strip() or "space"
        pen.text((left - 4, y - 1), name, _PALE, _font(9), anchor="ra")
        pen.line((left, y, image.width, y), (236, 236, 236))
        for span in said:
            if span.token == token:
                start, end = left + (span.start - 0.5) * frame, left + (span.end - 0.5) * frame
                pen.rectangle((start, y, max(end, start + 3), y + _ROW - 1), outline=_GOLD)


def _seconds(pen: ImageDraw.ImageDraw, top: int, duration: float, scale: float) -> None:
    step = next(s for s in (0.5, 1, 2, 5, 10, 30, 60, 600) if s * scale > 50 or s == 600)
    pen.line((_MARGIN, top, _MARGIN + duration * scale, top), _PALE)
    for mark in np.arange(0, duration, step):
        x = _MARGIN + mark * scale
        pen.line((x, top, x, top + 3), _PALE)
        pen.text((x + 2, top + 2), f"{mark:g} s", _PALE, _font(9))


def _word_lines(spoken: Spoken, width: int) -> Iterator[list[tuple[float, str, str]]]:
    """Reference and hypothesis in pairs of lines: where each word stands, and what it is."""
    font, left = _font(13), 78
    lines: tuple[list[tuple[float, str, str]], ...] = ([], [])
    x = float(left)
    for place in align_words(spoken.reference, spoken.hypothesis):
        kind = _kind(place)
        words = (place.reference or _NOTHING, place.heard or _NOTHING)
        used = max(font.getlength(word) for word in words) + 7
        if x + used > width and lines[0]:
            yield from _named(lines)
            lines, x = ([], []), float(left)
        lines[0].append((x, words[0], "right" if kind == "substitution" else kind))
        lines[1].append((x, words[1], kind))
        x += used
    yield from _named(lines)


def _named(
    lines: Sequence[list[tuple[float, str, str]]],
) -> Iterator[list[tuple[float, str, str]]]:
    for name, words in zip(("reference", "heard"), lines, strict=True):
        yield [(4.0, name, "right"), *words]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib brings a font that knows most alphabets."""
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size
    )
