"""Any table of audio files and what is said in them: CSV, TSV or JSONL.

It covers Common Voice (`filename,text` of 2017 and the TSV with `path` and `sentence` of today),
NVIDIA NeMo's manifests, and what people have. Every row is an utterance, or a slice of a file
where the table has offsets.
"""

import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from asr.core.text import normalise
from asr.corpus.base import Corpus
from asr.corpus.hold_out import hold_out_rank
from asr.corpus.manifest import Utterance
from asr.corpus.rows import Row, read_rows

# What tables commonly call a column; the first that a row has is taken.
USUAL = {
    "audio": ("audio_filepath", "filename", "file_name", "audio", "path", "wav", "file"),
    "text": ("text", "sentence", "transcript", "transcription"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "id": ("id", "utterance_id"),
    "offset": ("offset",),
    "duration": ("duration",),
}


class Table(Corpus):
    """A table, or one for each split.

    Args:
        path: a .csv, .tsv or .jsonl file; its rows are train, but for what is held out.
        files: instead of `path`, a file for each split, such as {train: a.tsv, dev: b.tsv}.
        audio_root: the folder of the audio; None is the table's own. May be relative to that.
        columns: the columns that hold audio, text, speaker, id, offset and duration. One that is
            not named is looked for under its usual names (`USUAL`). Offset and duration are in
            seconds; a duration without an offset is not read, because the audio knows better.
        split_column: with `path`, the column that names each row's split.
        hold_out: shares of train that make the splits which the table does not have, such as
            {dev: 0.05, test: 0.05}. Whole speakers are held out where every row names one, else
            whole sentences; neither occurs on both sides. Rows added later move none of the rest.
        quoting: whether fields of a CSV or TSV may stand in double quotes.
        seed: of what is held out.
    """

    def __init__(
        self,
        *,
        path: str | None,
        files: Mapping[str, str] | None,
        audio_root: str | None,
        columns: Mapping[str, str | None],
        split_column: str | None,
        hold_out: Mapping[str, float],
        quoting: bool,
        seed: int,
    ) -> None:
        super().__init__()
        if bool(path) == bool(files):
            raise ValueError("give either corpus.path=TABLE or corpus.files={train: TABLE, ...}")
        if files and split_column:
            raise ValueError("corpus.split_column goes with corpus.path; files are splits already")
        for name in columns:
            if name not in USUAL:
                raise ValueError(f"columns: {name!r} is unknown; choose from {', '.join(USUAL)}")
        if any(not 0 < share < 1 for share in hold_out.values()) or sum(hold_out.values()) >= 1:
            raise ValueError(
                f"corpus.hold_out={dict(hold_out)}: each share must lie between 0 and 1, and so "
                "must their sum"
            )
        tables = files or {"train": path or ""}
        self.files = {split: Path(file) for split, file in tables.items()}
        self.audio_root = audio_root
        self.columns = {name: column for name, column in columns.items() if column}
        self.split_column = split_column
        self.hold_out = hold_out
        self.quoting = quoting
        self.seed = seed

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that the table has, then those that are held out of its train."""
        return (*self._own_splits, *self._shares)

    @cached_property
    def _own_splits(self) -> tuple[str, ...]:
        splits = tuple(dict.fromkeys(split for _, _, _, split in self._rows()))
        for split in splits:
            if not re.fullmatch(r"\w[\w.-]*", split):
                raise ValueError(f"the split {split!r} cannot name a file; rename it in the table")
        return splits

    @cached_property
    def _shares(self) -> dict[str, float]:
        if "train" not in self._own_splits:
            return {}
        return {s: share for s, share in self.hold_out.items() if s not in self._own_splits}

    @cached_property
    def _by_speaker(self) -> bool:
        return all(self._value(row, "speaker") for _, _, row, own in self._rows() if own == "train")

    def utterances(self, split: str, folder: Path) -> Iterator[Utterance]:
        """Yield the rows of a split in the table's order."""
        for path, number, row, own in self._rows():
            if (self._held_out(row) if own == "train" else own) != split:
                continue
            audio = self._value(row, "audio")
            if audio is None:
                self.left_out.add("its row names no audio", f"{path}:{number}")
                continue
            offset = self._seconds(row, "offset", f"{path}:{number}")
            duration = None
            if offset is not None:
                duration = self._seconds(row, "duration", f"{path}:{number}")
            name = re.sub(r"\.[A-Za-z]\w{1,3}$", "", str(audio))
            speaker = self._value(row, "speaker")
            used = {self._column(row, name) for name in USUAL}
            yield Utterance(
                id=str(self._value(row, "id") or name + (f"@{offset:.3f}" if offset else "")),
                audio=str(path.parent / (self.audio_root or "") / str(audio)),
                duration=duration or 0.0,
                text=str(self._value(row, "text") or ""),
                speaker=None if speaker is None else str(speaker),
                offset=offset or 0.0,
                extra={k: v for k, v in row.items() if k not in used and v not in (None, "")},
            )

    def _rows(self) -> Iterator[tuple[Path, int, Row, str]]:
        """Every row of every file, with its line and the split that the table puts it in."""
        for split, path in self.files.items():
            first = True
            for number, row in read_rows(path, quoting=self.quoting):
                where = f"{path}:{number}"
                self._verify(row, where, first)
                first = False
                own = str(row.get(self.split_column) or "") if self.split_column else split
                if not own:
                    raise ValueError(f"{where}: {self.split_column} names no split; fill it in")
                yield path, number, row, own
            if first:
                raise ValueError(f"{path}: the table has no rows")

    def _verify(self, row: Row, where: str, first: bool) -> None:
        """Named columns must be there (in JSONL, in the first row), and audio and text always."""
        asked = {"audio", "text", *(self.columns if first else ())}
        wanted = {name: self.columns.get(name) for name in sorted(asked)}
        missing = [n for n, column in wanted.items() if (column or self._column(row, n)) not in row]
        if first and self.split_column and self.split_column not in row:
            raise ValueError(f"{where}: no column {self.split_column!r} {_among(row)}")
        if missing:
            column = wanted[missing[0]]
            lacks = f"no column {column!r}" if column else f"no column for the {missing[0]}"
            raise ValueError(f"{where}: {lacks} {_among(row)}; corpus.{missing[0]}_column names it")

    def _column(self, row: Row, name: str) -> str | None:
        named = self.columns.get(name)
        return named if named else next((column for column in USUAL[name] if column in row), None)

    def _value(self, row: Row, name: str) -> Any:
        """What a row says, or None where it says nothing."""
        value = row.get(self._column(row, name) or "")
        return None if value == "" else value

    def _seconds(self, row: Row, name: str, where: str) -> float | None:
        value = self._value(row, name)
        if value is None:
            return None
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{where}: {name} must be a number of seconds >= 0, not {value!r}")
        return seconds

    def _held_out(self, row: Row) -> str:
        """The split of a row of train."""
        if not self._shares:
            return "train"
        key = str(self._value(row, "speaker"))
        if not self._by_speaker:
            key = normalise(str(self._value(row, "text") or ""), case="lower", punctuation="")
        rank = hold_out_rank(key, self.seed)
        for split, share in self._shares.items():
            if rank < share:
                return split
            rank -= share
        return "train"


def _among(row: Row) -> str:
    return f"among {', '.join(map(str, row)) or 'none'}"
