"""The manifest: one JSON object a line, with the field names that NVIDIA NeMo users already have.

    {"audio_filepath": "clips/a.flac", "duration": 3.21, "text": "good morning", "speaker": "174"}

`audio_filepath` is absolute or relative to the manifest's folder; durations and offsets are in
seconds. Optional: `id`, `speaker`, `offset`, `raw` (the format of a headerless file, such as
"s16be:16000:1"). Keys that this program does not know are kept.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np

_KNOWN = ("audio_filepath", "duration", "text", "id", "speaker", "offset", "raw")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech and what was said in it.

    duration, offset: seconds. raw: "ENCODING:RATE:CHANNELS" of a headerless file.
    """

    id: str
    audio: str
    duration: float
    text: str
    speaker: str | None = None
    offset: float = 0.0
    raw: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Manifest(Sequence[Utterance]):
    """The utterances of a file, in its order, with the durations that batches are planned from."""

    def __init__(self, utterances: Iterable[Utterance], name: str = "") -> None:
        self._utterances = tuple(utterances)
        self.name = name
        self.durations = np.array([u.duration for u in self._utterances], dtype=np.float64)

    def __len__(self) -> int:
        return len(self._utterances)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> "Manifest": ...
    def __getitem__(self, index: int | slice) -> "Utterance | Manifest":
        if isinstance(index, slice):
            return Manifest(self._utterances[index], self.name)
        return self._utterances[index]

    @property
    def hours(self) -> float:
        """Total duration in hours."""
        return float(self.durations.sum()) / 3600


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read a JSONL manifest.

    Raises:
        ValueError: the file is missing or empty, or a line of it is not a valid utterance; says
            which line, what is wrong with it, and how to mend it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"{path}: no such manifest. Write it with `python -m asr.prepare corpus=...`, or give "
            "the path of a JSONL file with audio_filepath, duration and text on each line"
        )
    utterances = []
    with path.open(encoding="utf-8", errors="strict") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    utterances.append(_parse(line, path, number))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None
    if not utterances:
        raise ValueError(f"{path}: the manifest is empty; nothing can be trained or scored on it")
    return Manifest(utterances, name=f"{path.resolve().parent.name}/{path.stem}")


def write_manifest(path: str | os.PathLike[str], utterances: Iterable[Utterance]) -> None:
    """Write a JSONL manifest whole or not at all; audio beside it is written relative to it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding="utf-8") as file:
        for utterance in utterances:
            file.write(json.dumps(_fields(utterance, path.parent), ensure_ascii=False) + "\n")
    temporary.replace(path)


def _fields(utterance: Utterance, folder: Path) -> dict[str, Any]:
    audio = Path(utterance.audio).absolute()
    if audio.is_relative_to(folder.absolute()):
        audio = audio.relative_to(folder.absolute())
    fields: dict[str, Any] = {
        "audio_filepath": str(audio),
        "duration": round(utterance.duration, 6),
        "text": utterance.text,
        "id": utterance.id,
    }
    if utterance.speaker is not None:
        fields["speaker"] = utterance.speaker
    if utterance.offset:
        fields["offset"] = round(utterance.offset, 6)
    if utterance.raw is not None:
        fields["raw"] = utterance.raw
    return fields | {k: v for k, v in utterance.extra.items() if k not in _KNOWN}


def _parse(line: str, path: Path, number: int) -> Utterance:
    where = f"{path}:{number}"
    try:
        fields = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{where}: not a JSON object ({error}); each line must be one") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{where}: not a JSON object but {type(fields).__name__}")
    for key in ("audio_filepath", "duration", "text"):
        if key not in fields:
            raise ValueError(f"{where}: the key {key!r} is missing; add it")
    for key in ("audio_filepath", "text"):
        if not isinstance(fields[key], str):
            raise ValueError(f"{where}: {key} must be a string, not {fields[key]!r}")
    raw = fields.get("raw")
    if raw is not None and not isinstance(raw, str):
        raise ValueError(f"{where}: raw must be a string such as 's16be:16000:1', not {raw!r}")
    offset = _seconds(fields.get("offset") or 0.0, "offset", where)
    duration = _seconds(fields["duration"], "duration", where)
    if duration == 0:
        raise ValueError(f"{where}: duration is 0 seconds; remove the line or mend the duration")
    speaker = fields.get("speaker")
    return Utterance(
        id=str(fields.get("id") or _default_id(fields["audio_filepath"], offset)),
        audio=os.path.join(path.parent, fields["audio_filepath"]),
        duration=duration,
        text=fields["text"],
        speaker=None if speaker is None else str(speaker),
        offset=offset,
        raw=raw,
        extra={k: v for k, v in fields.items() if k not in _KNOWN},
    )


def _default_id(audio: str, offset: float) -> str:
    return Path(audio).stem + (f"@{offset:g}" if offset else "")


def _seconds(value: object, key: str, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:  # type: ignore[arg-type, operator]
        raise ValueError(f"{where}: {key} must be a number of seconds >= 0, not {value!r}")
    return float(value)  # type: ignore[arg-type]
