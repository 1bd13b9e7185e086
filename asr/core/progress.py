"""Progress on stderr with the time that remains; silent where stderr is not a terminal.

Of several processes that work together only one shows it.
"""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


def _speaks() -> bool:
    """Whether this process is alone, or the first of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def say(line: str) -> None:
    """A line for the user, from the main process alone.

    A log on a full disk, or a terminal that is gone, stops nobody: what was done is done.
    """
    try:
        if _speaks():
            Console(soft_wrap=True, highlight=False, markup=False).print(line)
    except OSError:
        atexit.register(_give_up_stdout)


def _give_up_stdout() -> None:
    """What could not be written would turn the exit code into an error at the very end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Advance(Protocol):
    """Moves a bar on by so many steps or bytes, and may say anew what is being done."""

    def __call__(self, amount: float, description: str | None = None) -> None: ...


@contextmanager
def progress_bar(
    description: str, total: float | None, *, in_bytes: bool = False
) -> Iterator[Advance]:
    """Show a bar while the block runs.

    Args:
        description: what is being done.
        total: steps, or bytes, in all; None where nobody knows.
        in_bytes: whether to show sizes and speeds instead of counts.

    Yields:
        A function that advances the bar by so many steps or bytes; see `Advance`.
    """
    console = Console(stderr=True)
    counts = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn())
    shown = console.is_terminal and _speaks()
    with Progress(*columns, console=console, disable=not shown) as progress:
        task = progress.add_task(description, total=total)

        def advance(amount: float, description: str | None = None) -> None:
            progress.update(task, advance=amount, description=description)

        yield advance
