"""Processes of this machine, as many as it has cores."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, forkserver, get_context, parent_process

from asr.engine.base import AHEAD, Engine, Item, Result, each, in_order

_CONTEXT = get_context("forkserver")
_POLL_SECONDS = 1.0
_MOMENT = 1.0  # seconds of work that are not worth starting processes, which takes about as long


class Local(Engine):
    """Processes: threads would wait for each other at Python's lock.

    workers: how many; None: one for each core that this program may use.
    """

    def __init__(self, *, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"engine.workers={workers} must be at least 1, or null: one a core")
        self.workers = workers or num_cores()
        self.pool: ProcessPoolExecutor | None = None

    def run(
        self, function: Callable[[Item], Result], parts: Iterable[list[Item]]
    ) -> Iterator[list[Result]]:
        """Work here for a moment, then in processes; they stay for the next call."""
        rest = iter(parts)
        began = time.monotonic()
        while self.pool is None and time.monotonic() - began < _MOMENT:
            if (part := next(rest, None)) is None:
                return
            yield each(function, part)
        try:
            self.pool = pool = self.pool or _start(self.workers)
            submit = partial(_submit, pool, partial(each, function))
            for done in in_order(submit, rest, AHEAD * self.workers):
                while not done.done():  # a Ctrl-C that comes just before a wait does not end it
                    wait([done], _POLL_SECONDS)
                yield done.result()
        except BrokenProcessPool:
            self._stop()
            raise ValueError(
                "a worker process died: it was killed, perhaps for want of memory (dmesg tells), "
                "or a library crashed on one of the files; try engine.workers=1"
            ) from None
        except BaseException:  # an error, Ctrl-C, or nobody wants the rest
            self._stop()
            raise

    def _stop(self) -> None:
        """At once: one that waits for a dead disk would keep the program from its end."""
        if self.pool is not None:
            for process in active_children():
                if isinstance(process, _CONTEXT.Process):
                    process.kill()
            self.pool.shutdown(cancel_futures=True)
            self.pool = None


def num_cores() -> int:
    """Cores that this process may use, of which a job of a cluster may have been given few."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(workers: int) -> ProcessPoolExecutor:
    # Forked from a clean process without threads, which is deaf to Ctrl-C from its birth on: a
    # terminal sends it to all, and when to stop is this process's to say.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)
    return ProcessPoolExecutor(workers, _CONTEXT, _end_with_parent)


def _submit(
    pool: ProcessPoolExecutor, work: Callable[[list[Item]], list[Result]], part: list[Item]
) -> Future[list[Result]]:
    """Hand out a part, and perhaps start a process, which Ctrl-C must not meet half-born."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(work, part)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
