"""Fetch an archive over a connection that breaks, verify it, and unpack it without trusting it."""

import gzip
import hashlib
import logging
import lzma
import re
import shutil
import tarfile
import time
import zlib
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Self
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from asr.core.progress import progress_bar

_BLOCK_BYTES = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that another try may cure
_BY_HAND = "fetch it by hand and name it: a corpus, unpacked, by corpus.root=FOLDER"
_DAMAGE = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError),
    *(OverflowError, UnicodeError),
)
_MOST_TIMES = 100  # larger than its archive: speech shrinks to a half, zeros to a thousandth
_SMALL_BYTES = 1 << 30  # what any archive may unpack to
_FILE_BYTES = 4096  # that a file takes on a disk, however short it is
_HEADER_BYTES = 1 << 20  # of a long name; tarfile reads it at once

_log = logging.getLogger(__name__)


class _BrokenOffError(Exception):
    """The connection ended before the file did; another try may help."""


def download(
    url: str,
    path: Path,
    *,
    md5: str | None,
    tries: int = 5,
    wait_seconds: float = 1.0,
    timeout_seconds: float = 30.0,
) -> Path:
    """Fetch a file, going on where an earlier try or run broke off.

    What has come so far stands in `<path>.part`, which is renamed when it is whole and right.

    Args:
        url: where the file is.
        path: where it goes. A file that is there already is taken if its checksum is right.
        md5: its published checksum; None where there is none.
        tries: failures in a row, with no new byte between them, before giving up.
        wait_seconds: after the first of these; doubled after each.
        timeout_seconds: how long a server may be silent.

    Returns:
        path.

    Raises:
        ValueError: the server refuses or fails too often, or what it sends is not what was
            published; says what to do.
    """
    if path.is_file() and (md5 is None or _md5(path) == md5):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    resumed = _size(part) > 0
    _fetch(url, part, tries, wait_seconds, timeout_seconds)
    if md5 is not None and (found := _md5(part)) != md5:
        part.unlink()
        if resumed:  # an older run's bytes may be of another edition of the file
            _fetch(url, part, tries, wait_seconds, timeout_seconds)
            found = _md5(part)
        if found != md5:
            part.unlink(missing_ok=True)
            raise ValueError(
                f"{url}: the file that came has MD5 {found}, but {md5} is published; it was "
                f"removed. Try again later, or {_BY_HAND}"
            )
    part.replace(path)
    return path


def _fetch(url: str, part: Path, tries: int, wait: float, timeout: float) -> None:
    """Try until the file is whole; only failures without any progress count."""
    failures, farthest = 0, _size(part)
    while True:
        try:
            return _attempt(url, part, timeout)
        except _BrokenOffError as error:
            failures = 1 if _size(part) > farthest else failures + 1
            farthest = max(farthest, _size(part))
            if failures >= tries:
                raise ValueError(
                    f"{url}: gave up after {failures} failures in a row ({error}). The "
                    f"{_size(part):,} bytes that came stand in {part}: run the same command again "
                    f"to go on from there, or {_BY_HAND}"
                ) from None
            pause = wait * 2 ** (failures - 1)
            _log.warning("%s: %s; trying again in %g s", url, error, pause)
            time.sleep(pause)


def _attempt(url: str, part: Path, timeout: float) -> None:
    """One connection; what it brings is appended to what is there."""
    have = _size(part)
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=timeout) as response:
            _receive(response, part, have)
    except HTTPError as error:
        if error.code == 416:  # nothing lies beyond what we have
            if _content_range(error.headers.get("Content-Range")) == (None, have):
                return
            part.unlink(missing_ok=True)
            raise _BrokenOffError("what came before is not a part of this file") from None
        if error.code in _PASSING:
            raise _BrokenOffError(f"the server answers {error.code} {error.reason}") from None
        raise ValueError(
            f"{url}: the server answers {error.code} {error.reason}; if the file has moved, "
            f"{_BY_HAND}"
        ) from None
    except (HTTPException, ConnectionError, TimeoutError) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from None
    except OSError as error:
        if error.filename is not None or error.errno == 28:  # our disk, not the network
            raise
        raise _BrokenOffError(str(getattr(error, "reason", error))) from None


def _receive(response: HTTPResponse, part: Path, have: int) -> None:
    if response.status == 206:
        start, total = _content_range(response.headers.get("Content-Range"))
        if start != have:
            raise _BrokenOffError(f"asked to go on at byte {have}, the server sent from {start}")
    else:  # the whole file, whatever was asked
        have = 0
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
    title = f"downloading {Path(urlsplit(response.url).path).name}"
    with (
        progress_bar(title, total, in_bytes=True) as advance,
        part.open("ab" if have else "wb") as file,
    ):
        advance(have)
        while block := response.read(_BLOCK_BYTES):
            file.write(block)
            advance(len(block))
    if total is not None and _size(part) != total:
        raise _BrokenOffError(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _content_range(header: str | None) -> tuple[int | None, int | None]:
    """First byte and total length of `bytes 100-199/200` or `bytes */200`."""
    match = re.fullmatch(r"bytes (?:\*|(\d+)-\d+)/(\d+|\*)", header or "")
    if match is None:
        return None, None
    start, total = match.groups()
    return int(start) if start else None, int(total) if total != "*" else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def extract(archive: Path, folder: Path) -> None:
    """Unpack a tar archive whole or not at all, and nothing outside the folder.

    Only directories and regular files are accepted, each name once (where the file system does
    not tell case apart, whatever its case); owners and permissions are not taken over.

    Raises:
        ValueError: a member has an absolute name, climbs out with `..`, or is a link or a
            device; the archive is damaged, would fill the disk, or unpacks to 100 times its size
            and more than a gigabyte. Says which.
        OSError: it cannot be written.
    """
    staging = folder / f".{archive.name}.unpacking"  # a killed run leaves only this
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _unpack(archive, staging)
        _merge(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> None:
    size = archive.stat().st_size
    try:
        with (
            archive.open("rb") as file,
            tarfile.open(fileobj=file, mode="r:*", tarinfo=_Header) as tar,
            progress_bar(f"unpacking {archive.name}", size, in_bytes=True) as advance,
        ):
            position = unpacked = 0
            for member in tar:
                unpacked += member.size + _FILE_BYTES
                _check_room(archive, folder, member.size, unpacked, size)
                _unpack_member(tar, member, folder, archive)
                tar.members = []  # type: ignore[attr-defined]  # else all stay in memory
                advance(file.tell() - position)
                position = file.tell()
            while tar.fileobj is not None and tar.fileobj.read(_BLOCK_BYTES):
                pass  # to the end, where gzip verifies its checksum
    except _DAMAGE as error:
        raise ValueError(
            f"{archive}: the archive is cut short or damaged ({error}); remove it and run again"
        ) from None
    except OSError as error:
        if error.errno is not None:  # the disk, not a decompressor
            raise
        raise ValueError(
            f"{archive}: the archive is damaged ({error}); remove it and run again"
        ) from None


class _Header(tarfile.TarInfo):
    """A member's header; one that would make tarfile read gigabytes, or go back, is damaged."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """The header in a block of 512 bytes."""
        header = super().frombuf(buf, encoding, errors)
        files = (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
        if header.size < 0 or (header.type not in files and header.size > _HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def _check_room(archive: Path, folder: Path, size: int, unpacked: int, packed: int) -> None:
    """Refuse a decompression bomb, and what would fill the disk, before it is written."""
    if unpacked > max(_SMALL_BYTES, _MOST_TIMES * packed):
        raise ValueError(
            f"{archive}: refused, because its {packed:,} bytes unpack to {unpacked:,} and more; no "
            "speech shrinks so far. Fetch the archive again from its publisher"
        )
    if size > (free := shutil.disk_usage(folder).free):
        raise ValueError(
            f"{archive}: there is no room to unpack it: its next file has {size:,} bytes, and "
            f"{free:,} are free; make room and run again"
        )


def _unpack_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: Path
) -> None:
    if fault := _fault(member):
        raise ValueError(
            f"{archive}: refused, because its member {member.name!r} {fault}; nothing was "
            "unpacked. Fetch the archive again from its publisher"
        )
    target = folder / member.name
    try:
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tar.extractfile(member)
        assert source is not None  # a regular file has contents
        with source, target.open("xb") as file:
            shutil.copyfileobj(source, file, _BLOCK_BYTES)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ValueError(
            f"{archive}: {member.name!r} stands in it twice, or as a file and a folder (perhaps "
            "in another case, which this file system does not tell apart); it is damaged"
        ) from None


def _fault(member: tarfile.TarInfo) -> str | None:
    """Why a member must not be unpacked."""
    if "\0" in member.name:
        return "has no proper name"
    for path in (PurePosixPath(member.name), PureWindowsPath(member.name)):
        if path.is_absolute() or path.drive or path.root:
            return "has an absolute name"
        if ".." in path.parts:
            return "climbs out of the folder with '..'"
    if member.issym() or member.islnk():
        return f"is a link to {member.linkname!r}"
    if not (member.isfile() or member.isdir()):
        return "is a device or a pipe"
    return None


def _merge(source: Path, target: Path) -> None:
    """Move a tree into another, folder by folder."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _merge(entry, place)
        else:
            shutil.move(entry, place)
