"""The manifest: one JSON object a line, with the field names that NVIDIA NeMo users already have.

    {"audio_filepath": "clips/a.flac", "duration": 3.21, "text": "good morning", "speaker": "174"}

`audio_filepath` is absolute or relative to the manifest's folder; durations and offsets are in
seconds. Optional: `id`, `speaker`, `offset`, `raw` (the format of a headerless file, such as
"s16be:16000:1"). Audio may be a piece of a shard ("a.tar#OFFSET+LENGTH", in bytes). Keys that this
program does not know are kept.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from asr.core.shard import container
from asr.corpus.line_index import MAX_LINE_BYTES, IndexedLines, lines
from asr.corpus.views import Joined, Selected

_INDEXED_BYTES = 1 << 24  # of a manifest that takes longer to read than to index: 60,000 lines
_MAX_SECONDS = 10_000_000  # four months
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

    @property
    def digest(self) -> int:
        """64 bits, equal for equal ids and texts."""
        name = f"{self.id}\0{self.text}".encode()
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


class Manifest(Sequence[Utterance]):
    """Utterances, in their order, with the durations that batches are planned from.

    Those of a large file are parsed when they are asked for; a part of a manifest, and several of
    them together, are arrays of places and copy no utterance.
    """

    def __init__(self, utterances: Iterable[Utterance], name: str = "") -> None:
        self.name = name
        self._digests: NDArray[np.uint64] | None = None
        self.durations: NDArray[np.float64]  # (n,) seconds
        self._rows: Sequence[Utterance]
        if isinstance(utterances, IndexedLines):
            self._rows = utterances
            self.durations, self._digests = utterances.columns.durations, utterances.columns.digests
        else:
            self._rows = tuple(utterances)
            self.durations = np.array([u.duration for u in self._rows], dtype=np.float64)

    @classmethod
    def join(cls, manifests: "Sequence[Manifest]") -> "Manifest":
        """One manifest after the other."""
        whole = cls((), "+".join(m.name for m in manifests))
        whole._rows = Joined(manifests)
        whole.durations = np.concatenate([m.durations for m in manifests])
        whole._digests = np.concatenate([m.digests for m in manifests])
        return whole

    def select(self, places: NDArray[np.int64]) -> "Manifest":
        """The utterances at some places, in that order."""
        part = Manifest((), self.name)
        part._rows = Selected(self._rows, places)
        part.durations = self.durations[places]
        part._digests = None if self._digests is None else self._digests[places]
        return part

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> "Manifest": ...
    def __getitem__(self, index: int | slice) -> "Utterance | Manifest":
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        return self._rows[index]

    @property
    def hours(self) -> float:
        """Total duration in hours."""
        return float(self.durations.sum()) / 3600

    @property
    def digests(self) -> NDArray[np.uint64]:
        """(n,) 64 bits of each, equal for equal ids and texts."""
        if self._digests is None:
            self._digests = np.array([u.digest for u in self], dtype=np.uint64)
        return self._digests


def read_manifest(
    path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
) -> Manifest:
    """Read a JSONL manifest, a line at a time.

    A large one is indexed, and the index kept beside it or in the user's cache, so that it is
    opened at once as long as it does not change.

    Args:
        path: of the manifest.
        root: a folder that every audio file must lie in, links and `..` followed; None allows
            any place.

    Raises:
        ValueError: the file is missing or empty, or a line of it is not a valid utterance, or
            names a file outside the root; says which line, what is wrong with it, and how to
            mend it.
    """
    path = Path(path)
    fence = None if root is None else _Fence(root)
    if not path.is_file():
        raise ValueError(
            f"{path}: no such manifest. Write it with `python -m asr.prepare corpus=...`, or give "
            "the path of a JSONL file with audio_filepath, duration and text on each line"
        )
    utterances: Sequence[Utterance]
    parse = partial(_parse, path, str(path.parent), fence)
    if path.stat().st_size > _INDEXED_BYTES:
        utterances = IndexedLines(path, parse, "" if fence is None else fence.about(path))
    else:
        with path.open("rb") as file:
            numbered = enumerate(lines(file), start=1)
            utterances = tuple(parse(line, number) for number, (_, line) in numbered if line)
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


class _Fence:
    """A folder that audio must lie in; links are followed, those of a folder once."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.realpath(root)
        self.folders: dict[str, str] = {}

    def about(self, path: Path) -> str:
        """A name for all that its judgement of a manifest's paths depends on, links aside."""
        return hashlib.sha256(f"{self.root}\0{path.resolve()}".encode()).hexdigest()[:12]

    def check(self, audio: str, where: str) -> None:
        folder, name = os.path.split(container(audio))
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        real = os.path.join(self.folders[folder], name)
        if name in ("", ".", "..") or os.path.islink(real):  # noqa: PTH114 (Path raises for some)
            real = os.path.realpath(real)
        if os.path.commonpath([real, self.root]) != self.root:
            raise ValueError(
                f"{where}: {_brief(audio)} lies outside of data.root_only={self.root}; move the "
                "file there or allow its folder"
            )


def _parse(path: Path, folder: str, fence: _Fence | None, line: bytes, number: int) -> Utterance:
    where = f"{path}:{number}"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(
            f"{where}: longer than {MAX_LINE_BYTES:,} bytes; is this a manifest? Each line must "
            "be one JSON object, which describes one utterance"
        )
    try:
        fields = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 text ({error}); save it as UTF-8") from None
    except (ValueError, RecursionError) as error:  # ValueError: also for numbers of 4300 digits
        raise ValueError(f"{where}: not a JSON object ({error}); each line must be one") from None
    if not isinstance(fields, dict):
        raise ValueError(f"{where}: not a JSON object but {type(fields).__name__}")
    if b"\\u" in line:
        _check_characters(fields, where)
    for key in ("audio_filepath", "duration", "text"):
        if key not in fields:
            raise ValueError(f"{where}: the key {key!r} is missing; add it")
    for key in ("audio_filepath", "text"):
        if not isinstance(fields[key], str):
            raise ValueError(f"{where}: {key} must be a string, not {_brief(fields[key])}")
    audio = os.path.join(folder, fields["audio_filepath"])
    if not fields["audio_filepath"] or "\0" in audio:
        raise ValueError(f"{where}: audio_filepath {_brief(audio)} is no name of a file")
    if fence is not None:
        fence.check(audio, where)
    raw = fields.get("raw")
    if raw is not None and not isinstance(raw, str):
        raise ValueError(
            f"{where}: raw must be a string such as 's16be:16000:1', not {_brief(raw)}"
        )
    offset = _seconds(fields.get("offset") or 0.0, "offset", where)
    duration = _seconds(fields["duration"], "duration", where)
    if duration == 0:
        raise ValueError(f"{where}: duration is 0 seconds; remove the line or mend the duration")
    speaker, own = _name(fields, "speaker", where), _name(fields, "id", where)
    return Utterance(
        id=own or _default_id(fields["audio_filepath"], offset),
        audio=audio,
        duration=duration,
        text=fields["text"],
        speaker=speaker,
        offset=offset,
        raw=raw,
        extra={k: v for k, v in fields.items() if k not in _KNOWN},
    )


def _default_id(audio: str, offset: float) -> str:
    return Path(audio).stem + (f"@{offset:g}" if offset else "")


def _name(fields: Mapping[str, Any], key: str, where: str) -> str | None:
    """A string; numbers are taken as such."""
    value = fields.get(key)
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{where}: {key} must be a string, not {_brief(value)}")


def _seconds(value: object, key: str, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MAX_SECONDS:  # type: ignore[operator]
        raise ValueError(
            f"{where}: {key} must be a number of seconds from 0 to {_MAX_SECONDS:,}, not "
            f"{_brief(value)}"
        )
    return float(value)  # type: ignore[arg-type]


def _brief(value: object) -> str:
    return f"{value!r:.80}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values of one key, JSON does not say which is meant."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        for key, _ in pairs:
            if fields.pop(key, fields) is fields:  # taken away before
                raise ValueError(f"the key {_brief(key)} stands in it twice")
    return fields


def _number(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"{literal:.20} is no finite number")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_number)


def _check_characters(value: Any, where: str) -> None:
    """Refuse halves of characters, which only JSON's escapes can spell: no file could hold them."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise ValueError(f"{where}: {half} is half a character; write the text anew") from None
    except RecursionError:
        raise ValueError(f"{where}: lists or objects too deep inside each other") from None
