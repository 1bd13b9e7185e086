"""Comparisons as one HTML page: tables, intervals, words, and every utterance."""

from collections.abc import Iterator, Sequence
from itertools import chain
from xml.etree.ElementTree import Element

from asr.reporting.comparison_rows import (
    AGAINST_HEAD,
    SUMMARY_HEAD,
    drawn_over,
    facts,
    summary_rows,
    word_head,
)
from asr.reporting.page import Node, element, page, table
from asr.reporting.utterance_table import Row, columns, utterance_table
from asr.scoring.comparison import Comparison, Pair


def comparison_page(comparisons: Sequence[Comparison]) -> str:
    """The page of all comparisons."""
    names = [system.name for system in comparisons[0].systems]
    numbers = iter(range(1, 1 + sum(len(c.pairs) for c in comparisons)))
    sections = (
        node
        for comparison in comparisons
        for node in chain(
            _summary(comparison),
            *(_pair(pair, f"utterances-{next(numbers)}") for pair in comparison.pairs),
        )
    )
    return page(f"{', '.join(names[1:])} against {names[0]}", *sections)


def _summary(comparison: Comparison) -> Iterator[Node]:
    yield element("h2", comparison.title)
    rows = table(SUMMARY_HEAD + AGAINST_HEAD, summary_rows(comparison))
    yield element("div", rows, class_="scroll")
    yield element("p", f"Intervals over {drawn_over(comparison)}.", class_="faint")


def pair_summary(pair: Pair) -> Iterator[Node]:
    """How much two systems differ, whether it is chance, and in which words."""
    yield element("h3", f"{pair.other.name} against {pair.first.name}")
    yield interval_picture(pair)
    cells = (
        (element("dt", fact.name), element("dd", fact.value),
         element("dd", fact.how, class_="faint"))
        for fact in facts(pair)
    )  # fmt: skip
    yield element("dl", *chain.from_iterable(cells), class_="facts")
    yield element("h3", "Words that one has right and the other wrong")
    yield _words(pair)


def _pair(pair: Pair, name: str) -> Iterator[Node]:
    yield from pair_summary(pair)
    yield element("h3", "Utterances")
    yield from utterance_table(
        name,
        ["words", pair.first.name, pair.other.name, "difference"],
        [pair.first.name, pair.other.name],
        _rows(pair),
        {
            "differ": "that differ",
            "better": f"better in {pair.other.name}",
            "worse": f"better in {pair.first.name}",
            "equal": "with as many errors",
            "": "all",
        },
    )


def interval_picture(pair: Pair) -> Element:
    """The difference and its 95 % intervals on an axis around 0."""
    rows = [("utterances", pair.interval(over_speakers=False))]
    if pair.speaker_differences is not None:
        rows.append(("speakers", pair.interval(over_speakers=True)))
    reach = 1.1 * max(abs(end) for _, ends in rows for end in (*ends, pair.points)) or 1.0
    width, left, right = 400, 80, 390
    height = 24 * len(rows) + 24

    def x(points: float) -> str:
        return f"{left + (points / reach + 1) / 2 * (right - left):.1f}"

    def line(start: float, end: float, y: tuple[float, float], kind: str) -> Element:
        return element("line", x1=x(start), x2=x(end), y1=f"{y[0]}", y2=f"{y[1]}", class_=kind)

    nodes = [line(-reach, reach, (height - 20,) * 2, "axis"), line(0, 0, (4, height - 20), "zero")]
    for number, (label, (low, high)) in enumerate(rows):
        y = 16 + 24 * number
        nodes += [
            element("text", label, x="0", y=f"{y + 4}"),
            line(low, high, (y, y), "bar"),
            element("circle", cx=x(pair.points), cy=f"{y}", r="5", class_="dot"),
        ]
    ends = ((-reach, f"{-reach:.2f}", "start"), (0, "0", "middle"), (reach, f"+{reach:.2f}", "end"))
    for place, text, anchor in ends:
        nodes.append(
            element("text", text, x=x(place), y=f"{height - 5}", **{"text-anchor": anchor})
        )
    label = f"difference {pair.points:+.2f} points; left of 0 {pair.other.name} is better"
    return element(
        "svg", *nodes, viewBox=f"0 0 {width} {height}", role="img", **{"aria-label": label}
    )


def _words(pair: Pair) -> Element:
    if not pair.words:
        return element("p", "None.", class_="faint")
    rows = [[*map(str, tally)] for tally in pair.words]
    shown = element("div", table(word_head(pair), rows, class_="sortable"), class_="scroll")
    return element("details", element("summary", f"{len(rows)} words"), shown, open="")


def _rows(pair: Pair) -> list[Row]:
    """Every utterance, the largest difference first."""
    order = sorted(range(len(pair.differences)), key=lambda i: -abs(pair.differences[i]))
    return [_row(pair, index) for index in order]


def _row(pair: Pair, index: int) -> Row:
    utterance = pair.first.evaluation.utterances[index]
    ours, theirs = (system.counts[index].errors for system in (pair.first, pair.other))
    signed = f"{theirs - ours:+d}" if theirs != ours else "0"
    return Row(
        utterance.id,
        utterance.speaker,
        (f"{utterance.words.length}", f"{ours}", f"{theirs}", signed),
        _kinds(theirs - ours),
        columns([pair.first.places[index], pair.other.places[index]]),
    )


def _kinds(difference: int) -> tuple[str, ...]:
    if difference == 0:
        return ("equal",)
    return ("differ", "better" if difference < 0 else "worse")
