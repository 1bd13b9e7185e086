"""Words with times as files that other programs read: CTM, TextGrid, JSON, SubRip, WebVTT."""

import html
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from asr.recognizer.words import TimedText, Word

# What subtitles should keep to (Netflix, Timed Text Style Guide: English, 42 characters a line,
# two lines, seven seconds); a cue also ends with a sentence and at a pause.
_CUE_CHARACTERS = 84
_LINE_CHARACTERS = 42
_CUE_SECONDS = 7.0
_CUE_PAUSE = 1.0
_CUE_GAP = 0.083  # two frames of film, the least between cues
_CLOSING = "\"')]\u201d\u2019"  # what may stand behind a full stop
_CUE_LEAST = 0.833  # seconds that a cue stays, where the next one lets it


def text(timed: TimedText) -> str:
    """The words alone, on one line."""
    return timed.text + "\n"


def ctm(timed: TimedText) -> str:
    """NIST's CTM: name, channel, start, duration, word, confidence; one word a line."""
    return "".join(
        f"{_field(timed.name)} 1 {w.start:.3f} {w.end - w.start:.3f} {_field(w.text)} "
        f"{w.confidence:.3f}\n"
        for w in timed.words
    )


def textgrid(timed: TimedText) -> str:
    """Praat's TextGrid, long form: a tier of words and a tier of tokens; gaps are empty."""
    tokens = [t for w in timed.words for t in w.tokens]
    end = max([timed.duration, *(w.end for w in timed.words)])
    tiers = [_tier("words", timed.words, end), _tier("tokens", tokens, end)]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    lines += [f"xmax = {end:.6f}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, tier in enumerate(tiers, start=1):
        lines += [f"    item [{number}]:", *tier]
    return "\n".join(lines) + "\n"


def as_json(timed: TimedText) -> str:
    """One JSON object: text, words and tokens with seconds and confidences."""
    content = {
        "name": timed.name,
        "audio": timed.audio,
        "offset": round(timed.offset, 3),
        "duration": round(timed.duration, 3),
        "confidence": round(timed.confidence, 4),
        "text": timed.text,
        "words": [_fields(w) | {"tokens": [_fields(t) for t in w.tokens]} for w in timed.words],
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def srt(timed: TimedText) -> str:
    """SubRip subtitles."""
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{_two_lines(line)}\n\n"
        for number, (start, end, line) in enumerate(_cues(timed.words), start=1)
    )


def vtt(timed: TimedText) -> str:
    """WebVTT subtitles (W3C)."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n"
        f"{html.escape(_two_lines(line), quote=False)}\n\n"
        for start, end, line in _cues(timed.words)
    )


# By what users call them: how to render one recording, and the ending of its file.
FORMATS: dict[str, tuple[Callable[[TimedText], str], str]] = {
    "text": (text, ".txt"),
    "ctm": (ctm, ".ctm"),
    "textgrid": (textgrid, ".TextGrid"),
    "json": (as_json, ".json"),
    "srt": (srt, ".srt"),
    "vtt": (vtt, ".vtt"),
}


class Delivery:
    """Takes the words of one recording after the other, and prints or writes them.

    Args:
        names: formats, of this file or among `others`, which are not its business.
        output: a folder, or None to print. Each recording becomes `<output>/<name><ending>`; CTM,
            which names its recordings, becomes one `<output>/words.ctm` of all.

    Raises:
        ValueError: an unknown format, none, or more than can be printed.
    """

    def __init__(
        self, names: Sequence[str], output: str | None, *, others: Sequence[str] = ()
    ) -> None:
        known = [*FORMATS, *others]
        for name in names:
            if name not in known:
                raise ValueError(f"format={name} is unknown: choose from {', '.join(known)}")
        if not names:
            raise ValueError(f"format=[] names nothing to write: choose from {', '.join(known)}")
        if output is None and (len(names) > 1 or names[0] in others):
            raise ValueError(
                f"format=[{','.join(names)}] goes into files: name a folder with output="
            )
        self.names = [name for name in names if name in FORMATS]
        self.output = None if output is None else Path(output)
        if self.output is not None:
            (self.output / "words.ctm").unlink(missing_ok=True)

    def __call__(self, timed: TimedText) -> None:
        """Deliver one recording."""
        for name in self.names:
            render, ending = FORMATS[name]
            if self.output is None:
                sys.stdout.write(render(timed))
                continue
            path = self.output / ("words" if name == "ctm" else timed.name)
            path = path.with_name(path.name + ending)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a" if name == "ctm" else "w", encoding="utf-8") as file:
                file.write(render(timed))


def _field(word: str) -> str:
    return "_".join(word.split()) or "_"  # white space separates CTM's fields


def _fields(word: Word) -> dict[str, str | float]:
    return {
        "text": word.text,
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.confidence, 4),
    }


def _tier(name: str, words: Sequence[Word], end: float) -> Iterator[str]:
    intervals, last = [], 0.0
    for word in words:
        start = max(word.start, last)
        if start > last:
            intervals.append((last, start, ""))
        intervals.append((start, word.end, word.text))
        last = word.end
    if last < end or not intervals:
        intervals.append((last, end, ""))
    yield '        class = "IntervalTier"'
    yield f'        name = "{name}"'
    yield "        xmin = 0"
    yield f"        xmax = {end:.6f}"
    yield f"        intervals: size = {len(intervals)}"
    for number, (start, stop, label) in enumerate(intervals, start=1):
        quoted = label.replace('"', '""')
        yield f"        intervals [{number}]:"
        yield f"            xmin = {start:.6f}"
        yield f"            xmax = {stop:.6f}"
        yield f'            text = "{quoted}"'


def _cues(words: Sequence[Word]) -> list[tuple[float, float, str]]:
    """(start, end, text) of each subtitle."""
    groups: list[list[Word]] = []
    for word in words:
        if groups and not _ends_cue(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    limits = [group[0].start for group in groups[1:]] + [math.inf] * bool(groups)
    return [
        (
            group[0].start,
            min(
                max(group[-1].end, group[0].start + _CUE_LEAST),
                max(group[-1].end, limit - _CUE_GAP),
            ),
            " ".join(word.text for word in group),
        )
        for group, limit in zip(groups, limits, strict=True)
    ]


def _ends_cue(cue: Sequence[Word], word: Word) -> bool:
    length = sum(len(w.text) + 1 for w in cue) + len(word.text)
    return (
        length > _CUE_CHARACTERS
        or word.end - cue[0].start > _CUE_SECONDS
        or word.start - cue[-1].end > _CUE_PAUSE
        or cue[-1].text.rstrip(_CLOSING)[-1:] in (".", "!", "?", "…", "。")
    )


def _two_lines(line: str) -> str:
    """Break a long cue at the space nearest to its middle."""
    spaces = [i for i, c in enumerate(line) if c == " "]
    if len(line) <= _LINE_CHARACTERS or not spaces:
        return line
    middle = min(spaces, key=lambda i: abs(2 * i + 1 - len(line)))
    return line[:middle] + "\n" + line[middle + 1 :]


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
