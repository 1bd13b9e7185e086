"""One checkpoint of the mean weights of several, of one run: often a little better than any.

    python scripts/average_checkpoints.py runs/x/best-*.pt --output runs/x/average.pt
    python -m asr.evaluate checkpoint=runs/x/average.pt

`trainer.keep_best=5` keeps the weights of five validations. They are already averages over updates
if `trainer.average_decay` is not 0; this is the older way (Vaswani et al. 2017, section 6.1), over
whole epochs. Choose by the development set, as everything.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from asr.core.checkpoint import load_checkpoint, save_checkpoint


def average(paths: Sequence[Path]) -> dict[str, Any]:
    """The first checkpoint, with the mean of all their weights and statistics of batch norm.

    Means are taken in float64, one checkpoint in memory at a time.

    Raises:
        ValueError: fewer than two files, or they are not of one model and its tokens.
    """
    if len(paths) < 2:
        raise ValueError(f"{len(paths)} checkpoints: a mean needs two or more")
    made = load_checkpoint(paths[0])
    made.pop("training", None)
    sums = {name: weight.double() for name, weight in made["weights"].items()}
    for path in paths[1:]:
        other = load_checkpoint(path)
        shapes = {name: weight.shape for name, weight in other["weights"].items()}
        if shapes != {name: weight.shape for name, weight in sums.items()} or any(
            other[part] != made[part] for part in ("config", "tokenizer")
        ):
            raise ValueError(f"{path} is of another run than {paths[0]}: no mean is made")
        for name, weight in other["weights"].items():
            sums[name] += weight
    for name, weight in made["weights"].items():
        if weight.is_floating_point():
            made["weights"][name] = (sums[name] / len(paths)).to(weight.dtype)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, average, say what to do with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.output in options.checkpoints:
            raise ValueError(
                f"--output {options.output} is one of the checkpoints: name a new file"
            )
        with torch.inference_mode():
            made = average(options.checkpoints)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    save_checkpoint(options.output, made)
    print(f"the mean of {len(options.checkpoints)} checkpoints: {options.output}")
    print(f"python -m asr.evaluate checkpoint={options.output}")


if __name__ == "__main__":
    main()
