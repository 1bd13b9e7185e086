"""Checkpoints: tensors and plain data, written whole or not at all, read without running code.

A checkpoint is what torch.save writes, and `torch.load(path, weights_only=True)` reads it. It is
a zip archive whose records lie in it uncompressed, each with a CRC-32, which finds every flipped
bit and every burst of up to 32; what lies outside of records (times, versions, padding) has no
meaning. torch.load does not compare these checksums; `load_checkpoint` does: 500 MB then take
0.4 to 0.8 s instead of 0.3 (from the page cache, on one core).
"""

import errno
import os
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from asr.core.plain_pickle import NotPlainError, check_plain, read_plain

FORMAT = "asr-checkpoint"
VERSION = 1

_NEEDED = {
    "config": dict,
    "tokenizer": dict,
    "weights": dict,
    "feature_fingerprint": Tensor,
    "versions": dict,
}
_MAX_DIRECTORY_BYTES = 1 << 24  # of the zip archive: some 200,000 records
_MAX_PICKLE_BYTES = 1 << 26
_BLOCK_BYTES = 1 << 20


def save_checkpoint(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write a checkpoint so that a crash at any moment leaves the old file or the new one.

    Raises:
        OSError: it cannot be written, such as to a full disk; the old file is as it was.
        TypeError: the content is more than tensors and plain data; says what and where.
    """
    path = Path(path)
    content = {"format": FORMAT, "version": VERSION} | content
    try:
        check_plain(content)
    except ValueError as error:
        raise TypeError(f"{path}: not written, because it could not be read: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        _write(temporary, content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Put on disk which names a folder holds: a rename is there to stay only then."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class UnusableError(ValueError):
    """What a checkpoint's file holds is at fault; another checkpoint may serve."""


class _Sink:
    """What torch writes to; it remembers why writing failed, which torch does not."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """`_write` does it, where errors are not lost."""


def _write(path: Path, content: dict[str, Any]) -> None:
    with path.open("wb") as file:
        sink = _Sink(file)
        try:
            torch.save(content, sink)  # type: ignore[arg-type]
        except RuntimeError:
            if sink.error is not None:
                raise sink.error from None
            raise
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint on the CPU and verify its checksums.

    Whatever the file holds, no code of it runs, and what is read takes no more memory than the
    file has bytes, and about 500 MB for its bookkeeping.

    Raises:
        UnusableError: it is damaged, or a checkpoint of another program; it holds something other
            than tensors and plain data, which could run code.
        ValueError: there is none, it may not be read, or a newer version of the program wrote it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint; train one with `python -m asr.train`")
    try:
        with path.open("rb") as file:
            content = _read(file)
    except NotPlainError as error:
        raise UnusableError(
            f"{path}: not loaded, because it holds more than tensors and plain data, which could "
            f"run code ({error})"
        ) from None
    except MemoryError:
        raise ValueError(f"{path}: there is not enough memory to read it") from None
    except Exception as error:  # parsers of a damaged file raise anything
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise ValueError(f"{path}: {error.strerror}; it cannot be read now") from None
        raise UnusableError(
            f"{path}: damaged or not a checkpoint; use another checkpoint of the run "
            f"({str(error) or type(error).__name__:.200})"
        ) from None
    _check(content, path)
    return content  # type: ignore[no-any-return]


def _read(file: BinaryIO) -> Any:
    """The content of an archive, all of whose records are whole."""
    _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        records = _records(archive, file.seek(0, os.SEEK_END))
        read: dict[str, Tensor] = {}

        def record(name: str) -> Tensor:
            if name not in read:
                read[name] = _verified(archive, records[name])
            return read[name]

        if records["data.pkl"].file_size > _MAX_PICKLE_BYTES:
            raise ValueError("the description of its tensors is too long")
        pickled = record("data.pkl").numpy().tobytes()
        if record("byteorder").numpy().tobytes() != sys.byteorder.encode():
            raise ValueError("written on a machine of another byte order")
        content = read_plain(pickled, lambda key: record(f"data/{key}"))
        for name in records.keys() - read.keys():
            _verified(archive, records[name])
    return content


def _check_directory(file: BinaryIO) -> None:
    """Bound what zipfile reads at once: its list of records, by both places that state its size."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 98))
    end = file.read().rjust(98, b"\0")
    if end[-22:-18] != b"PK\x05\x06":
        raise ValueError("it does not end as a zip archive")
    (short,) = struct.unpack_from("<I", end, 98 - 10)
    (long,) = struct.unpack_from("<Q", end, 40) if end[56:60] == b"PK\x06\x07" else (0,)
    if max(short, long) > _MAX_DIRECTORY_BYTES:
        raise ValueError("its list of records is too long")


def _records(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The records by name, which together take no more than the file has."""
    entries = archive.infolist()
    records = {info.filename.partition("/")[2]: info for info in entries}
    if len(records) != len(entries):
        raise ValueError("two of its records have one name")
    if any(i.compress_type != zipfile.ZIP_STORED for i in entries):
        raise ValueError("it is compressed")
    if sum(max(i.file_size, i.compress_size) for i in entries) > size:
        raise ValueError("its records claim more bytes than the file has")
    return records


def _verified(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Tensor:
    """(bytes,) uint8 of a record; zipfile compares its checksum when the last byte is read."""
    data = torch.empty(info.file_size, dtype=torch.uint8)
    array = data.numpy()
    with archive.open(info) as file:
        position = 0
        while block := file.read(_BLOCK_BYTES):
            array[position : position + len(block)] = np.frombuffer(block, dtype=np.uint8)
            position += len(block)
        if position < info.file_size or file.read(1):
            raise ValueError(f"the record {info.filename} is cut short")
    return data


def _check(content: Any, path: Path) -> None:
    """Whether what was read is a checkpoint of this program, whole and not of the future."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        keys = (
            sorted(map(str, content))[:5] if isinstance(content, dict) else type(content).__name__
        )
        raise UnusableError(
            f"{path}: a checkpoint of another kind (it holds {keys!r:.200}); this program reads "
            "those that `python -m asr.train` writes"
        )
    version = content.get("version")
    if type(version) is not int or version < 1:
        raise UnusableError(
            f"{path}: damaged: its version is {version!r:.40}; use another checkpoint of the run"
        )
    if version > VERSION:
        raise ValueError(
            f"{path}: written by a newer version of this program (format {version}, "
            f"this one reads up to {VERSION}); update the program"
        )
    wrong = [k for k, kind in _NEEDED.items() if not isinstance(content.get(k), kind)]
    if wrong:
        raise UnusableError(
            f"{path}: incomplete: it holds no {', '.join(wrong)}, or of a wrong type; use another "
            "checkpoint of the run"
        )
