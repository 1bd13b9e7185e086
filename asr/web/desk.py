"""Where recordings are recognised: one thread, in which they take turns, and so many places."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from starlette.exceptions import HTTPException

from asr.scoring.transcript import Heard

_RETRY_SECONDS = 5


class Desk:
    """Recognises recordings beside the thread that answers requests.

    They take turns, one batch of pieces at a time, so that a short one need not wait for a long
    one. How many are there at once, received or recognised, is bounded; more are sent away.

    Args:
        recognise: yields what is heard in each piece of a file, as `transcribe` does.
        max_requests: the places.
    """

    def __init__(self, recognise: Callable[[Path], Iterator[Heard]], *, max_requests: int) -> None:
        if max_requests < 1:
            raise ValueError(f"max_requests={max_requests} must be at least 1")
        self.max_requests = max_requests
        self.busy = 0
        self._recognise = recognise
        self._thread = ThreadPoolExecutor(1, "recognise")

    def try_out(self) -> None:
        """Recognise a moment of silence: who asks first need not wait for what is compiled then.

        Raises:
            ValueError: an option is out of range.
        """
        with TemporaryDirectory(prefix="asr-serve-") as folder:
            path = Path(folder) / "silence.wav"
            soundfile.write(path, np.zeros(8000, dtype=np.int16), 16000)
            for _ in self._recognise(path):
                pass

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, or answer 503 if all are taken."""
        if self.busy >= self.max_requests:
            raise HTTPException(
                503,
                f"{self.busy} recordings are being received and recognised, and more do not fit "
                f"(max_requests); try again in {_RETRY_SECONDS} seconds",
                {"Retry-After": str(_RETRY_SECONDS)},
            )
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    async def hear(self, path: Path) -> AsyncIterator[Heard]:
        """What is heard in each piece, as soon as it is; whoever stops asking stops the work.

        Raises:
            ValueError: as `recognise`.
        """
        loop = asyncio.get_running_loop()
        pieces = self._recognise(path)
        while (heard := await loop.run_in_executor(self._thread, next, pieces, None)) is not None:
            yield heard
