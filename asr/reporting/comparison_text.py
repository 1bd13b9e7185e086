"""A comparison on the terminal, with coloured alignments, and as markdown."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from asr.reporting.comparison_rows import (
    AGAINST_HEAD,
    SUMMARY_HEAD,
    drawn_over,
    facts,
    summary_rows,
    word_head,
)
from asr.scoring.comparison import Comparison, Pair
from asr.scoring.evaluation import Source
from asr.scoring.word_alignment import Place

FORMATS = ("terminal", "html", "markdown")
_NOTHING = "***"  # where one side has no word, as sclite shows it
_STYLES = {"right": "", "substitution": "red", "deletion": "red", "insertion": "yellow"}


def check_formats(formats: Sequence[str]) -> list[str]:
    """The formats asked for.

    Raises:
        ValueError: none, or one that there is not.
    """
    if not formats or not set(formats) <= set(FORMATS):
        raise ValueError(f"format=[{','.join(formats)}] must name some of {', '.join(FORMATS)}")
    return list(formats)


def output_path(output: str | None, sources: Sequence[Source], suffix: str) -> Path:
    """Where a file goes: where it is asked for, else into the last input's folder.

    Raises:
        ValueError: it is asked for in place of a folder.
    """
    if output is None:
        names = "-".join(source.name.replace("/", "-") for source in sources[:-1])
        return sources[-1].path / f"against-{names}{suffix}"
    path = Path(output)
    if path.is_dir():
        raise ValueError(f"output={output} is a folder; name a file, such as {output}/compare.html")
    stem = path.name.removesuffix(".html").removesuffix(".md")
    return path.with_name(stem + suffix)


def show(comparison: Comparison, console: Console, examples: int) -> None:
    """Print a comparison; colours only where the console has them.

    examples: how many words and utterances are shown of each pair.
    """
    console.print(Text(comparison.title, "bold"))
    rows = summary_rows(comparison)
    for line in _table(SUMMARY_HEAD + AGAINST_HEAD, rows):
        console.print("  " + line)
    console.print(f"  intervals over {drawn_over(comparison)}")
    for pair in comparison.pairs:
        console.print()
        console.print(Text(f"{pair.other.name} against {pair.first.name}", "bold"))
        for line in _table(None, facts(pair), left=(0, 1, 2)):
            console.print("  " + line)
        if words := pair.words[:examples]:
            console.print("\n  words that one has right and the other wrong")
            for line in _table(word_head(pair), [[*map(str, tally)] for tally in words]):
                console.print("    " + line)
        if differing := pair.most_different[:examples]:
            console.print("\n  utterances that differ most")
        for index in differing:
            console.print()
            for text in _utterance(pair, index, console.width - 4):
                console.print(Text("    ") + text)
    console.print()


def _utterance(pair: Pair, index: int, width: int) -> Iterator[Text]:
    ours, theirs = (s.counts[index].errors for s in (pair.first, pair.other))
    name = _printable(pair.first.evaluation.utterances[index].id)
    yield Text(f"{name}: {ours} and {theirs} errors ({theirs - ours:+d})")
    yield from alignment_lines(pair, index, width)


def alignment_lines(pair: Pair, index: int, width: int) -> Iterator[Text]:
    """Reference and both hypotheses word under word, cut where the width ends.

    A word that is not there is `***`; an insertion stands where the reference has none.
    """
    names = ["reference", pair.first.name, pair.other.name]
    margin = max(map(cell_len, names)) + 2
    columns = list(_columns(pair.first.places[index], pair.other.places[index]))
    while columns:
        lines = [Text(_pad(name, margin)) for name in names]
        used = margin
        for number, column in enumerate(columns):
            size = max(cell_len(word) for word, _ in column) + 1
            if number and used + size > width:
                columns = columns[number:]
                break
            used += size
            for line, (word, kind) in zip(lines, column, strict=True):
                line.append(word, _STYLES[kind]).append(" " * (size - cell_len(word)))
        else:
            columns = []
        for line in lines:
            line.rstrip()
        yield from lines


Cell = tuple[str, str]  # a word and what it is


def _columns(one: Sequence[Place], other: Sequence[Place]) -> Iterator[tuple[Cell, Cell, Cell]]:
    """The reference's words with what both heard; insertions beside each other."""
    sides = [_by_word(one), _by_word(other)]
    for (ours, word, mine), (theirs, _, yours) in zip(*sides, strict=True):
        for number in range(max(len(ours), len(theirs))):
            cells = [
                (_printable(inserted[number]), "insertion")
                if number < len(inserted)
                else ("", "right")
                for inserted in (ours, theirs)
            ]
            yield (_NOTHING, "right"), cells[0], cells[1]
        if word is not None:
            yield (_printable(word), "right"), _cell(word, mine), _cell(word, yours)


def _by_word(places: Sequence[Place]) -> Iterator[tuple[list[str], str | None, str | None]]:
    """Each word with what was inserted before it; the end of the text as a word of its own."""
    inserted: list[str] = []
    for place in places:
        if place.reference is None:
            inserted.append(str(place.heard))
        else:
            yield inserted, *place
            inserted = []
    yield inserted, None, None


def _cell(word: str, heard: str | None) -> Cell:
    if heard is None:
        return _NOTHING, "deletion"
    return _printable(heard), "right" if heard == word else "substitution"


def _table(
    head: Sequence[str] | None, rows: Sequence[Sequence[str]], left: tuple[int, ...] = (0,)
) -> Iterator[str]:
    """Aligned columns; columns without any text are left out."""
    lines = [*([] if head is None else [head]), *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(
            _pad(cell, width, c not in left)
            for c, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()


def _pad(text: str, width: int, right: bool = False) -> str:
    text = _printable(text)
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def _printable(text: str) -> str:
    """Without what would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def markdown(comparisons: Sequence[Comparison], examples: int) -> str:
    """All comparisons as tables that any markdown shows, and alignments as fixed-width text."""
    lines: list[str] = []
    for comparison in comparisons:
        lines += [f"## {_plain(comparison.title)}", ""]
        lines += _markdown_table(SUMMARY_HEAD + AGAINST_HEAD, summary_rows(comparison))
        lines += ["", f"Intervals over {drawn_over(comparison)}.", ""]
        for pair in comparison.pairs:
            lines += [f"### {_plain(pair.other.name)} against {_plain(pair.first.name)}", ""]
            lines += _markdown_table(["", "", ""], facts(pair))
            if words := pair.words[:examples]:
                rows = [[*map(str, tally)] for tally in words]
                lines += ["", *_markdown_table(word_head(pair), rows)]
            for index in pair.most_different[:examples]:
                lines += ["", *("    " + text.plain for text in _utterance(pair, index, 96))]
            lines.append("")
    return "\n".join(lines)


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_plain(cell) for cell in cells) + " |"

    return [line(head), "|" + " --- |" * len(head), *map(line, rows)]


def _plain(text: str) -> str:
    """Markdown's and HTML's signs, shown as they are; pipes would end a cell."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#|!~&" else c for c in text)
