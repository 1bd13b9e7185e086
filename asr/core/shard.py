"""A piece of a tar shard as a file: audio that `asr.pack` put into `train-000003.tar`.

Its name is `train-000003.tar#OFFSET+LENGTH`, in bytes, and stands wherever an audio file's may. A
process keeps each shard open, a few dozen at most, and reads at positions of its own, so that
threads and forked loader processes may share them.
"""

import io
import os
import re
import stat
from functools import lru_cache
from typing import Any

TAR_BLOCK = 512  # bytes: a tar's headers, and the multiple that its members are filled up to

_PIECE = re.compile(r"(.+\.tar)#([0-9]{1,18})\+([0-9]{1,18})", re.DOTALL)
_BUFFER_BYTES = 1 << 17  # most utterances in one request or two
_MAX_OPEN = 64  # shards; many systems allow a process 256 files


def container(audio: str) -> str:
    """The file on disk that a name of audio leads to: the shard of a piece, else itself."""
    found = _PIECE.fullmatch(audio)
    return found[1] if found else audio


def open_piece(audio: str) -> "Piece | None":
    """The piece that a name means, or None if it is no piece's.

    Raises:
        ValueError: the shard is cut short, or no member of that length stands there.
        OSError: the shard cannot be opened or read.
    """
    found = _PIECE.fullmatch(audio)
    if found is None:
        return None
    shard, start, length = _opened(found[1]), int(found[2]), int(found[3])
    if start + length > shard.size:
        raise ValueError(
            f"{audio}: the shard is cut short: it has {shard.size:,} bytes, but {start + length:,} "
            "are needed; copy it again or pack the corpus anew"
        )
    # (ustar) name 100 bytes, mode, uid, gid 8 each, size 12 in octal ... magic at 257
    before = start - TAR_BLOCK
    header = os.pread(shard.descriptor, TAR_BLOCK, before) if before >= 0 else b""
    size = header[124:135]
    if header[257:262] != b"ustar" or not size.isdigit() or int(size, 8) != length:
        raise ValueError(
            f"{audio}: no member of {length:,} bytes begins there; the shard is damaged, or of "
            "another packing than its manifest"
        )
    return Piece(_Window(shard, start, length), _BUFFER_BYTES)


def ffmpeg_source(audio: str) -> str:
    """What ffmpeg calls a piece; the name of any other file stays what it is."""
    found = _PIECE.fullmatch(audio)
    if found is None:
        return audio
    return f"subfile,,start,{found[2]},end,{int(found[2]) + int(found[3])},,:{found[1]}"


class Piece(io.BufferedReader):
    """A piece as a file; buffered, because libsndfile reads an MP3 four bytes at a time."""

    @property
    def fault(self) -> OSError | None:
        """What the disk said where reading failed.

        libsndfile, which reads the piece, can only be told that there is no more.
        """
        assert isinstance(self.raw, _Window)
        return self.raw.fault


class _Window(io.RawIOBase):
    """Bytes `start` to before `start + length` of a shard."""

    def __init__(self, shard: "_Shard", start: int, length: int) -> None:
        self._shard = shard
        self._start = start
        self._length = length
        self._position = 0
        self.fault: OSError | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._length - self._position)]
        count, wanted = 0, len(view)
        try:
            while count < wanted:
                place = self._start + self._position
                read = os.preadv(self._shard.descriptor, [view[count:]], place)
                if read == 0:
                    break
                count += read
                self._position += read
        except OSError as error:
            self.fault = error
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        return self._position


class _Shard:
    """An open file, closed with the last of those that read it."""

    def __init__(self, path: str) -> None:
        self.descriptor = -1
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (Path takes longer)
            raise ValueError(f"{path}: a folder, a pipe or a device; name a shard, a regular file")
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self.descriptor).st_size

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


_opened = lru_cache(_MAX_OPEN)(_Shard)
