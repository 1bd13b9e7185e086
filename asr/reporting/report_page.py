"""A run's evaluations as one HTML page: how many errors, where they are, and how they sound."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from xml.etree.ElementTree import Element

from asr.reporting.comparison_page import pair_summary
from asr.reporting.comparison_rows import SUMMARY_HEAD, drawn_over, own_cells, rate_interval
from asr.reporting.exhibit import Exhibit
from asr.reporting.page import Node, data, element, page, table
from asr.reporting.report_tables import bars, breakdown, highest, word_tables
from asr.reporting.utterance_table import Row, columns, utterance_table
from asr.scoring.breakdown import by_figure, by_name
from asr.scoring.comparison import Comparison

_MOST_PARTS = 6  # of utterances by a figure


@dataclass(frozen=True)
class Chapter:
    """One test set.

    levels, contrasts: of each utterance the loudest 10 ms in dB of full scale, and how many dB
    they are above the quietest. sounding: seconds in which something is heard. NaN: not known.
    exhibits: of some utterances, by their places. notes: what is not there, and why.
    """

    comparison: Comparison
    levels: Sequence[float]
    contrasts: Sequence[float]
    sounding: Sequence[float]
    exhibits: Mapping[int, Exhibit] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @cached_property
    def rates(self) -> list[float]:
        """Characters of the reference for each second in which something is heard."""
        utterances = self.comparison.systems[0].evaluation.utterances
        return [
            len("".join(u.reference.split())) / seconds
            for u, seconds in zip(utterances, self.sounding, strict=True)
        ]


def report_page(title: str, chapters: Sequence[Chapter], limit: int) -> str:
    """The page of all test sets. limit: rows of each table of words."""
    sections = (_chapter(chapter, f"set-{n}", limit) for n, chapter in enumerate(chapters, 1))
    return page(title, *_summary(chapters), *chain.from_iterable(sections))


def kaldi_lines(comparison: Comparison) -> Iterator[str]:
    """What Kaldi's scoring prints, words and characters, under what each system is called."""
    for system in comparison.systems:
        yield f"{system.evaluation.test_set}, {system.name}"
        for name, counts, interval in (("WER", system.wer, system.interval), ("CER", *system.cer)):
            yield f"  {counts.kaldi(name)}   95 % interval {rate_interval(interval)}"


def _summary(chapters: Sequence[Chapter]) -> Iterator[Node]:
    systems = [system for chapter in chapters for system in chapter.comparison.systems]
    top = highest([system.interval for system in systems])
    rows: list[list[Node]] = [
        [
            s.evaluation.test_set, *own_cells(s), bars([(s.wer.rate, *s.interval)], top),
            f"{100 * s.cer[0].rate:.2f}", rate_interval(s.cer[1]),
        ]
        for s in systems
    ]  # fmt: skip
    wer = f"WER, 0 to {100 * top:.0f} %"
    heads = ["test set", "by", *SUMMARY_HEAD[1:], wer, "CER %", "95 % interval"]
    yield element("div", table(heads, rows), class_="scroll")
    over = (
        f"{drawn_over(c.comparison)} ({c.comparison.systems[0].evaluation.test_set})"
        for c in chapters
    )
    yield element("p", f"Intervals: bootstraps over {', '.join(over)}.", class_="faint")
    lines = "\n".join(line for c in chapters for line in kaldi_lines(c.comparison))
    yield element("details", element("summary", "Kaldi's lines"), element("pre", lines))


def _chapter(chapter: Chapter, name: str, limit: int) -> Iterator[Node]:
    comparison = chapter.comparison
    yield element("h2", comparison.title)
    for note in chapter.notes:
        yield element("p", note, class_="faint")
    for pair in comparison.pairs:
        yield from pair_summary(pair)
    yield element("h3", "Which utterances")
    about = "Bars are WER in the order of the columns, the lines on them its 95 % intervals."
    yield element("p", about, class_="faint")
    yield element("div", *_breakdowns(chapter), class_="cards")
    yield element("h3", "Which words")
    yield element("div", *word_tables(comparison, limit), class_="cards narrow")
    yield element("h3", "Utterances")
    yield from _utterances(chapter, name)


def _breakdowns(chapter: Chapter) -> Iterator[Element]:
    comparison, utterances = chapter.comparison, chapter.comparison.systems[0].evaluation.utterances
    for title, figures, digits in (
        ("WER % by length, in seconds", [u.duration for u in utterances], 1),
        ("by speaking rate, in characters a second", chapter.rates, 1),
        ("by level, in dB of full scale", chapter.levels, 0),
        ("by level over its background, in dB", chapter.contrasts, 0),
    ):
        yield breakdown(title, comparison, by_figure(figures, _MOST_PARTS, digits))
    speakers = by_name([u.speaker for u in utterances])
    rates = {part: comparison.systems[0].of(part.members)[0].rate for part in speakers}
    speakers.sort(key=lambda part: -rates[part])
    yield breakdown("by speaker, the worst first", comparison, speakers)


def _utterances(chapter: Chapter, name: str) -> Iterator[Node]:
    systems = chapter.comparison.systems
    several = len(systems) > 1
    names = [s.name for s in systems]
    errors = names if several else ["errors", "WER %"]
    places = range(len(systems[0].counts))
    order = sorted(places, key=lambda i: -sum(s.counts[i].errors for s in systems))
    kinds = {
        "": "all",
        "wrong": "with errors",
        "right": "without",
        "sub": "with substitutions",
        "ins": "with insertions",
        "del": "with deletions",
    }
    kinds |= {"differ": "heard differently"} if several else {}
    kinds |= {"exhibit": "to hear and see"} if chapter.exhibits else {}
    figures = ["words", "seconds", *errors, "chars/s", "level dB"]
    rows = [_row(chapter, i, f"{name}-{i}") for i in order]
    yield from utterance_table(name, figures, names, rows, kinds)
    for index, shown in sorted(chapter.exhibits.items()):
        yield data(f"{name}-{index}", shown._asdict())


def _row(chapter: Chapter, index: int, source: str) -> Row:
    systems = chapter.comparison.systems
    utterance = systems[0].evaluation.utterances[index]
    counts = [system.counts[index] for system in systems]
    errors = [f"{c.errors}" for c in counts]
    errors += [f"{100 * counts[0].rate:.1f}"] if len(systems) == 1 else []
    sound = (chapter.rates[index], chapter.levels[index])
    is_there = {
        "wrong": any(c.errors for c in counts),
        "right": not any(c.errors for c in counts),
        "sub": any(c.substitutions for c in counts),
        "ins": any(c.insertions for c in counts),
        "del": any(c.deletions for c in counts),
        "differ": len({s.evaluation.utterances[index].hypothesis for s in systems}) > 1,
        "exhibit": index in chapter.exhibits,
    }
    return Row(
        utterance.id,
        utterance.speaker,
        (
            f"{utterance.words.length}", f"{utterance.duration:.1f}", *errors,
            *("" if figure != figure else f"{figure:.1f}" for figure in sound),
        ),
        tuple(kind for kind, there in is_there.items() if there),
        columns([system.places[index] for system in systems]),
        source if index in chapter.exhibits else None,
    )  # fmt: skip
