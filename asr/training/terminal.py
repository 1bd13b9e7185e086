"""What a person watches: lines, and on a terminal one line below them that lives.

Where the output is no terminal (a file, a pipe, a notebook) there are lines alone.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from asr.scoring.word_alignment import align_words

_PAUSE = 0.2  # seconds between two looks of the living line
_NARROWEST_BAR, _WIDEST_BAR = 8, 40
_NOTHING = "***"  # where one side has no word


class Terminal:
    """The standard output of a run. alive: whether there is a living line.

    A log on a full disk, or a terminal that is gone, stops nobody.
    """

    def __init__(self) -> None:
        self.console = Console(soft_wrap=True, highlight=False, force_jupyter=False)
        # Not rich's own word, which an environment variable may turn into yes for a file.
        self.alive = self.console.file.isatty() and not self.console.is_dumb_terminal
        self._live = Live(console=self.console, auto_refresh=False, transient=True)
        self._shown = 0.0
        self._pace: Pace | None = None

    def open(self) -> None:
        """Let the line live."""
        if self.alive:
            self._live.start()

    def close(self) -> None:
        """Take the living line away, and give the cursor back."""
        with suppress(OSError):
            self._live.stop()

    def line(self, text: str) -> None:
        """One line of text, as it stands."""
        with suppress(OSError):
            self.console.print(text, markup=False)

    def trained(
        self,
        epoch: tuple[int, int],
        update: tuple[int, int],
        *,
        step: int,
        loss: float,
        best_wer: float,
        speed: float,
    ) -> None:
        """Where the run stands. epoch, update: which of how many; updates are of the epoch.

        speed: seconds of audio in a second.
        """
        if self._pace is None:
            self._pace = Pace(epoch, update)
        this, run = self._pace(epoch, update)
        if not self._due():
            return
        # Each with its rank: what matters less goes first where the terminal is narrow.
        parts = [
            (0, f"epoch {epoch[0]}/{epoch[1]}"),
            (5, f"{update[0]}/{update[1]}"),
            (6, f"step {step}"),
            (1, f"loss {loss:.3f}"),
            (3, f"WER {100 * best_wer:.1f} %" if math.isfinite(best_wer) else ""),
            (4, f"{speed:.0f} s/s"),
            (7, f"epoch ends in {this}" if this else ""),
            (2, f"run in {run}" if run else ""),
        ]
        self._show(_Line([part for part in parts if part[1]], update[0] / update[1]))

    def validating(self, done: int, total: int) -> None:
        """How many utterances of a validation are done."""
        if self._pace is not None:
            self._pace.pause()
        if self.alive and (self._due() or done >= total):
            self._show(_Line([(0, "validation"), (1, f"{done}/{total}")], done / total))

    def pair(self, reference: str, hypothesis: str) -> None:
        """What was said above what was heard, word above word, errors marked."""
        if self.alive:
            with suppress(OSError):
                for text in pair_lines(reference, hypothesis, self.console.width):
                    self.console.print(text)

    def _due(self) -> bool:
        now = time.monotonic()
        due = now - self._shown >= _PAUSE
        if due:
            self._shown = now
        return due

    def _show(self, line: "_Line") -> None:
        with suppress(OSError):
            self._live.update(line, refresh=True)


class _Line:
    """Parts, each with its rank, and a bar for the room that is left."""

    def __init__(self, parts: Sequence[tuple[int, str]], share: float) -> None:
        self.parts, self.share = parts, share

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room, kept = options.max_width - 3, set[int]()  # a key's echo, such as ^C, must not wrap
        for rank, part in sorted(self.parts):
            if not kept or cell_len(part) + 2 <= room:
                room -= cell_len(part) + 2 * bool(kept)
                kept.add(rank)
        texts = [part for rank, part in self.parts if rank in kept]
        if room >= 2 + _NARROWEST_BAR:
            size = min(room - 2, _WIDEST_BAR)
            full = round(size * min(self.share, 1.0))
            done, rest = "#-" if options.ascii_only else "\u2501\u2500"
            texts.insert(1, done * full + rest * (size - full))
        yield Text("  ".join(texts), no_wrap=True, overflow="crop")


class Pace:
    """How long it will take, by how long it took so far in this process.

    The first call is the first update's, which counts for nothing: it includes all beginnings.
    """

    def __init__(self, epoch: tuple[int, int], update: tuple[int, int]) -> None:
        self.began = time.monotonic()
        self.last: float | None = self.began
        self.start = self._place(epoch, update)
        self.update_seconds: float | None = None

    def __call__(self, epoch: tuple[int, int], update: tuple[int, int]) -> tuple[str, str]:
        """To the epoch's end and to the run's, `h:mm:ss`; empty while nobody knows."""
        now, place = time.monotonic(), self._place(epoch, update)
        if place <= self.start:
            return "", ""
        if self.last is not None:
            took, old = now - self.last, self.update_seconds
            self.update_seconds = took if old is None else 0.9 * old + 0.1 * took
        self.last = now
        run = (now - self.began) * (epoch[1] - place) / (place - self.start)
        left = update[1] - update[0]
        return "" if self.update_seconds is None else _clock(self.update_seconds * left), _clock(
            run
        )

    def pause(self) -> None:
        """Something else is done: what it takes is none of the next update's time."""
        self.last = None

    @staticmethod
    def _place(epoch: tuple[int, int], update: tuple[int, int]) -> float:
        return epoch[0] - 1 + update[0] / update[1]


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def pair_lines(reference: str, hypothesis: str, width: int) -> Iterator[Text]:
    """Two lines, and two more wherever the width ends. Errors are bold and red."""
    names, margin = ("reference", "heard"), 10
    lines = [Text(f"{name:<{margin}}") for name in names]
    used = margin
    for place in align_words(reference, hypothesis):
        words = [_printable(word or _NOTHING) for word in place]
        size = max(map(cell_len, words)) + 1
        if used > margin and used + size > width:
            yield from lines
            lines, used = [Text(f"{name:<{margin}}") for name in names], margin
        used += size
        for line, word in zip(lines, words, strict=True):
            line.append(word, "" if place.is_right else "bold red")
            line.append(" " * (size - cell_len(word)))
    yield from lines


def _printable(text: str) -> str:
    """Without what would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
