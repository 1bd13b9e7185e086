"""Hold `asr.ctc.loss` against what other frameworks computed: see `frameworks.py`.

    python scripts/parity/compare.py OUTPUT.json [--record [PATH]]

Prints how far each is from ours and ends with 1 where a difference is not rounding. `--record`
keeps an agreeing file for `tests/numerics/test_parity.py`.
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from asr.core.padded import Padded
from asr.ctc.loss import ctc_loss

TOLERANCE = 1e-4  # nats; of the gradient too
EPSILON = 1e-7  # what Keras adds to posteriors before their logarithm
GOLDEN = Path("tests/golden/parity.json")


class Row(NamedTuple):
    """One line of the table: the largest difference from ours over the utterances, in nats."""

    framework: str
    given: str
    float32: float
    float64: float
    gradient: float | None = None
    must_agree: bool = True

    @property
    def wrong(self) -> bool:
        """Whether this is more than rounding, NaN included."""
        found = (self.float32, self.float64, self.gradient or 0.0)
        return self.must_agree and not all(d < TOLERANCE for d in found)

    def __str__(self) -> str:
        gradient = "" if self.gradient is None else f"{self.gradient:.1e}"
        note = "WRONG" if self.wrong else "" if self.must_agree else "(what the epsilon costs)"
        values = f"{self.float32:10.1e}{self.float64:10.1e}{gradient:>10}"
        return f"  {self.framework:28}{self.given:34}{values}  {note}".rstrip()


def with_epsilon(posteriors: Tensor) -> Tensor:
    """What `ctc_batch_cost` makes of posteriors (..., V): log-probabilities, normalised anew."""
    return (posteriors + EPSILON).log().log_softmax(-1)


# From what a framework was given, the log-probabilities that our loss must be given to agree.
OURS = {
    "logits": lambda x: x.log_softmax(-1),
    "log_softmax(logits)": lambda x: x.log_softmax(-1),
    "softmax(logits)": lambda x: x.softmax(-1).log_softmax(-1),
}
OURS_OF_POSTERIORS = {
    "softmax(logits)": lambda x: with_epsilon(x.softmax(-1)),
    "softmax(softmax(logits))": lambda x: with_epsilon(x.softmax(-1).softmax(-1)),
}


def batch_rows(batch: dict[str, Any]) -> Iterator[Row]:
    """Compare every framework's losses of one batch, and TensorFlow's gradient."""
    utterances = batch["utterances"]
    logits = Padded.stack([torch.tensor(u["logits"]) for u in utterances])
    tokens = Padded.stack([torch.tensor(u["tokens"], dtype=torch.int64) for u in utterances])
    gradients = Padded.stack([torch.tensor(u["gradient"]) for u in utterances]).values

    def losses(values: Tensor) -> Tensor:
        return ctc_loss(Padded(values, logits.lengths), tokens)

    x = logits.values
    for name, given in batch["losses"].items():
        ours = OURS_OF_POSTERIORS if name == "ctc_batch_cost" else OURS
        for what, theirs in given.items():
            gaps = [largest(losses(ours[what](v)), theirs) for v in (x, x.double())]
            gradient = None
            if (name, what) == ("tf.nn.ctc_loss", "logits"):
                variable = x.clone().requires_grad_()
                losses(variable.log_softmax(-1)).sum().backward()
                gradient = float((variable.grad - gradients).abs().max())
            yield Row(name, what, *gaps, gradient)
    theirs = batch["losses"]["ctc_batch_cost"]["softmax(logits)"]
    gaps = [largest(losses(v.log_softmax(-1)), theirs) for v in (x, x.double())]
    yield Row("ctc_batch_cost", "softmax(logits), ours: no epsilon", *gaps)


def model_row(model: dict[str, Any]) -> Row:
    """Compare the loss of a Keras model's posteriors, whose blank is last."""
    utterances = model["utterances"]
    posteriors = Padded.stack([torch.tensor(u["posteriors"]) for u in utterances])
    spelt = [[model["symbols"].index(c) + 1 for c in u["text"]] for u in utterances]
    tokens = Padded.stack([torch.tensor(row) for row in spelt])
    first = posteriors.values.roll(1, dims=-1)  # the blank, from last to first
    theirs = [u["ctc_batch_cost"] for u in utterances]
    gaps = [
        largest(ctc_loss(Padded(with_epsilon(p), posteriors.lengths), tokens), theirs)
        for p in (first, first.double())
    ]
    return Row("ctc_batch_cost", "a Keras model's posteriors", *gaps)


def largest(ours: Tensor, theirs: list[float | None]) -> float:
    """The largest difference, without the utterances that a framework refused."""
    gaps = [abs(a - b) for a, b in zip(ours.tolist(), theirs, strict=True) if b is not None]
    return math.nan if any(math.isnan(gap) for gap in gaps) else max(gaps)


def main() -> None:
    """Compare, print, and record or fail."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("computed", type=Path, help="what frameworks.py wrote")
    parser.add_argument("--record", type=Path, nargs="?", const=GOLDEN, metavar="PATH")
    options = parser.parse_args()
    record = json.loads(options.computed.read_text(encoding="utf-8"))
    print(", ".join(f"{name} {version}" for name, version in record["versions"].items()))
    print("Largest difference in nats from our loss, computed in float32 and in float64")
    tables = {name: list(batch_rows(batch)) for name, batch in record["batches"].items()}
    # Where posteriors are peaky the epsilon is no rounding: it is a floor under each of them.
    tables["peaky"][-1] = tables["peaky"][-1]._replace(must_agree=False)
    tables["model"] = [model_row(record["model"])]
    for name, rows in tables.items():
        print(f"\n{name:30}{'was given':34}{'float32':>10}{'float64':>10}{'gradient':>10}")
        print(*rows, sep="\n")
    if wrong := sum(row.wrong for rows in tables.values() for row in rows):
        sys.exit(f"\n{wrong} differences are not below {TOLERANCE:g}")
    print(f"\nAll differences are below {TOLERANCE:g}.")
    if options.record:
        shutil.copyfile(options.computed, options.record)
        print(f"Recorded in {options.record}")


if __name__ == "__main__":
    main()
