"""Processes of a run that are killed, or asked to stop: alone, and among several ranks."""

import os
import signal
import time
from pathlib import Path

from bench import RANKS, SAVING, Bench, Found, Run, identical, need, state, steps
from support import metrics

EXACT = [SAVING, "trainer.precision=float64", "model.dropout=0"]
CLOSE = 1e-9  # of a loss, between numbers of processes


def killed(bench: Bench, name: str) -> Found:
    """SIGKILL in the second epoch, at no moment in particular."""
    run = bench.start(name)
    run.updates(27)
    run.process.kill()
    run.end(-signal.SIGKILL)
    done = steps(run.folder)[-1]
    saved = state(run.folder)["step"]
    again = bench.start(name).end(0)
    lost = identical(bench.whole("undisturbed-sparse"), run.folder)
    said = f"started again: {again.line('^resuming')}"
    return Found(said, 137, f"{lost} Updates {saved + 1} to {done} were made a second time.")


def terminated(bench: Bench, name: str) -> Found:
    """SIGTERM to all processes of the run, as a cluster does."""
    run = bench.start(name, "data.workers=1")
    run.updates(27)
    began = time.monotonic()
    os.killpg(run.process.pid, signal.SIGTERM)
    run.end(143)
    seconds = time.monotonic() - began
    need(state(run.folder)["step"] == steps(run.folder)[-1], "an update was not saved")
    bench.start(name, "data.workers=1").end(0)
    lost = identical(bench.whole("undisturbed-worker", "data.workers=1"), run.folder)
    return Found(f"{run.line('^stopped after')} (gone after {seconds:.1f} s)", 143, lost)


def ranks_of(run: Run) -> dict[int, int]:
    """Process ids of the ranks that torchrun has started."""
    pid, found = run.process.pid, {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        found |= {int(v[5:]): int(child) for v in variables if v.startswith(b"RANK=")}
    return found


def rank_killed(bench: Bench, name: str) -> Found:
    """SIGKILL to the second of two ranks; then three go on."""
    run = bench.start(name, *EXACT, prefix=ranks(2))
    run.updates(27)
    began = time.monotonic()
    os.kill(ranks_of(run)[1], signal.SIGKILL)
    run.end(1)
    seconds = time.monotonic() - began
    need(seconds < 30, f"the job ended only after {seconds:.1f} s")
    said = f"{run.line('another process of this job died')} (ended after {seconds:.1f} s)"
    again = bench.start(name, *EXACT, prefix=ranks(3))
    again.end(0)
    need("resuming" in again.said, "it did not go on")
    gap = close(bench.whole("undisturbed-float64", *EXACT), run)
    return Found(said, 1, f"Nothing: three ranks went on, and {gap}.")


def rank_terminated(bench: Bench, name: str) -> Found:
    """SIGTERM to the second of two ranks only."""
    run = bench.start(name, *EXACT, prefix=ranks(2))
    run.updates(27)
    began = time.monotonic()
    os.kill(ranks_of(run)[1], signal.SIGTERM)
    run.end(1)
    seconds = time.monotonic() - began
    run.line(r"exitcode +: 143")
    need(state(run.folder)["step"] == steps(run.folder)[-1], "an update was not saved")
    bench.start(name, *EXACT, prefix=ranks(2)).end(0)
    said = f"{run.line('^stopped after')} (gone after {seconds:.1f} s; each rank with 143)"
    gap = close(bench.whole("undisturbed-float64", *EXACT), run)
    return Found(said, 1, f"Nothing: two ranks went on, and {gap}.")


def ranks(count: int) -> tuple[str, ...]:
    """What starts a command in so many processes."""
    return (*RANKS, f"--nproc-per-node={count}")


def close(undisturbed: Path, run: Run) -> str:
    """How far the curve is from that of a single process, undisturbed."""
    whole, ours = metrics(undisturbed), metrics(run.folder)
    need([w["step"] for w in whole] == [o["step"] for o in ours], "updates are missing")
    gap = max(
        abs(one[key] - other[key])
        for one, other in zip(whole, ours, strict=True)
        for key in one.keys() - {"train/padding_share"}
    )
    need(gap <= CLOSE, f"losses are {gap:.1e} from those of one process")
    return f"no loss is further than {gap:.0e} from that of one process, undisturbed"
