"""What a prepared corpus holds, as data and as a page of text."""

import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from asr.core.audio import AudioInfo
from asr.corpus.base import LeftOut
from asr.corpus.manifest import Utterance, read_manifest

_WIDTH = 100
_MAX_BINS = 12
_BIN_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 3600)


@dataclass(frozen=True)
class SplitReport:
    """One split.

    speakers: how many are named; 0 where the corpus names none. seconds: shortest, median and
    longest. histogram: [from second, to second, utterances]. formats: files by coding, rate and
    channels. left_out: by reason, how many and a few names.
    """

    utterances: int
    hours: float
    speakers: int
    words: int
    vocabulary: int
    seconds: tuple[float, float, float]
    histogram: list[tuple[float, float, int]]
    characters: dict[str, int]
    removed: dict[str, int]
    formats: dict[str, int]
    sample_rates: dict[int, int]
    left_out: dict[str, tuple[int, list[str]]]


@dataclass(frozen=True)
class Shared:
    """What two splits have in common, which flatters a score: speakers and whole sentences."""

    splits: tuple[str, str]
    speakers: int
    sentences: int


@dataclass(frozen=True)
class Report:
    """A corpus: its folder, how its text was normalised, its splits, and what to look at."""

    folder: str
    case: str
    punctuation: str
    splits: dict[str, SplitReport]
    shared: list[Shared]
    warnings: list[str]


def describe_split(
    kept: Sequence[Utterance],
    infos: Sequence[AudioInfo],
    removed: Mapping[str, int],
    left_out: LeftOut,
) -> SplitReport:
    """Count what a manifest holds.

    Args:
        kept: its utterances, at least one.
        infos: the form of each one's audio.
        removed: characters that normalisation took out, with counts.
        left_out: what did not become an utterance.
    """
    seconds = np.array([u.duration for u in kept])
    words = Counter(word for u in kept for word in u.text.split())
    return SplitReport(
        utterances=len(kept),
        hours=float(seconds.sum()) / 3600,
        speakers=len({u.speaker for u in kept} - {None}),
        words=words.total(),
        vocabulary=len(words),
        seconds=(float(seconds.min()), float(np.median(seconds)), float(seconds.max())),
        histogram=histogram(seconds.tolist()),
        characters=_ranked(Counter(character for u in kept for character in u.text)),
        removed=_ranked(removed),
        formats=_ranked(Counter(f"{i.format} {i.sample_rate} Hz {i.channels} ch" for i in infos)),
        sample_rates=dict(Counter(i.sample_rate for i in infos).most_common()),
        left_out={reason: (n, left_out.examples[reason]) for reason, n in left_out.most_common()},
    )


def histogram(seconds: Sequence[float]) -> list[tuple[float, float, int]]:
    """Bins of one round width, at most a dozen where that can be: [from, to, how many]."""
    longest = max(seconds)
    width = next((w for w in _BIN_SECONDS if longest < w * _MAX_BINS), _BIN_SECONDS[-1])
    counts = Counter(int(s // width) for s in seconds)
    bins = range(min(counts), max(counts) + 1)
    return [(b * width, (b + 1) * width, counts[b]) for b in bins]


def summarise(
    folder: Path, splits: dict[str, SplitReport], case: str, punctuation: str, sample_rate: int
) -> Report:
    """Compare the splits of a folder of manifests and say what deserves a look."""
    shared = _shared(folder, tuple(splits))
    warnings = []
    for name, split in splits.items():
        others = {rate: n for rate, n in split.sample_rates.items() if rate != sample_rate}
        if others:
            seen = ", ".join(f"{n} at {rate} Hz" for rate, n in others.items())
            warnings.append(
                f"{name}: {seen}, not {sample_rate} Hz. They are resampled at every load; convert "
                f"them once to save that: ffmpeg -i IN -ar {sample_rate} -ac 1 OUT.flac"
            )
        digits = sum(n for character, n in split.characters.items() if character.isdigit())
        if digits:
            warnings.append(
                f"{name}: {digits} digits in the text. A model cannot hear how a number is "
                "written; spell numbers out as words"
            )
    known = next(iter(splits.values())).characters
    for name, split in splits.items():
        if unknown := [c for c in split.characters if c not in known]:
            warnings.append(
                f"{name}: the characters {' '.join(unknown)} do not occur in {next(iter(splits))}; "
                "a model trained on that cannot write them"
            )
    return Report(str(folder), case, punctuation, splits, shared, warnings)


def _shared(folder: Path, splits: Sequence[str]) -> list[Shared]:
    speakers, sentences = {}, {}
    for split in splits:
        manifest = read_manifest(folder / f"{split}.jsonl")
        speakers[split] = {u.speaker for u in manifest} - {None}
        sentences[split] = {u.text for u in manifest}
    return [
        Shared((a, b), len(speakers[a] & speakers[b]), len(sentences[a] & sentences[b]))
        for a, b in combinations(splits, 2)
    ]


def write_report(path: Path, report: Report) -> None:
    """Write a report as JSON, whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(asdict(report), ensure_ascii=False, indent=1) + "\n", "utf-8")
    temporary.replace(path)


def render(report: Report) -> str:
    """A page of text for people."""
    splits = report.splits
    lines = [f"{report.folder}: {', '.join(f'{name}.jsonl' for name in splits)}", ""]
    lines += _table(splits)
    for name, split in splits.items():
        lines += ["", f"{name}: utterances by seconds", *_bars(split.histogram)]
    lines += ["", "Characters"]
    lines += [_wrapped(name, _counts(split.characters)) for name, split in splits.items()]
    lines += ["", f"Removed from the text (case={report.case}, kept: {report.punctuation!r})"]
    lines += [_wrapped(n, _counts(split.removed) or "nothing") for n, split in splits.items()]
    lines += ["", "Audio"]
    lines += [_wrapped(name, _counts(split.formats, ": ")) for name, split in splits.items()]
    lines += ["", "Left out"]
    for name, split in splits.items():
        for reason, (count, examples) in split.left_out.items():
            lines.append(_wrapped(name, f"{count}: {reason}, such as {'; '.join(examples)}"))
        if not split.left_out:
            lines.append(_wrapped(name, "nothing"))
    if report.shared:
        lines += ["", "Shared by splits"]
    for pair in report.shared:
        both = f"{pair.splits[0]} and {pair.splits[1]}"
        lines.append(f"  {both}: {pair.speakers} speakers, {pair.sentences} different sentences")
    lines += ["", *(_wrapped("warning", text) for text in report.warnings)]
    return "\n".join(lines).rstrip() + "\n"


def _table(splits: Mapping[str, SplitReport]) -> list[str]:
    head = ("split", "utterances", "hours", "speakers", "words", "vocabulary")
    rows = [[*head, "shortest", "median", "longest"]]
    for name, s in splits.items():
        speakers = f"{s.speakers:,}" if s.speakers else "?"
        row = [name, f"{s.utterances:,}", f"{s.hours:.2f}", speakers, f"{s.words:,}"]
        rows.append([*row, f"{s.vocabulary:,}", *(f"{x:.2f} s" for x in s.seconds)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def _bars(bins: Sequence[tuple[float, float, int]]) -> list[str]:
    most = max(count for _, _, count in bins)
    return [
        f"  {f'{low:g}-{high:g}':>9}  {count:>7,}  {'█' * round(40 * count / most)}".rstrip()
        for low, high, count in bins
    ]


def _counts(counts: Mapping[str, int], between: str = " ") -> str:
    shown = ((name if name.strip() else "space", n) for name, n in counts.items())
    return ", ".join(f"{name}{between}{n:,}" for name, n in shown)


def _wrapped(name: str, text: str) -> str:
    indent = "  " + " " * (len(name) + 2)
    return textwrap.fill(text, _WIDTH, initial_indent=f"  {name}: ", subsequent_indent=indent)


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
