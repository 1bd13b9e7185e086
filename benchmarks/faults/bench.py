"""What faults are planted in: real runs of the program on the tests' corpus, seen from outside."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from killing import differences, end, kill_all
from support import REPOSITORY, command, metrics, tones_overrides

from asr.core.checkpoint import load_checkpoint

EPOCHS, UPDATES, UTTERANCES = 3, 60, 160  # of a run, of a run, of an epoch
TICK = 0.002  # seconds between two looks
SAVING = "trainer.checkpoint_minutes=0"  # after each update
IDENTICAL = "Nothing: the end is bit-identical."
RANKS = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--monitor-interval=0.2")
# Root may read and write anything; without these two rights it is a user like others.
NO_ROOT = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


class UnexpectedError(Exception):
    """The program did not do what it promises, or the fault could not be planted."""


def need(true: object, what: str) -> None:
    """Raise UnexpectedError unless something holds."""
    if not true:
        raise UnexpectedError(what)


class Found(NamedTuple):
    """What came of a fault. said: the program's decisive words. code: of its exit."""

    said: str
    code: int | str
    lost: str


def tidy(line: str) -> str:
    """A line without the time and the place that a logger puts before it."""
    return re.sub(r"^(\[[^]]*\])+ - ", "", line.strip())


class Run:
    """A command of the program that is under way. folder: of the run; log: what it says."""

    def __init__(self, arguments: list[str], folder: Path, log: Path, **environment: str) -> None:
        self.folder, self.log = folder, log
        self.began, self.code, self.peak = time.monotonic(), None, 0  # peak: bytes
        self._before = _size(log)
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                arguments, cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | environment, start_new_session=True,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """What it has said so far; nothing of earlier commands with the same log."""
        with self.log.open("rb") as file:
            file.seek(self._before)
            return file.read().decode(errors="replace")

    def line(self, pattern: str) -> str:
        """The first line that it said and that a regular expression is found in."""
        lines = [line for line in self.said.splitlines() if re.search(pattern, line)]
        need(lines, f"no line has {pattern!r}, but the end is:\n{self.said[-1500:]}")
        return tidy(lines[0])

    def alive(self) -> bool:
        """Whether it still runs; notes how it ended."""
        if self.code is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
                self.peak = 1024 * usage.ru_maxrss
        return self.code is None

    def until(self, happened: Callable[[], object], seconds: float = 120) -> None:
        """Wait for something that is to happen while it runs."""
        limit = time.monotonic() + seconds
        while not happened():
            need(self.alive(), f"it ended too soon, with {self.code}:\n{self.said[-1500:]}")
            need(time.monotonic() < limit, f"nothing in {seconds} s:\n{self.said[-1500:]}")
            time.sleep(TICK)

    def updates(self, count: int) -> None:
        """Wait until the run has made so many."""
        path = self.folder / "metrics.jsonl"
        self.until(lambda: path.exists() and path.read_bytes().count(b"train/loss") >= count)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing moves in its main process while the block runs."""
        os.kill(self.process.pid, signal.SIGSTOP)
        self.until(lambda: _state(self.process.pid) in "TZ")
        yield
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self, code: int | None, seconds: float = 180) -> "Run":
        """Wait for its end, which is to be with a code; None: with whatever code."""
        limit = time.monotonic() + seconds
        while self.alive() and time.monotonic() < limit:
            time.sleep(TICK)
        hangs = self.code is None
        kill_all(self.process)
        need(not hangs, f"it hangs after {seconds} s:\n{self.said[-1500:]}")
        need(code in (self.code, None), f"exit code {self.code}, not {code}:\n{self.said[-1500:]}")
        return self

    def children(self) -> list[int]:
        """Processes that it forked: the same program, such as the loader's workers."""
        pid = self.process.pid
        own = Path(f"/proc/{pid}/cmdline").read_bytes()
        found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return [child for child in found if Path(f"/proc/{child}/cmdline").read_bytes() == own]


class Bench:
    """Where all faults are planted, and the undisturbed runs that their ends are held against."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        self.logs = folder / "logs"
        self.tones = folder / "data" / "tones"
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._made: set[str] = set()
        self._started: list[tuple[int, Run]] = []  # and by which thread
        for path in (self.runs, self.logs):
            path.mkdir()
        done = command("prepare", "corpus=tones", f"folder={folder / 'data'}")
        need(done.returncode == 0, done.stderr)

    def start(
        self, name: str, *options: str, tones: Path | None = None, log: Path | None = None,
        prefix: tuple[str, ...] = (), **environment: str,
    ) -> Run:  # fmt: skip
        """`python -m asr.train`, or the same with something before it, on the tests' corpus."""
        base = [*tones_overrides(tones or self.tones, self.runs), "experiment=tones"]
        whole = [*base, f"trainer.epochs={EPOCHS}", f"run={name}", *options]
        python = [] if "torch.distributed.run" in prefix else [sys.executable]
        log = log or self.logs / f"{name}.log"
        arguments = [*prefix, *python, "-m", "asr.train", *whole]
        return self._noted(Run(arguments, self.runs / name, log, **environment))

    def do(self, name: str, what: str, *arguments: str, **environment: str) -> Run:
        """Another command of the program."""
        start = [sys.executable, "-m", f"asr.{what}", *arguments]
        log = self.logs / f"{name}.log"
        return self._noted(Run(start, self.folder / name, log, **environment))

    def _noted(self, run: Run) -> Run:
        self._started.append((threading.get_ident(), run))
        return run

    def stop(self) -> None:
        """End what this thread has started and what still runs, as after a check that failed."""
        for thread, run in list(self._started):
            if thread == threading.get_ident() and run.alive():
                os.kill(run.process.pid, signal.SIGCONT)
                end(run.process)
                run.code = run.process.returncode

    def once(self, name: str, make: Callable[[], Any]) -> Path:
        """A folder that several faults start from, made by the first of them."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._made:
                make()
                self._made.add(name)
        return self.runs / name

    def whole(self, name: str, *options: str, **environment: str) -> Path:
        """The folder of an undisturbed run."""
        return self.once(name, lambda: self.start(name, *options, **environment).end(0))

    def saving(self) -> Path:
        """That of an undisturbed run that saves after each update."""
        return self.whole("undisturbed", SAVING)

    def killed(self) -> Path:
        """A run that was killed in its second epoch, with two checkpoints."""

        def make() -> None:
            run = self.start("base", SAVING)
            run.updates(30)
            with run.held():
                run.process.kill()
            run.end(-signal.SIGKILL)

        return self.once("base", make)

    def own_tones(self, name: str) -> Path:
        """A corpus to be damaged."""
        return Path(shutil.copytree(self.tones, self.folder / "own" / name))


def longest(tones: Path, count: int) -> list[dict[str, Any]]:
    """The training utterances that the first epoch, which goes by length, comes to at its end."""
    lines = map(json.loads, (tones / "train.jsonl").read_text().splitlines())
    return sorted(lines, key=lambda fields: fields["duration"])[-count:]


def identical(whole: Path, run: Path, aside: str = "*.damaged") -> str:
    """What was lost by a run that ends as the undisturbed one does; files set aside excepted."""
    for path in run.glob(aside):
        path.replace(run.parent.parent / "logs" / f"{run.name}-{path.name}")
    found = differences(whole, run)
    need(not found, f"the end differs: {'; '.join(found)}")
    return IDENTICAL


def steps(folder: Path) -> list[int]:
    """The updates that stand in metrics.jsonl, each once and in order."""
    return [int(fields["step"]) for fields in metrics(folder) if "train/loss" in fields]


def state(folder: Path) -> dict[str, Any]:
    """What the last checkpoint says of the run."""
    return load_checkpoint(folder / "last.pt")["training"]["state"]  # type: ignore[no-any-return]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
