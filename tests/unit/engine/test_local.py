"""The local engine: in order, as it is, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count, islice
from operator import neg
from pathlib import Path

import pytest
from support import REPOSITORY

from asr.engine import local
from asr.engine.local import Local

STATUS = Path("/proc/self/status")
linux = pytest.mark.skipif(not STATUS.exists(), reason="processes are looked up in /proc")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    monkeypatch.setattr(local, "_MOMENT", 0)  # else so little work is done right here
    engine = Local(workers=2)
    yield engine
    engine._stop()


def test_results_come_in_order_and_items_go_only_so_far_ahead(engine: Local) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in count():
            taken = i
            yield i

    results = engine.map(neg, items(), "negating", 0, chunk=3)
    assert list(islice(results, 500)) == [-i for i in range(500)]
    assert taken < 600
    assert engine.pool is not None
    results.close()  # type: ignore[attr-defined]
    assert engine.pool is None, "nobody works at what nobody wants"
    assert list(engine.map(neg, [1, 2], "negating", 2, chunk=1)) == [-1, -2]


def test_little_work_is_done_without_processes() -> None:
    engine = Local(workers=2)
    assert list(engine.map(neg, range(50), "negating", 50, chunk=7)) == [-i for i in range(50)]
    assert list(engine.map(neg, [], "negating", 0, chunk=7)) == []
    assert engine.pool is None


def test_an_error_comes_as_it_is(engine: Local) -> None:
    results = engine.map(int, ["1", "2", "x", "4"], "reading", 4, chunk=1)
    assert list(islice(results, 2)) == [1, 2]
    with pytest.raises(ValueError, match=r"invalid literal for int\(\) with base 10: 'x'"):
        next(results)


def test_a_killed_worker_is_noticed(engine: Local) -> None:
    kill = engine.map(signal.raise_signal, [signal.SIGKILL], "ending", 1, chunk=1)
    with pytest.raises(ValueError, match="a worker process died"):
        list(kill)
    assert list(engine.map(neg, [1], "negating", 1, chunk=1)) == [-1]


def start(items: list[float]) -> subprocess.Popen[str]:
    """A program, in a session of its own, whose two workers sleep for so many seconds."""
    script = (
        "import time; from asr.engine import local; local._MOMENT = 0\n"
        f"list(local.Local(workers=2).map(time.sleep, {items}, 'sleeping', 9, chunk=1))"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script], cwd=REPOSITORY, start_new_session=True,
        stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait_for(lambda: len(processes(run.pid)) >= 5)  # this, the fork server, a tracker, two workers
    return run


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_program(number: signal.Signals) -> None:
    run = start([0, 0, 600])
    if number == signal.SIGINT:
        os.killpg(run.pid, number)  # as a terminal does
    else:
        run.send_signal(number)
    _, said = run.communicate(timeout=30)
    wait_for(lambda: not processes(run.pid))
    assert said.count("Traceback") == (1 if number == signal.SIGINT else 0), "workers are silent"


@linux
def test_ctrl_c_is_for_the_program_alone() -> None:
    run = start([1, 1, 1, 1])
    for process in processes(run.pid) - {run.pid}:
        os.kill(process, signal.SIGINT)
    assert run.communicate(timeout=30) == (None, "")
    assert run.returncode == 0


def processes(session: int) -> set[int]:
    """Those of a session that live."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.add(int(folder.name))
    return found


def wait_for(condition: object, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "in vain"
        time.sleep(0.05)


def test_workers_are_at_least_one() -> None:
    assert Local(workers=None).workers == local.num_cores() >= 1
    with pytest.raises(ValueError, match=r"engine\.workers=0"):
        Local(workers=0)
