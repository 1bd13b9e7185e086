"""Text for a language model, streamed: text files, plain or gzip, and manifests, as units.

A unit is a word, or a character; of characters "▁" stands for the space between words.
"""

import gzip
import json
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from asr.core.text import normalise
from asr.language_model.base import END, START, UNKNOWN

SPACE = "\u2581"
_BLOCK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Units:
    """How text becomes units.

    unit: "word" or "character". normalise: whether `asr.core.text.normalise` comes first, with
    `case` and `punctuation`; without it words are what white space parts.
    """

    unit: str = "word"
    normalise: bool = True
    case: str = "lower"
    punctuation: str = "'"

    def __post_init__(self) -> None:
        if self.unit not in ("word", "character"):
            raise ValueError(f"unit={self.unit!r} is unknown: choose word or character")
        normalise("", case=self.case, punctuation=self.punctuation)

    def of(self, piece: str) -> list[str]:
        """The units of text without white space; characters with a space before each word.

        Normalisation never joins two pieces, so that this may be kept for each that occurs.

        Raises:
            ValueError: it is a mark of the model's own, such as <s>.
        """
        words = [piece]
        if self.normalise:
            words = normalise(piece, case=self.case, punctuation=self.punctuation).split()
        elif piece in (START, END, UNKNOWN):
            raise ValueError(
                f"the text holds {piece}, which stands for the start or end of a sentence or for "
                "unknown words; take it out (sentences end with their lines) or normalise=true"
            )
        elif any(unicodedata.category(c) in ("Cc", "Cs") for c in piece):
            raise ValueError(f"{piece!r} holds a control character; take it out or normalise=true")
        if self.unit == "word":
            return words
        return [character for word in words for character in (SPACE, *word)]

    def sentence(self, line: str) -> list[str]:
        """The units of a line."""
        units = list(chain.from_iterable(map(self.of, line.split())))
        return units[1:] if self.unit == "character" else units


def file_list(files: str | Sequence[str] | None) -> list[Path]:
    """One file, several or none, as options name them.

    Raises:
        ValueError: one is missing.
    """
    paths = [Path(file) for file in ([files] if isinstance(files, str) else files or ())]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path}: no such text; name files with a sentence on each line")
    return paths


def read_lines(
    path: Path, advance: Callable[[float], None] = lambda _: None
) -> Iterator[tuple[int, list[str]]]:
    """The sentences of a file in blocks: the number of a block's first line, and its lines.

    Of a manifest (`.jsonl`, `.jsonl.gz`) each line's `text`. gzip is known by content.

    Args:
        path: the file.
        advance: is told how many of its bytes were read.

    Raises:
        ValueError: it is missing, cut short, not UTF-8, or a line of a manifest is none.
    """
    file_list(str(path))
    manifest = path.name.removesuffix(".gz").endswith(".jsonl")
    number, told = 1, 0
    with ExitStack() as stack:
        raw: IO[bytes] = stack.enter_context(path.open("rb"))
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        file = stack.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw
        while True:
            try:
                block = file.readlines(_BLOCK_BYTES)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(
                    f"{path}:{number}: the gzip file ends or breaks after this line ({error}); "
                    "copy or download it again"
                ) from None
            if not block:
                return
            lines = _decoded(block, path, number)
            if manifest:
                lines = [_text(line, path, number + i) for i, line in enumerate(lines)]
            yield number, lines
            number += len(block)
            advance(raw.tell() - told)
            told = raw.tell()


def read_sentences(paths: Sequence[Path], units: Units) -> Iterator[list[str]]:
    """The units of each line that holds any.

    Raises:
        ValueError: as `read_lines` and `Units.of` do.
    """
    for path in paths:
        for number, lines in read_lines(path):
            for i, line in enumerate(lines):
                try:
                    sentence = units.sentence(line)
                except ValueError as error:
                    raise ValueError(f"{path}:{number + i}: {error}") from None
                if sentence:
                    yield sentence


def _decoded(block: list[bytes], path: Path, number: int) -> list[str]:
    try:
        lines = b"".join(block).decode("utf-8-sig" if number == 1 else "utf-8").split("\n")
    except UnicodeDecodeError as error:
        line = number + error.object.count(b"\n", 0, error.start)
        raise ValueError(
            f"{path}:{line}: not UTF-8 text ({error.reason}); convert the file with iconv"
        ) from None
    return lines[: len(block)]


def _text(line: str, path: Path, number: int) -> str:
    if not line.strip():
        return ""
    try:
        text = json.loads(line)["text"]
        if isinstance(text, str):
            return text
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise ValueError(
        f"{path}:{number}: a line of a manifest is a JSON object with a `text`, not {line[:80]!r}; "
        "if this is plain text, name the file .txt"
    )
