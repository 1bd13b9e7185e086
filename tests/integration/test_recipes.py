"""Recipes that nobody can run to their end here take their first steps, as they are written."""

import math
from pathlib import Path

import pytest
from support import command, metrics

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("recipe", "model"),
    [
        ("librispeech_100", ["model=deepspeech2_medium"]),
        ("librispeech_960", ["model=conformer_medium", "optimizer.lr=1e-3"]),
    ],
)
def test_a_recipe_takes_its_first_steps(
    recipe: str, model: list[str], tones: Path, tmp_path: Path
) -> None:
    """Only what a small machine and a tiny corpus cannot give is overridden."""
    few = tones / "few.jsonl"  # beside the manifest, for its paths are relative
    few.write_text("".join((tones / "train.jsonl").read_text().splitlines(keepends=True)[:6]))
    done = command(
        "train", f"experiment={recipe}", *model, "run=steps",
        f"runs={tmp_path}", f"data.train=[{few}]", f"data.dev=[{few}]", "device=cpu", "threads=1",
        "tokenizer.vocab_size=14", "data.accumulate=1", "data.workers=1", "data.max_utterances=3",
        "trainer.epochs=1", "trainer.validate_every=0", "trainer.log_every=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = [row for row in metrics(tmp_path / "steps") if "train/loss" in row]
    assert len(steps) == 2 and all(math.isfinite(row["train/loss"]) for row in steps)
    assert (tmp_path / "steps" / "best.pt").is_file()
