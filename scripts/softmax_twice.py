"""What really happens when a softmax is taken twice: short runs and their curves.

    make data && python scripts/softmax_twice.py            # about 10 minutes on two cores

Three runs, alike but for what the model hands to the recogniser, which takes the one log_softmax
that CTC wants: logits; log-probabilities (a log_softmax too many: nothing changes); probabilities
(a softmax too many: a posterior can no longer exceed e / (e + V - 1)).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "softmax-twice.png"
RUNS = {
    "logits (right)": ("softmax-once", None),
    "log_softmax of them (forgiven)": ("log-softmax-twice", "planted.LogSoftmaxTwice"),
    "softmax of them (not forgiven)": ("softmax-twice", "planted.SoftmaxTwice"),
}


def train(run: str, target: str | None, extra: list[str]) -> list[dict[str, float]]:
    """Train, or go on training, one run; what it measured."""
    planted = [f"model._target_={target}", f"trusted_targets=[{target}]"] if target else []
    arguments = ["experiment=spoken", "trainer.epochs=4", f"run={run}", *planted, *extra]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    subprocess.run(
        [sys.executable, "-m", "asr.train", *arguments], cwd=ROOT, env=environment, check=True
    )
    lines = (ROOT / "runs" / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def main() -> None:
    """Train and draw; arguments are handed on to asr.train."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    for number, (name, (run, target)) in enumerate(RUNS.items()):
        rows = train(run, target, sys.argv[1:])
        style = {"linewidth": 5 - 1.5 * number, "alpha": 0.7, "label": name}
        steps = [row["step"] for row in rows if "train/loss" in row]
        values = [row["train/loss"] for row in rows if "train/loss" in row]
        smooth = [sum(values[max(0, i - 9) : i + 1]) / min(i + 1, 10) for i in range(len(values))]
        losses.plot(steps, smooth, **style)
        seen = [row for row in rows if "validation/wer" in row]
        errors.plot(
            [row["step"] for row in seen], [100 * row["validation/wer"] for row in seen],
            marker="o", **style,
        )  # fmt: skip
        print(f"{name}: last WER {100 * seen[-1]['validation/wer']:.2f} %, loss {smooth[-1]:.4f}")
    losses.set(xlabel="update", ylabel="training loss, nats per token", ylim=(0, 8))
    errors.set(xlabel="update", ylabel="development WER, %", ylim=(0, None))
    errors.legend()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
