"""The rows of a CSV, TSV or JSONL file, one at a time, each with the line where it ends."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

Row = dict[str, Any]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".json", ".ndjson")


def read_rows(path: Path, *, quoting: bool) -> Iterator[tuple[int, Row]]:
    """Yield line numbers and rows; blank lines are skipped.

    Args:
        path: its extension says what it is.
        quoting: whether fields of a CSV or TSV may stand in double quotes.

    Raises:
        ValueError: there is no such table, its extension is unknown, or a line of it is broken.
    """
    kind = path.suffix.lower()
    if kind not in _DELIMITERS and kind not in _JSON_LINES:
        known = ", ".join((*_DELIMITERS, *_JSON_LINES))
        raise ValueError(f"{path}: a table's name must end in one of {known}; rename it")
    if not path.is_file():
        raise ValueError(f"{path}: no such table; name one that exists")
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            if kind in _DELIMITERS:
                yield from _separated(file, path, _DELIMITERS[kind], quoting)
            else:
                yield from _json_lines(file, path)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None


def _separated(
    file: TextIO, path: Path, delimiter: str, quoting: bool
) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(
        file,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
        strict=True,  # else an open quote swallows the rows that follow
    )
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise ValueError(f"{path}:1: a column occurs twice among {', '.join(header)}")
        for fields in reader:
            if len(fields) == len(header):
                yield reader.line_num, dict(zip(header, fields, strict=True))
            elif fields:
                raise ValueError(
                    f"{path}:{reader.line_num}: {len(fields)} fields where the header names "
                    f"{len(header)}; mend the line, or put a field that holds {delimiter!r} in "
                    "double quotes"
                )
    except csv.Error as error:
        raise ValueError(
            f"{path}:{reader.line_num}: {error}; mend the line, or, where double quotes are part "
            "of the text, set corpus.quoting=false"
        ) from None


def _json_lines(file: TextIO, path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f"{path}:{number}: not a JSON object ({error}); mend it") from None
            if not isinstance(row, dict):
                raise ValueError(f"{path}:{number}: not a JSON object; each line must be one")
            yield number, row
