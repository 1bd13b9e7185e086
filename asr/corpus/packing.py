"""Packing: a manifest's audio in tar shards, for disks and networks that dislike small files.

Each sample of a shard is `KEY.flac` (or wav, opus ...), a copy of the file's bytes, and `KEY.json`,
what the manifest says of it, so that what reads WebDataset reads it. The manifest beside the shards
is that of the files, line by line, but for where the audio lies.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from asr.core.audio import audio_info
from asr.core.progress import Advance, progress_bar
from asr.core.shard import TAR_BLOCK, container, open_piece
from asr.corpus.manifest import Manifest, Utterance

_NUM_SHOWN = 10  # of the files that cannot be read
_MAX_BYTES = 8**11 - 1  # of a member, whose size is written in 11 octal digits
_EXTENSIONS = {"vorbis": "ogg", "wavex": "wav", "rf64": "wav"}

Audio = tuple[str, str | None]  # path, and the format of a headerless file


class Packed(NamedTuple):
    """What was packed. unreadable: for each file left out, why."""

    path: Path
    num_utterances: int
    num_files: int
    shards: list[Path]
    num_bytes: int
    unreadable: dict[Audio, str]


class _File(NamedTuple):
    """A file to pack: what kind it is, its bytes, and when they were written."""

    extension: str
    size: int
    mtime: int


class _Member(NamedTuple):
    """What becomes a member of a shard; content: bytes, or the name of a file that holds them."""

    name: str
    size: int
    mtime: int
    content: bytes | str


def pack(
    manifest: Manifest, name: str, folder: Path, *, shard_bytes: int, skip: bool, workers: int
) -> Packed:
    """Write `<folder>/<name>-000000.tar` and so on, then `<folder>/<name>.jsonl`.

    A file that several utterances are parts of is packed once. A shard is written whole or not at
    all; those that an interrupted packing left are kept if they are what would be written.

    Args:
        manifest: the utterances, in an order that stays.
        name: of the split, such as "train".
        folder: may hold other splits.
        shard_bytes: a shard is closed before it would grow beyond this; of one file, it may.
        skip: whether utterances of files that cannot be read are left out, else an error.
        workers: threads that read headers, and write shards.

    Raises:
        ValueError: files cannot be read, the folder holds another packing, there is no room, or a
            file changes meanwhile.
    """
    target = folder / f"{name}.jsonl"
    if target.exists():
        raise ValueError(f"{target} is there already; remove it or name another output")
    files, unreadable = _look_at(manifest, workers)
    if unreadable and not (skip and files):
        raise ValueError(_unreadable(unreadable, len(files)))
    shards, places = _plan(manifest, files, folder / name, shard_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    kept = set(folder.glob(f"{name}-[0-9]*.tar"))
    if others := {path for path in kept if not _holds(path, shards.get(path, []))}:
        raise ValueError(
            f"{min(others)} is of another packing, of other files or sizes; remove it and those "
            "beside it, or name another output"
        )
    size = sum(map(_size, shards.values()))
    rest = {path: members for path, members in shards.items() if path not in kept}
    to_write = sum(map(_size, rest.values()))
    _check_room(folder, to_write)
    with progress_bar("packing", to_write, in_bytes=True) as advance, ThreadPool(workers) as pool:
        for _ in pool.imap_unordered(partial(_write_shard, advance), rest.items()):
            pass
    lines = [_line(u, places[u.audio, u.raw]) for u in manifest if (u.audio, u.raw) in places]
    part = target.with_name(target.name + ".part")
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    part.replace(target)
    return Packed(target, len(lines), len(files), list(shards), size, unreadable)


def _look_at(manifest: Manifest, workers: int) -> tuple[dict[Audio, _File], dict[Audio, str]]:
    """The files in the order of their first use, and those that cannot be read, with the reason."""
    distinct = list(dict.fromkeys((u.audio, u.raw) for u in manifest))
    files, unreadable = {}, {}
    with progress_bar("reading headers", len(distinct)) as advance, ThreadPool(workers) as pool:
        for audio, found in zip(distinct, pool.imap(_file, distinct, chunksize=16), strict=True):
            if isinstance(found, str):
                unreadable[audio] = found
            else:
                files[audio] = found
            advance(1)
    return files, unreadable


def _file(audio: Audio) -> _File | str:
    path, raw = audio
    try:
        form = audio_info(path, raw).format
        extension = "raw" if raw else _EXTENSIONS.get(form, form)
        with _opened(path) as file:
            size = file.seek(0, os.SEEK_END)
        if size > _MAX_BYTES:
            return f"{path}: {size:,} bytes are more than a tar holds; cut it"
        return _File(extension, size, int(Path(container(path)).stat().st_mtime))
    except ValueError as error:
        return str(error)


def _opened(path: str) -> BinaryIO:
    return cast(BinaryIO, open_piece(path) or Path(path).open("rb"))


def _plan(
    manifest: Manifest, files: Mapping[Audio, _File], stem: Path, shard_bytes: int
) -> tuple[dict[Path, list[_Member]], dict[Audio, str]]:
    """The members of each shard, and the name of each file's piece."""
    utterances: dict[Audio, list[Utterance]] = {audio: [] for audio in files}
    for utterance in manifest:
        if (audio := (utterance.audio, utterance.raw)) in utterances:
            utterances[audio].append(utterance)
    shards: dict[Path, list[_Member]] = {}
    places = {}
    filled = shard_bytes
    for number, (audio, file) in enumerate(files.items()):
        sample = list(_sample(f"{number:09d}", audio, file, utterances[audio]))
        if filled + _size(sample) > shard_bytes:
            path = stem.with_name(f"{stem.name}-{len(shards):06d}.tar")
            members = shards[path] = []
            filled = 0
        places[audio] = f"{path.name}#{filled + TAR_BLOCK}+{file.size}"
        members += sample
        filled += _size(sample)
    return shards, places


def _sample(
    key: str, audio: Audio, file: _File, utterances: Sequence[Utterance]
) -> Iterator[_Member]:
    """`KEY.flac` and `KEY.json`: the utterance, or the list of those that are parts of it."""
    name = f"{key}.{file.extension}"
    yield _Member(name, file.size, file.mtime, audio[0])
    lines = [_line(u, name) for u in utterances]
    text = lines[0] if len(lines) == 1 else '{"utterances": [' + ", ".join(lines) + "]}"
    yield _Member(f"{key}.json", len(content := text.encode()), file.mtime, content)


def _size(members: Sequence[_Member]) -> int:
    """Bytes in a tar: each has a header, and is filled up to whole blocks."""
    return sum(TAR_BLOCK - (-member.size // TAR_BLOCK) * TAR_BLOCK for member in members)


def _line(utterance: Utterance, audio: str) -> str:
    """A manifest's line. Seconds are not rounded: batches must be the same, bit for bit."""
    fields: dict[str, Any] = {
        "audio_filepath": audio,
        "duration": utterance.duration,
        "text": utterance.text,
        "id": utterance.id,
        "speaker": utterance.speaker,
        "offset": utterance.offset or None,
        "raw": utterance.raw,
    }
    fields = {key: value for key, value in fields.items() if value is not None}
    return json.dumps(fields | dict(utterance.extra), ensure_ascii=False)


def _write_shard(advance: Advance, shard: tuple[Path, Sequence[_Member]]) -> None:
    path, members = shard
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for member in members:
                info = tarfile.TarInfo(member.name)
                info.size, info.mtime, info.mode = member.size, member.mtime, 0o644
                _add(tar, info, member.content)
                tar.members = []  # type: ignore[attr-defined]  # else all stay in memory
                advance(_size([member]))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _add(tar: tarfile.TarFile, info: tarfile.TarInfo, content: bytes | str) -> None:
    if isinstance(content, bytes):
        tar.addfile(info, io.BytesIO(content))
        return
    with _opened(content) as file:
        if file.seek(0, os.SEEK_END) != info.size:
            raise ValueError(f"{content}: its size changed while it was packed; begin again")
        file.seek(0)
        tar.addfile(info, file)


def _holds(path: Path, members: Sequence[_Member]) -> bool:
    """Whether a shard has these members; its name says that it was written to its end."""
    try:
        with tarfile.open(path, "r:") as tar:
            found = [(m.name, m.size, m.mtime) for m in tar]
    except tarfile.TarError:
        return False
    return found == [member[:3] for member in members]


def _check_room(folder: Path, size: int) -> None:
    if size > (free := shutil.disk_usage(folder).free):
        raise ValueError(
            f"{folder}: there is no room for {size:,} bytes of shards, {free:,} are free; make "
            "room, or name another output"
        )


def _unreadable(unreadable: Mapping[Audio, str], num_readable: int) -> str:
    reasons = list(unreadable.values())
    shown = "".join(f"\n  {reason}" for reason in reasons[:_NUM_SHOWN])
    more = f"\n  and {len(reasons) - _NUM_SHOWN} more" if len(reasons) > _NUM_SHOWN else ""
    return (
        f"{len(reasons)} of {len(reasons) + num_readable} audio files cannot be read; nothing was "
        f"packed. Mend them, or leave them out with skip_unreadable=true:{shown}{more}"
    )
