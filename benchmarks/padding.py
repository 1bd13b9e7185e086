"""How much of a batch is padding, how full batches are, and how much epochs mix.

    python benchmarks/padding.py

28,539 durations like those of LibriSpeech's train-clean-100, synthesised from percentiles, linear
in between, such that at speeds of 0.9, 1.0 and 1.1 they have those that icefall's
`display_manifest_statistics.py` lists, within 0.4 s. Batches of 400 s, as many utterances as fit,
these speeds, one SortaGrad epoch. Writes `benchmarks/results/padding.json` and `padding.md`.
"""

import argparse
from pathlib import Path

import numpy as np
from machine import about, write_result
from numpy.typing import NDArray

from asr.augment.speed import Speed
from asr.corpus.manifest import Manifest, Utterance
from asr.data.dataset import SpeechDataset
from asr.data.loader import TrainingData
from asr.data.plan import Plan
from asr.tokenizer.char import Char

BATCH_SECONDS = 400.0
PERCENTILES = {
    0: 1.41, 0.5: 2.2, 1: 2.5, 5: 4.2, 10: 6.4, 25: 12.0, 50: 14.1, 75: 15.2,
    95: 16.1, 99: 16.6, 99.95: 17.0, 100: 24.5,
}  # fmt: skip
GOALS = {
    "padding_percent": ("frames that are padding (%)", "<= 2"),
    "full_percent": ("batches' seconds, padding included, of those allowed (%)", ">= 95"),
    "again_percent": ("pairs of a batch that shared one in the epoch before (%)", "<= 5"),
}


def like_train_clean_100(count: int) -> NDArray[np.float64]:
    """Durations in seconds, ascending."""
    shares = (np.arange(count) + 0.5) / count
    return np.interp(100 * shares, list(PERCENTILES), list(PERCENTILES.values())).round(3)


def pairs(plan: Plan) -> NDArray[np.int64]:
    """A number for each two utterances that share a batch."""
    found = []
    for i in range(len(plan)):
        members = np.sort(plan.draws.places[plan.batches[i]])
        first, second = np.triu_indices(len(members), 1)
        found.append(members[first] * len(plan.draws) + members[second])
    return np.concatenate(found)


def main() -> None:
    """Plan, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=28_539)
    parser.add_argument("--epochs", type=int, default=6, help="after the first two")
    arguments = parser.parse_args()
    durations = like_train_clean_100(arguments.utterances)
    manifest = Manifest(Utterance(str(i), "a.wav", d, "") for i, d in enumerate(durations.tolist()))
    speed = {"speed": Speed(factors=[0.9, 1.0, 1.1])}
    dataset = SpeechDataset(manifest, Char(["a"]), 16000, augments=speed)
    data = TrainingData(
        dataset, None, batch_seconds=BATCH_SECONDS, max_utterances=len(manifest),
        sortagrad_epochs=1, accumulate=1, workers=0, worker_timeout=1.0,
    )  # fmt: skip
    epochs, before = [], pairs(data.plan(1))
    for epoch in range(2, 2 + arguments.epochs):
        plan = data.plan(epoch)
        seconds, together = dataset.durations(plan.draws), pairs(plan)
        padded = np.array([len(batch) * seconds[batch].max() for batch in plan.batches])
        epochs.append({
            "epoch": epoch,
            "batches": len(plan),
            "padding_percent": 100 * float(1 - seconds.sum() / padded.sum()),
            "full_percent": 100 * float(padded.mean() / BATCH_SECONDS),
            "again_percent": 100 * float(np.isin(before, together).mean()),
        })  # fmt: skip
        before = together
    write_result("padding", mean_seconds=float(durations.mean()), epochs=epochs)
    machine = about()
    table = [
        "# Padding", "",
        f"{len(durations):,} utterances of {durations.mean():.2f} s on average, {len(epochs)} "
        "epochs after that of SortaGrad and one more. "
        f"`python benchmarks/padding.py`, commit {machine['commit']}, {machine['date']}.", "",
        "| | goal | mean | worst epoch |", "| --- | ---: | ---: | ---: |",
    ]  # fmt: skip
    for name, (label, goal) in GOALS.items():
        values = [row[name] for row in epochs]
        worst = min(values) if goal.startswith(">") else max(values)
        table.append(f"| {label} | {goal} | {np.mean(values):.2f} | {worst:.2f} |")
    path = Path(__file__).parent / "results/padding.md"
    path.write_text("\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
