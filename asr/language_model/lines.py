"""The lines of a large text file, plain or gzip, in blocks that compiled loops take."""

import gzip
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

CUT = "it is cut short or damaged: copy, download or make it again"
_BLOCK_BYTES = 1 << 22
_LONGEST = 1 << 20
_GZIP = b"\x1f\x8b"


class Lines:
    """The lines of a file, in blocks of whole lines, and the number of the line that is next."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 1
        self.block = np.empty(0, np.uint8)
        self.position = 0
        self._rest = b""
        self._files = ExitStack()

    def __enter__(self) -> "Lines":
        if not self.path.is_file():
            raise ValueError(f"{self.path}: no such language model; `python -m asr.lm` makes one")
        self._file: IO[bytes] | gzip.GzipFile = self._files.enter_context(self.path.open("rb"))
        head = self._file.read(2)
        self._file.seek(0)
        if head == _GZIP:
            self._file = self._files.enter_context(gzip.GzipFile(fileobj=self._file))
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def fault(self, what: str, line: int | None = None) -> NoReturn:
        """Raise for a line, by default the next one."""
        raise ValueError(f"{self.path}:{line or self.number}: {what}") from None

    def fill(self) -> bool:
        """Have at least one whole line in the block; False at the file's end."""
        while self.position == len(self.block):
            data = self._read()
            if not data and not self._rest:
                return False
            data = self._rest + data if data else self._rest + b"\n"
            cut = data.rfind(b"\n") + 1
            self._rest = data[cut:]
            if len(self._rest) > _LONGEST:
                self.fault("a line of more than a megabyte; this is not an ARPA file")
            self.block, self.position = np.frombuffer(bytearray(data[:cut]), np.uint8), 0
        return True

    def peek(self) -> str | None:
        """The next line, stripped; None at the file's end."""
        if not self.fill():
            return None
        stop = self._stop()
        return bytes(self.block[self.position : stop]).decode(errors="replace").strip()

    def skip(self) -> None:
        """Be done with the next line."""
        self.position = self._stop() + 1
        self.number += 1

    def finish(self) -> None:
        """Read on to the end, where gzip verifies its checksum."""
        while self._read():
            pass

    def _stop(self) -> int:
        window = 256
        while not (found := np.flatnonzero(
            self.block[self.position : self.position + window] == ord("\n")
        )).size:  # fmt: skip
            window *= 16
        return self.position + int(found[0])

    def _read(self) -> bytes:
        try:
            return self._file.read(_BLOCK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.fault(f"the gzip file ends or breaks after this line ({error}); {CUT}")
