"""TensorBoard's curves of a run, and the lines of metrics.jsonl: neither loses a point.

A disk may be full for a while, and a run may be killed between any two points; what could not be
written waits in memory, and what was written twice is taken back.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter


class Point(NamedTuple):
    """What stands over one update: numbers by curve, texts in Markdown, and what else is shown."""

    step: int
    values: Mapping[str, float]
    texts: Mapping[str, str]
    summaries: Sequence[Summary] = ()


class Curves:
    """Event files for TensorBoard.

    purge_step: what earlier files hold of this update and later ones is void.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        self.folder = folder
        self._recent: list[Point] = []  # not known to be on disk, and those of the same update
        self._writer: SummaryWriter | None = SummaryWriter(str(folder), purge_step=purge_step)

    def add(self, point: Point) -> None:
        """Draw a point of each curve. If the disk refuses it, `flush` tries again."""
        self._recent.append(point)
        if self._writer is not None:
            try:
                self._draw(self._writer, point)
            except OSError:
                self._give_up()

    def flush(self) -> None:
        """Put all points on disk.

        Raises:
            OSError: the disk is full, or the like; the points are kept.
        """
        try:
            if self._writer is None:
                first = self._recent[0].step if self._recent else 0
                self._writer = SummaryWriter(str(self.folder), purge_step=first)
                for point in self._recent:
                    self._draw(self._writer, point)
            self._writer.flush()
        except OSError:
            self._give_up()
            raise
        if self._recent:
            last = self._recent[-1].step
            self._recent = [point for point in self._recent if point.step == last]

    def close(self) -> None:
        """Write out what can be written."""
        with suppress(OSError):
            self.flush()
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()

    def _give_up(self) -> None:
        """The writer's thread has ended; another file will begin where this one is sound."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        self._writer = None

    @staticmethod
    def _draw(writer: SummaryWriter, point: Point) -> None:
        for name, value in point.values.items():
            writer.add_scalar(name, value, point.step)
        for name, text in point.texts.items():
            writer.add_text(name, text, point.step)
        for summary in point.summaries:
            writer.file_writer.add_summary(summary, point.step)  # type: ignore[attr-defined]


class Lines:
    """A text file that grows by whole lines, or not at all."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._waiting = b""

    def add(self, line: str) -> None:
        """Append a line. If the disk refuses it, the next call or `flush` tries again."""
        self._waiting += line.encode() + b"\n"
        with suppress(OSError):
            self._write()

    def flush(self) -> None:
        """Put all lines on disk.

        Raises:
            OSError: the disk is full, or the like; the lines are kept.
        """
        self._write()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write out what can be written."""
        with suppress(OSError):
            self._write()
        self._file.close()

    def _write(self) -> None:
        done = 0
        try:
            while done < len(self._waiting):
                done += self._file.write(self._waiting[done:])
        except OSError:
            self._file.truncate(self._size)  # half a line would spoil the next
            raise
        self._size, self._waiting = self._size + done, b""
