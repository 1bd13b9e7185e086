"""Every utterance of a test set on a page: its figures, and what each system heard for each word.

The page holds them as data, from which its script draws the rows that come in sight, so that
thousands open, sort and filter at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from asr.reporting.page import Node, data, element, table
from asr.scoring.word_alignment import Place

# A word that all heard right; or what was said, and what each heard for it. None: nothing.
Column = str | list[str | None]


class Row(NamedTuple):
    """An utterance. figures: its cells of numbers. kinds: names of what it is, for the filter.

    exhibit: the id of what there is to hear and see of it, see `data`.
    """

    id: str
    speaker: str | None
    figures: tuple[str, ...]
    kinds: tuple[str, ...]
    said: list[Column]
    exhibit: str | None = None


def columns(systems: Sequence[Sequence[Place]]) -> list[Column]:
    """What systems heard of one reference, one below the other: a column for each word."""
    gaps = [_gaps(places) for places in systems]
    said = [place.reference for place in systems[0] if place.reference is not None]
    found: list[Column] = []
    for number, word in enumerate([*said, None]):
        inserted = (gap[number][0] for gap in gaps)
        found += [[None, *heard] for heard in zip_longest(*inserted)]
        if word is not None:
            below = [gap[number][1] for gap in gaps]
            found.append(word if all(heard == word for heard in below) else [word, *below])
    return found


def _gaps(places: Sequence[Place]) -> list[tuple[list[str | None], str | None]]:
    """Before each word of the reference, and at its end: what was inserted; and the word heard."""
    found: list[tuple[list[str | None], str | None]] = []
    inserted: list[str | None] = []
    for said, heard in places:
        if said is None:
            inserted.append(heard)
        else:
            found.append((inserted, heard))
            inserted = []
    return [*found, (inserted, None)]


def utterance_table(
    name: str,
    figures: Sequence[str],
    systems: Sequence[str],
    rows: Sequence[Row],
    kinds: Mapping[str, str],
) -> Iterator[Node]:
    """The table of the rows in their order, and the form that filters it.

    Args:
        name: its id on the page.
        figures: heads of the rows' figures.
        systems: what the lines under a reference are called.
        kinds: what each kind is called, the chosen one first; the kind "" is all rows.
    """
    yield element(
        "p", "Marked are words ", element("mark", "heard for another"), ", ",
        element("ins", "inserted"), " and ", element("del", "missing"), ".", class_="faint",
    )  # fmt: skip
    numbers = {kind: sum(not kind or kind in row.kinds for row in rows) for kind in kinds}
    options = (element("option", f"{t} ({numbers[k]})", value=k) for k, t in kinds.items())
    yield element(
        "form",
        element("input", type="search", name="text", placeholder="words, speaker, id"),
        element("select", *options, name="kind"),
        element("output", class_="faint"),
        class_="filter",
        data_table=name,
    )
    source = f"{name}-rows"
    heads = ["utterance", *figures, "what was heard"]
    yield table(heads, [], class_="sortable utterances", id=name, data_rows=source)
    yield element("p", "...", class_="faint")  # in sight: the script draws more
    content = [
        row._asdict() | {"kinds": " ".join(row.kinds), "speaker": row.speaker or ""} for row in rows
    ]
    yield data(source, {"names": ["reference", *systems], "rows": content})
