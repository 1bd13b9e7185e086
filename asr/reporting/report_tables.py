"""Where the errors of a test set are: by words and characters, and by kinds of utterances."""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from asr.reporting.page import Node, element, table
from asr.scoring.breakdown import Part
from asr.scoring.comparison import Comparison
from asr.scoring.confusion import confusions, errors_by_word
from asr.scoring.error_rate import ErrorCounts
from asr.scoring.word_alignment import Place

_BAR_WIDTH, _BAR_HEIGHT = 120, 9  # pixels of one system's bar
_NONE = ErrorCounts(0, 0, 0, 0)


def card(title: str, *nodes: Node) -> Element:
    """A part of a page that stands beside others where there is room."""
    return element("section", element("h4", title), *nodes, class_="card")


def breakdown(title: str, comparison: Comparison, parts: Sequence[Part]) -> Element:
    """WER of each part, with its 95 % interval, in figures and as a bar."""
    found = [[system.of(part.members) for system in comparison.systems] for part in parts]
    top = highest([interval for row in found for _, interval in row])
    rows: list[list[Node]] = [
        [
            part.label,
            f"{len(part.members)}",
            f"{row[0][0].length}",
            *(f"{100 * counts.rate:.2f}" for counts, _ in row),
            bars([(counts.rate, *interval) for counts, interval in row], top),
        ]
        for part, row in zip(parts, found, strict=True)
    ]
    names = [s.name for s in comparison.systems] if len(comparison.systems) > 1 else ["WER %"]
    shown = table(["", "utterances", "words", *names, f"0 to {100 * top:.0f} %"], rows)
    return card(title, element("div", shown, class_="scroll"))


def highest(intervals: Sequence[tuple[float, float]]) -> float:
    """The highest end, to which bars reach; references without words have none."""
    return max([1e-9, *(high for _, high in intervals if high < float("inf"))])


def bars(rates: Sequence[tuple[float, float, float]], top: float) -> Element:
    """A bar for each system: its rate, and a line from the low to the high end of the interval.

    rates: each with its interval. top: the rate at the right end.
    """

    def x(rate: float) -> str:
        return f"{_BAR_WIDTH * min(rate / top, 1):.1f}"

    nodes = []
    for number, (rate, low, high) in enumerate(rates):
        y = number * _BAR_HEIGHT
        side = "first" if number == 0 else "other"
        nodes += [
            element("rect", x="0", y=f"{y + 1}", width=x(rate), height=f"{_BAR_HEIGHT - 2}",
                    class_=side),
            element("line", x1=x(low), x2=x(high), y1=f"{y + _BAR_HEIGHT / 2}",
                    y2=f"{y + _BAR_HEIGHT / 2}", class_="ends"),
        ]  # fmt: skip
    label = ", ".join(f"{100 * low:.2f} to {100 * high:.2f} %" for _, low, high in rates)
    size = f"0 0 {_BAR_WIDTH} {_BAR_HEIGHT * len(rates)}"
    return element(
        "svg", *nodes, viewBox=size, role="img", class_="bars",
        **{"aria-label": f"95 % interval {label}"},
    )  # fmt: skip


def word_tables(comparison: Comparison, limit: int) -> Iterator[Element]:
    """Errors by word, the most confused words, and characters.

    limit: rows of each; what is left out is counted.
    """
    yield _by_word(comparison, limit)
    words = [system.places for system in comparison.systems]
    yield _confused("Confused words", comparison, words, limit)
    characters = [system.characters for system in comparison.systems]
    yield _confused("Confused characters", comparison, characters, limit)


def _by_word(comparison: Comparison, limit: int) -> Element:
    found = [errors_by_word(system.places) for system in comparison.systems]
    words = {
        word: [errors.get(word, _NONE) for errors in found]
        for word in dict.fromkeys(word for errors in found for word in errors)
    }
    wrong = {word: row for word, row in words.items() if any(counts.errors for counts in row)}
    order = sorted(wrong, key=lambda word: (-sum(c.errors for c in wrong[word]), word))
    rows = [
        [word, f"{words[word][0].length}"]
        + [f"{n}" for c in words[word] for n in (c.substitutions, c.deletions, c.insertions)]
        for word in order[:limit]
    ]
    several = len(comparison.systems) > 1
    names = [f" {s.name}" if several else "" for s in comparison.systems]
    heads = [f"{kind}{name}" for name in names for kind in ("sub", "del", "ins")]
    return card("Errors by word", *_limited(["word", "spoken", *heads], rows, len(order)))


def _confused(
    title: str, comparison: Comparison, texts: Sequence[Sequence[Sequence[Place]]], limit: int
) -> Element:
    found = [confusions(own) for own in texts]
    pairs = dict.fromkeys(place for counts in found for place in counts if None not in place)
    counts = {place: [own[place] for own in found] for place in pairs}
    order = sorted(counts, key=lambda place: (-sum(counts[place]), place))
    rows = [
        [_visible(place.reference), _visible(place.heard), *(f"{n}" for n in counts[place])]
        for place in order[:limit]
    ]
    names = [s.name for s in comparison.systems] if len(comparison.systems) > 1 else ["times"]
    return card(title, *_limited(["said", "heard", *names], rows, len(order)))


def _limited(heads: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> Iterator[Node]:
    if not rows:
        yield element("p", "None.", class_="faint")
        return
    yield element("div", table(heads, rows, class_="sortable"), class_="scroll")
    if total > len(rows):
        yield element("p", f"The first {len(rows)} of {total}.", class_="faint")


def _visible(text: str | None) -> str:
    return "(space)" if text == " " else str(text)
