"""Numbers that are none, and memory that is not there."""

import resource
from pathlib import Path

from bench import (
    EPOCHS,
    SAVING,
    UPDATES,
    Bench,
    Found,
    identical,
    longest,
    need,
    state,
    steps,
)
from signals import EXACT, close, ranks, ranks_of
from support import metrics

# A user's own augmentation. In its faulty edition it divides one utterance by nothing.
OWN = """
import numpy as np
from asr.augment.base import Augment

class Own(Augment):
    def __call__(self, waveform, rng, scene):
        return waveform / np.float32({divisor})
"""
FAULT = "len(waveform) != {samples}"
OPTIONS = ["+augment.own._target_=own_augment.Own", "trusted_targets=[own_augment.Own]", SAVING]
LARGE = ["data.batch_seconds=64", "data.max_utterances=64", "model.channels=[64,64]"]
MARGIN = 600 << 20  # bytes beyond what a run has: too few for its largest batches, not for halves
RANK_MARGIN = 250 << 20  # too few for half of a batch in float64


def write_own(folder: Path, divisor: str) -> dict[str, str]:
    """The module that holds the augmentation, and the environment in which it is found."""
    folder.mkdir(exist_ok=True)
    (folder / "own_augment.py").write_text(OWN.format(divisor=divisor), encoding="utf-8")
    return {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def faulty(bench: Bench) -> tuple[str, str]:
    """The utterance that the fault falls on, and the fault."""
    victim = longest(bench.tones, 1)[0]
    samples = round(16000 * victim["duration"])
    return victim["id"], FAULT.format(samples=samples)


def skip(bench: Bench, name: str) -> Found:
    """One utterance has no finite sample, in each epoch."""
    victim, fault = faulty(bench)
    run = bench.start(name, *OPTIONS, **write_own(bench.folder / name, fault)).end(0)
    lines = [line for line in run.said.splitlines() if " skipped: the loss of " in line]
    need(all(f"the loss of {victim} is" in line for line in lines), f"not named: {lines}")
    lost = [int(line["step"]) for line in metrics(run.folder) if line.get("train/loss", 0) is None]
    need(len(lost) == len(lines) == EPOCHS, f"{len(lost)} updates were left out")
    need(steps(run.folder) == list(range(1, UPDATES + 1)), "updates are missing")
    return Found(run.line(" skipped: "), 0, f"{EPOCHS} of {UPDATES} updates, one in each epoch, "
                 "with the utterance named.")  # fmt: skip


def stop(bench: Bench, name: str) -> Found:
    """The same under on_non_finite=stop; then the augmentation is mended."""
    options = [*OPTIONS, "trainer.on_non_finite=stop"]
    folder = bench.folder / name
    victim, fault = faulty(bench)
    run = bench.start(name, *options, **write_own(folder, fault)).end(1)
    said = run.line(f"the loss of {victim} is not finite")
    environment = write_own(folder, "1")
    bench.start(name, *options, **environment).end(0)
    whole = bench.whole("undisturbed-own", *options, **environment)
    return Found(said, 1, f"{identical(whole, run.folder)} After the augmentation was mended, the "
                 "same command went on before that update.")  # fmt: skip


def absurd_rate(bench: Bench, name: str) -> Found:
    """No update after the first can be finite."""
    run = bench.start(name, SAVING, "optimizer.lr=1e30", "schedule.warmup_steps=0").end(1)
    skipped = run.said.count(" skipped: ")
    good = state(run.folder)["step"] - skipped
    need(steps(run.folder)[-1] == good + skipped, "updates are missing")
    return Found(run.line("updates in a row had no finite"), 1,
                 f"{skipped} updates, all named. What came before them is saved.")  # fmt: skip


def limit_memory(pid: int, margin: int) -> None:
    """Let a process have so many bytes more than it has."""
    status = Path(f"/proc/{pid}/status").read_text()
    now = 1024 * int(status.partition("VmSize:")[2].split()[0])
    resource.prlimit(pid, resource.RLIMIT_AS, (now + margin, resource.RLIM_INFINITY))


def out_of_memory(bench: Bench, name: str) -> Found:
    """From the first update on memory is short, until a batch did not fit and its halves do."""
    run = bench.start(name, *LARGE)
    run.updates(1)
    with run.held():
        limit_memory(run.process.pid, MARGIN)
    run.until(lambda: "done in parts of" in run.said)
    step = steps(run.folder)[-1]
    run.updates(step + 1)
    resource.prlimit(run.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    run.end(0)
    count = run.said.count("done in parts of")
    need(count == state(run.folder)["out_of_memory"] > 0, f"{count} times told")
    whole = bench.whole("undisturbed-large", *LARGE)
    need(steps(run.folder) == steps(whole), "updates are missing")
    ours, theirs = (
        [line["train/loss"] for line in metrics(folder) if "train/loss" in line]
        for folder in (run.folder, whole)
    )
    first = next(i for i, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    gap = abs(ours[first] - theirs[first])
    return Found(run.line("done in parts of"), 0, f"Nothing: all {len(ours)} updates were made, "
                 f"{count} in parts. Batch norm saw parts, which moved the loss of update "
                 f"{first + 1} from {theirs[first]:.3f} by {gap:.3f}.")  # fmt: skip


def rank_out_of_memory(bench: Bench, name: str) -> Found:
    """Memory is short for the second of two ranks, so that its part of a batch does not fit."""
    options = [*LARGE, *EXACT, "trainer.epochs=1"]
    run = bench.start(name, *options, prefix=ranks(2))
    run.updates(1)
    limit_memory(ranks_of(run)[1], RANK_MARGIN)
    run.end(1)
    said = run.line("out of memory on a batch")
    bench.start(name, *options, prefix=ranks(2)).end(0)
    gap = close(bench.whole("undisturbed-large-exact", *options), run)
    return Found(said, 1, f"Nothing: with memory enough the same command went on, and {gap}.")
