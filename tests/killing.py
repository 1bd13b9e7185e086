"""Runs that are killed, really killed, and whether they end like one that was not.

All is seen from outside, as a user sees it: the lines of metrics.jsonl, the temporary files in the
run's folder, the lines on the terminal. Nothing in the program knows that it is watched.
"""

import itertools
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import REPOSITORY, assert_same, metrics
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator as PageAccumulator,
)

from asr.core.checkpoint import load_checkpoint

logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of each purge, as is its duty

STEP, SAVING, VALIDATION, EPOCH_END = "step", "checkpoint", "validation", "epoch's end"
KINDS = (STEP, SAVING, VALIDATION, EPOCH_END)  # moments after a process's first update
RESUMING = "resuming"  # before its first update: it finds its place again
ASKED = "asked to stop"  # by SIGTERM, upon which it saves
LIMIT = 600.0  # seconds after which a process is said to hang
TICK = 0.0005  # seconds between two looks into a run's folder

_TORCHRUN = ("-m", "torch.distributed.run", "--standalone")
Record = tuple[int, bool]  # a line of metrics.jsonl: the update, and whether it is a validation
Process = subprocess.Popen[bytes]


def start(*arguments: str, log: Path | None = None, processes: int = 1) -> Process:
    """Start `python -m asr.train` as a user would, in a session of its own; log: not to a pipe."""
    several = [*_TORCHRUN, f"--nproc-per-node={processes}"] if processes > 1 else []
    with (log or Path(os.devnull)).open("wb") as file:
        return subprocess.Popen(
            [sys.executable, *several, "-m", "asr.train", *arguments], cwd=REPOSITORY,
            stdout=file if log else subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip


def wait_for_updates(run: Process, folder: Path, count: int) -> None:
    """Until a run has written `count` lines of metrics, or has ended."""
    until = time.monotonic() + 120
    path = folder / "metrics.jsonl"
    while time.monotonic() < until and run.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.002)


def finish(process: Process, log: Path) -> None:
    """Wait for a process that nobody disturbs.

    Raises:
        RuntimeError: it fails, or hangs.
    """
    try:
        code = process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        code = None
    end(process)
    if code != 0:
        what = f"hangs after {LIMIT:.0f} s" if code is None else f"ended with {code}"
        raise RuntimeError(f"a run {what}:\n{log.read_text(encoding='utf-8')[-2000:]}")


def kill_all(process: Process) -> None:
    """Kill a process and its loader's workers, which a killed process leaves for some seconds."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end(process: Process) -> None:
    """Stop a process, and if it is `torchrun` those that it started, in sessions of their own."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
    kill_all(process)


# --- one process, seen from outside -----------------------------------------------------------


class Watch:
    """Follows one process by what it leaves in a run's folder; made before it is started.

    records: the lines that it has written itself. open: the temporary files of checkpoints that
    it is writing. written: how many it has begun. resumed: it has begun to cut the curves back.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[Record] = []
        self.open: set[str] = set()
        self.written = 0
        self.resumed = False
        self._metrics = folder / "metrics.jsonl"
        self._before = _files(folder)
        self._offset: int | None = None  # none: it has opened no curves yet

    def look(self) -> None:
        """Take in what is new. The lines of earlier processes are cut back before the curves."""
        files = _files(self.folder)
        new = {name for name, status in files.items() if self._before.get(name) != status}
        self.resumed = self.resumed or any(name.startswith("metrics") for name in new)
        if self._offset is None:
            if not any(name.startswith("events.out") for name in new - self._before.keys()):
                return
            self._offset = self._metrics.stat().st_size
        parts = {name for name in new if ".pt" in name and name.endswith(".part")}
        self.written += len(parts - self.open)
        self.open = parts
        if self._metrics.stat().st_size > self._offset:
            with self._metrics.open("rb") as file:
                file.seek(self._offset)
                lines, end, _ = file.read().rpartition(b"\n")
            self._offset += len(lines + end)
            self.records += _records(lines)

    def until(self, happened: Callable[[], bool], process: Process, seconds: float = LIMIT) -> bool:
        """Look until something has happened; False: the process ended first, or it took longer."""
        limit = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < limit:
            self.look()
            if happened():
                return True
            time.sleep(TICK)
        return False


def _records(lines: bytes) -> list[Record]:
    fields = map(json.loads, lines.splitlines())
    kept = [f for f in fields if f.keys() & {"train/loss", "validation/wer"}]
    return [(f["step"], "validation/wer" in f) for f in kept]


def _files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The files of a folder, each with what changes when it is written again."""
    found = {}
    with os.scandir(folder) if folder.is_dir() else nullcontext(()) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # renamed in between
                status = entry.stat()
                found[entry.name] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


# --- the undisturbed run: when things happen --------------------------------------------------


@dataclass(frozen=True)
class Timeline:
    """What an undisturbed run does when: where others of the same options can be killed.

    records: its lines. gaps: seconds from each to the next, 0 for the last. saves: checkpoints
    that are written in between. epoch_ends: the last update of each epoch. writing: seconds that
    the temporary file of a checkpoint lives.
    """

    records: list[Record]
    gaps: list[float]
    saves: list[int]
    epoch_ends: set[int]
    writing: float

    def kind_after(self, place: int) -> str:
        """What a process is at that has written records[place] and not the next one."""
        if place + 1 < len(self.records) and self.records[place + 1][1]:
            return VALIDATION
        return EPOCH_END if self.records[place][0] in self.epoch_ends else STEP

    def places(self, kind: str) -> list[int]:
        """The records after which a kill is of a kind; after the last there is only a save."""
        if kind == SAVING:
            return [i for i, count in enumerate(self.saves) if count]
        return [i for i in range(len(self.records) - 1) if self.kind_after(i) == kind]


def observe(folder: Path, log: Path, *arguments: str) -> Timeline:
    """Run undisturbed, and note when each line and each temporary file came.

    Raises:
        RuntimeError: it fails, or hangs.
    """
    times: list[float] = []
    saves: list[int] = []  # the record before each
    lives: list[float] = []
    opened = 0.0
    watch = Watch(folder)

    def note() -> bool:
        nonlocal opened
        now = time.monotonic()
        times.extend([now] * (len(watch.records) - len(times)))
        saves.extend([len(watch.records) - 1] * (watch.written - len(saves)))
        if watch.open and not opened:
            opened = now
        elif opened and not watch.open:
            lives.append(now - opened)
            opened = 0.0
        return False

    process = start(*arguments, "trainer.log_every=1", log=log)  # its lines tell the epochs
    watch.until(note, process)
    finish(process, log)
    watch.look()
    note()
    ends = dict(re.findall(r"^train epoch=(\d+)/\d+ step=(\d+)", log.read_text(), re.MULTILINE))
    return Timeline(
        watch.records,
        [later - sooner for sooner, later in itertools.pairwise(times)] + [0.0],
        [saves.count(i) for i in range(len(watch.records))],
        {int(step) for step in ends.values()},
        sorted(lives)[len(lives) // 2] if lives else 0.0,
    )


# --- the kill ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aim:
    """When to kill: `share` of the time after that record, or of a checkpoint's writing, is over.

    which: the number of the temporary file after the record. workers: are killed as well.
    """

    kind: str
    place: int
    share: float
    which: int = 1
    workers: bool = False


def kill(process: Process, watch: Watch, aim: Aim, timeline: Timeline) -> bool:
    """Wait for the moment and send SIGKILL; False: the process ended by itself, or hangs."""
    target = timeline.records[aim.place]
    if aim.kind == RESUMING:
        watch.until(lambda: watch.resumed, process)
        time.sleep(aim.share * max(timeline.gaps))
    elif watch.until(lambda: watch.records[-1:] >= [target], process):
        if aim.kind == SAVING:
            before = watch.written - len(watch.open)
            enough = [(target[0] + 2, False)]
            watch.until(
                lambda: watch.written - before >= aim.which or watch.records[-1:] >= enough, process
            )
            time.sleep(aim.share * timeline.writing)
        else:
            time.sleep(aim.share * timeline.gaps[aim.place])
    if aim.kind == ASKED:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT)
        kill_all(process)
        return process.returncode == 128 + signal.SIGTERM
    process.kill()
    if aim.workers:
        kill_all(process)
    return process.wait() == -signal.SIGKILL


def kind_of(watch: Watch, timeline: Timeline) -> str:
    """What a killed process was at, by what it left behind."""
    watch.look()
    if not watch.records:
        return RESUMING
    return SAVING if watch.open else timeline.kind_after(timeline.records.index(watch.records[-1]))


# --- the end ----------------------------------------------------------------------------------


def curves(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """All scalars and texts of TensorBoard with their steps; of timings the steps only.

    The text `run` names the run's folder and its speed, and counts as a timing.
    """
    points = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    # It does not purge texts; the one behind TensorBoard's pages does.
    texts = PageAccumulator(str(folder), tensor_size_guidance={"text": 0})
    points.Reload()
    texts.Reload()
    found = {
        tag: [(e.step, None if tag.startswith("time/") else e.value) for e in points.Scalars(tag)]
        for tag in points.Tags()["scalars"]
    }
    for tag in texts.PluginTagToContent("text"):
        told = [(e.step, list(e.tensor_proto.string_val)) for e in texts.Tensors(tag)]
        found[tag] = [(s, None) for s, _ in told] if tag.startswith("run/") else told
    return found


def differences(whole: Path, killed: Path) -> list[str]:
    """In what the end of a killed run differs from that of the undisturbed one; none is right.

    Compared are which files there are, each checkpoint bit for bit (all but the run's name),
    metrics.jsonl but for timings, and the curves and texts of TensorBoard.
    """
    found = []
    names = [_kept(folder) for folder in (whole, killed)]
    if names[0] != names[1]:
        found.append(f"files: {sorted(names[0] ^ names[1])} in one of them only")
    for name in sorted(n for n in names[0] & names[1] if n.endswith(".pt")):
        contents = [load_checkpoint(folder / name) for folder in (whole, killed)]
        for content in contents:
            content["config"].pop("run")
        try:
            assert_same(contents[0], contents[1], name)
        except (AssertionError, ValueError) as error:
            found.append(f"checkpoint: {str(error).splitlines()[0]}")
    for one, other in itertools.zip_longest(metrics(whole), metrics(killed)):
        if one != other:
            found.append(f"metrics.jsonl: {one} became {other}")
            break
    before, after = curves(whole), curves(killed)
    for tag in sorted(before.keys() | after.keys()):
        pairs = itertools.zip_longest(before.get(tag, []), after.get(tag, []))
        for one, other in pairs:
            if one != other:
                found.append(f"TensorBoard, {tag}: {str(one)[:80]} became {str(other)[:80]}")
                break
    return found


def _kept(folder: Path) -> set[str]:
    paths = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("events.out"))
    return {str(p.relative_to(folder)) for p in paths}
