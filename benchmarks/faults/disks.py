"""Disks that are full, or refuse to be written to, and a run's folder that is removed."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench import (
    IDENTICAL,
    NO_ROOT,
    SAVING,
    TICK,
    Bench,
    Found,
    UnexpectedError,
    identical,
    need,
)
from support import assert_same, fill_up

from asr.core.checkpoint import load_checkpoint

REFUSED = "could not be written"


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own while the block runs."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnexpectedError(f"a file system may not be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def squeeze(folder: Path) -> None:
    """Take what room there is, again and again while somebody else makes some."""
    with (folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 12)):
            pass


def full_for_a_while(bench: Bench, name: str) -> Found:
    """Saving and logging fail for a dozen updates."""
    with disk(bench.runs / name, "24m") as folder:
        run = bench.start(name, SAVING)
        run.updates(25)
        with run.held():
            fill_up(folder)

        def refused() -> bool:
            squeeze(folder)
            return run.said.count(REFUSED) >= 12

        run.until(refused)
        load_checkpoint(folder / "last.pt")
        (folder / "filler").unlink()
        run.end(0)
        count = run.said.count(REFUSED)
        lost = identical(bench.saving(), folder)
        said = f"{run.line(REFUSED)} ({count} such lines, then none)"
    return Found(said, 0, lost)


def full_for_good(bench: Bench, name: str) -> Found:
    """Nobody makes room; the folder is copied to another disk."""
    elsewhere = bench.runs / f"{name}-elsewhere"
    with disk(bench.runs / name, "24m") as folder:
        run = bench.start(name, SAVING)
        run.updates(25)
        with run.held():
            fill_up(folder)

        def ended() -> bool:
            squeeze(folder)
            return not run.alive()

        run.until(ended)
        run.end(1)
        said = run.line("its end could not be saved")
        saved = load_checkpoint(folder / "last.pt")["training"]["state"]["step"]
        (folder / "filler").unlink()
        shutil.copytree(folder, elsewhere)
    again = bench.start(elsewhere.name, SAVING).end(0)
    need("resuming" in again.said, "it did not go on")
    identical(bench.saving(), elsewhere)
    return Found(said, 1, f"{IDENTICAL} It went on from update {saved}, which is as it was.")


def log_full(bench: Bench, name: str) -> Found:
    """What stdout and stderr go to is full from the 25th update on, for good."""
    options = [SAVING, "trainer.log_every=1"]
    with disk(bench.folder / f"{name}-logs", "1m") as folder:
        run = bench.start(name, *options, log=folder / "log")
        run.updates(25)
        with run.held():
            fill_up(folder)
        while run.alive():
            time.sleep(TICK)
        code = run.code
        said = f"nothing more: its log ends within {run.said.splitlines()[-1][:30]}..."
    lost = identical(bench.whole("undisturbed-lines", *options), bench.runs / name)
    need(code == 0, f"{lost} But the exit code is {code}, though all was done")
    return Found(said, 0, f"{lost} Lines of the log are missing.")


def no_permission(bench: Bench, name: str) -> Found:
    """The folder cannot be written in for a while, by a user who is not root."""
    run = bench.start(name, SAVING, prefix=NO_ROOT)
    run.updates(25)
    with run.held():
        run.folder.chmod(0o555)
    run.until(lambda: run.said.count(REFUSED) >= 12)
    run.folder.chmod(0o755)
    run.end(0)
    count = run.said.count(REFUSED)
    said = f"{run.line(REFUSED)} ({count} such lines, then none)"
    return Found(said, 0, identical(bench.saving(), run.folder))


def removed(bench: Bench, name: str) -> Found:
    """The whole folder goes in the third epoch, with all that was saved."""
    run = bench.start(name, SAVING)
    run.updates(45)
    with run.held():
        shutil.rmtree(run.folder)
    run.end(0)
    for file in ("last.pt", "last-1.pt", "best.pt"):
        ours, theirs = (load_checkpoint(f / file) for f in (run.folder, bench.saving()))
        for content in (ours, theirs):
            content["config"].pop("run")
        assert_same(theirs, ours, file)
    gone = [f for f in ("metrics.jsonl", "config.yaml") if not (run.folder / f).exists()]
    warned = [li for li in run.said.splitlines() if li.startswith("warning")]
    lost = f"{' and '.join(gone)}, which are not begun anew" if gone else "The lines of before"
    return Found(warned[0] if warned else "nothing; it went on", 0,
                 f"{lost}; no weight: the checkpoints are bit-identical.")  # fmt: skip
