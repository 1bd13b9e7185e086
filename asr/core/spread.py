"""Work in pieces on all cores, each result in its turn."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_work: Callable[[Any], Any]  # of a process that helps


def spread(
    work: Callable[[Piece], Result], pieces: Sequence[Piece]
) -> Generator[Result, None, None]:
    """The result of each piece in their order; what work raises is raised here.

    Processes are started where there are several pieces and cores. Work goes to each of them once
    (where processes are forked, without a copy), pieces and results are pickled.
    Close the generator to leave what is not begun undone.

    Raises:
        ValueError: a process was killed.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    helpers = min(cores or 1, len(pieces))
    if helpers < 2 or multiprocessing.current_process().daemon:  # which may have no children
        yield from map(work, pieces)
        return
    with ProcessPoolExecutor(helpers, initializer=_start, initargs=(work,)) as pool:
        try:
            yield from pool.map(_do, pieces)
        except BrokenProcessPool:
            raise ValueError(
                f"one of {helpers} processes was killed, perhaps for want of memory (see dmesg); "
                "try again where more is free"
            ) from None


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # when to stop is the main process's to say
    _work = work


def _do(piece: Any) -> Any:
    return _work(piece)
