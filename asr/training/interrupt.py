"""Ctrl-C and SIGTERM as a wish that the trainer fulfils at the next update's boundary."""

import signal
from types import FrameType
from typing import Self


class Interrupt:
    """A context in which the first SIGINT or SIGTERM is noted; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._previous = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell expects: 128 + the signal's number, 0 if there was none."""
        return 128 + self.signal if self.signal is not None else 0
