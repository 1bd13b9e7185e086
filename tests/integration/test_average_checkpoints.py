"""scripts/average_checkpoints.py: the mean of what a real run kept, and nothing of another run."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import REPOSITORY

from asr.core.checkpoint import load_checkpoint
from asr.wiring.recognizer import load_recognizer

NARROW = ["model=deepspeech2_tiny", "model.hidden_size=16", "trainer.keep_best=3"]


def average(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/average_checkpoints.py", *map(str, arguments)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def kept(new_trainer, tmp_path: Path) -> list[Path]:
    new_trainer("run", *NARROW, "trainer.epochs=3").fit()
    paths = sorted((tmp_path / "run").glob("best-*.pt"))
    assert len(paths) == 3
    return paths


def test_it_is_the_mean_and_a_recogniser(kept: list[Path], tmp_path: Path) -> None:
    made = tmp_path / "average.pt"
    done = average(*kept, "--output", made)
    assert done.returncode == 0, done.stderr
    weights = [torch.load(path, weights_only=True)["weights"] for path in kept]
    content = load_checkpoint(made)
    for name, weight in content["weights"].items():
        values = [other[name] for other in weights]
        assert len({value.sum().item() for value in values}) > 1 or not values[0].any()
        expected = sum(value.double() / 3 for value in values)
        assert torch.allclose(weight.double(), expected, atol=1e-6), name
    recognizer, warning = load_recognizer(content, made)
    assert warning is None and not recognizer.training


def test_what_cannot_be_averaged_is_refused(kept: list[Path], new_trainer, tmp_path: Path) -> None:
    new_trainer("other", *NARROW, "model.hidden_size=20", "trainer.epochs=1").fit()
    strange = tmp_path / "other" / "best.pt"
    for arguments, message in (
        ([kept[0], strange], "is of another run"),
        ([kept[0]], "two or more"),
        ([kept[0], tmp_path / "none.pt"], "no such checkpoint"),
    ):
        done = average(*arguments, "--output", tmp_path / "made.pt")
        assert done.returncode == 2 and message in done.stderr, done.stderr
    before = kept[1].read_bytes()
    done = average(*kept, "--output", kept[1])
    assert done.returncode == 2 and "name a new file" in done.stderr
    assert kept[1].read_bytes() == before and not (tmp_path / "made.pt").exists()
