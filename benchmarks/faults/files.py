"""Audio that breaks in mid-run, and loader processes that die or hang."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench import (
    EPOCHS,
    NO_ROOT,
    SAVING,
    UPDATES,
    UTTERANCES,
    Bench,
    Found,
    Run,
    identical,
    longest,
    need,
    state,
    steps,
)
from support import metrics

ALL = EPOCHS * UTTERANCES
Damage = Callable[[Path], Any]


def truncate(path: Path) -> None:
    """Its last 2000 bytes go."""
    os.truncate(path, path.stat().st_size - 2000)


def remove(path: Path) -> None:
    """It goes."""
    path.unlink()


def noise(path: Path) -> None:
    """Bytes of a generator of random numbers take the place of its own."""
    path.write_bytes(np.random.default_rng(1).bytes(path.stat().st_size))


def forbid(path: Path) -> None:
    """Nobody may read it."""
    path.chmod(0)


def train_file(bench: Bench, name: str, damage: Damage) -> Found:
    """One file breaks before the first epoch, which goes by length, comes to it."""
    tones = bench.own_tones(name)
    victim = longest(tones, 1)[0]
    run = bench.start(name, SAVING, tones=tones, prefix=NO_ROOT if damage is forbid else ())
    run.updates(4)
    with run.held():
        damage(tones / victim["audio_filepath"])
    run.end(0)
    _undisturbed_until(bench, run, 20)
    named = run.said.count(f"utterance {victim['id']}: ")
    counts = state(run.folder)["unreadable"]
    need(named == EPOCHS == sum(counts.values()), f"named {named} times, counted {counts}")
    need(steps(run.folder) == list(range(1, UPDATES + 1)), "updates are missing")
    said = f"{run.line('goes without 1')} {run.line('utterance ' + victim['id'])}"
    return Found(said, 0, f"{named} of {ALL} utterances, one in each epoch, named; no update.")


def too_many(bench: Bench, name: str) -> Found:
    """Eight files go; the run stops, they come back, and the same command goes on."""
    tones = bench.own_tones(name)
    names = [tones / fields["audio_filepath"] for fields in longest(tones, 16)]
    run = bench.start(name, SAVING, tones=tones)
    run.updates(4)
    with run.held():
        for path in names:
            path.rename(path.with_suffix(".away"))
    run.end(1)
    said = run.line("data.max_unreadable=")
    _undisturbed_until(bench, run, steps(run.folder)[-1])
    missing = sum(state(run.folder)["unreadable"].values())
    for path in names:
        path.with_suffix(".away").rename(path)
    again = bench.start(name, SAVING, tones=tones).end(0)
    need("resuming" in again.said, "it did not go on")
    need(sum(state(run.folder)["unreadable"].values()) == missing, "more were unreadable")
    need(steps(run.folder) == list(range(1, UPDATES + 1)), "updates are missing")
    lost = f"{missing} of {ALL} utterances, those of its last update before it stopped."
    return Found(said, 1, f"{lost} The same command went on when they were back, to exit code 0.")


def dev_file(bench: Bench, name: str) -> Found:
    """A file that the first validation is to hear is truncated, and that much is allowed."""
    tones = bench.own_tones(name)
    run = bench.start(name, SAVING, "data.max_unreadable=0.1", tones=tones)
    run.updates(4)
    with run.held():
        truncate(tones / "audio" / "dev-003.wav")
    run.end(0)
    ours, theirs = (
        [line for line in metrics(folder) if "train/loss" in line]
        for folder in (run.folder, bench.saving())
    )
    need(ours == theirs, "training was disturbed")
    said = run.line("dev-003")
    return Found(said, 0, "1 of 16 utterances of each validation, named; nothing of the training.")


def dev_file_too_many(bench: Bench, name: str) -> Found:
    """The same where it is not allowed; it is put back after the run has stopped."""
    tones = bench.own_tones(name)
    path = tones / "audio" / "dev-003.wav"
    content = path.read_bytes()
    run = bench.start(name, SAVING, tones=tones)
    run.updates(4)
    with run.held():
        truncate(path)
    run.end(1)
    said = run.line("dev-003")
    path.write_bytes(content)
    bench.start(name, SAVING, tones=tones).end(0)
    need(metrics(run.folder) == metrics(bench.saving()), "metrics.jsonl differs")
    return Found(said, 1, "Nothing: when it was back the same command went on; each line of "
                 "metrics.jsonl is that of an undisturbed run.")  # fmt: skip


def _undisturbed_until(bench: Bench, run: Run, update: int) -> None:
    """What came before an update is what it should be."""
    ours, theirs = (
        [line for line in metrics(folder) if line["step"] < update]
        for folder in (run.folder, bench.saving())
    )
    need(ours == theirs and ours, f"updates before {update} were disturbed")


def worker(bench: Bench, name: str, number: signal.Signals) -> Found:
    """One of two loader processes gets a signal in the second epoch."""
    options = ["data.workers=2", "data.worker_timeout=3"]
    run = bench.start(name, *options)
    run.updates(24)
    with run.held():
        victims = run.children()
        need(len(victims) == 2, f"{len(victims)} loader processes, not 2")
        os.kill(victims[0], number)
    run.end(0)
    need(not Path(f"/proc/{victims[0]}").exists(), "the process that was struck is still there")
    lost = identical(bench.whole("undisturbed-workers", *options), run.folder)
    return Found(run.line("starting others at the batch"), 0, lost)
