"""What tests share that is no fixture: where things are, and how a user runs a command."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from asr.training.measure import Step

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = REPOSITORY / "configs"


def variants(group: str) -> list[str]:
    """The names in a configuration group: whatever is added is tested."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


# Of models that take long: the same ways through fewer layers.
_NARROWER = {
    "conformer": ["model.size=48", "model.layers=3"],
    "conformer_medium": ["model.size=64", "model.layers=2"],
    "conformer_tiny": ["model.layers=2"],
    "deepspeech2_medium": ["model.layers=2", "model.hidden_size=64"],
    "quartznet": ["model.channels=[64,64,96]", "model.kernels=[33,39,11]", "model.strides=[2,1,1]",
                  "model.repeats=[1,2,1]"],
    "citrinet": ["model.channels=[64,64,96]", "model.kernels=[5,11,11]", "model.strides=[2,2,2]",
                 "model.repeats=[1,2,1]"],
}  # fmt: skip


def small_model(name: str) -> list[str]:
    """Options of a shipped model, made narrower where it would take long."""
    return [f"model={name}", *_NARROWER.get(name, [])]


def command(name: str, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command of the program as a user would."""
    return subprocess.run(
        [sys.executable, "-m", f"asr.{name}", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def fill_up(folder: Path, free: int = 0) -> Path:
    """Fill a file system but for so many bytes; returns the file to remove again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    with filler.open("r+b") as file:
        file.truncate(max(0, filler.stat().st_size - free))
    return filler


def tones_overrides(tones: Path, folder: Path) -> list[str]:
    """Options of a short run on the tests' corpus."""
    return [
        "corpus=tones",
        f"data.train=[{tones / 'train.jsonl'}]",
        f"data.dev=[{tones / 'dev.jsonl'}]",
        f"runs={folder}",
        "device=cpu",
        "threads=1",
        "data.batch_seconds=16",
        "data.max_utterances=8",
        "schedule.warmup_steps=5",
        "trainer.log_every=0",
        "trainer.num_examples=0",
    ]


def loss(step: Step) -> float:
    """Nats per token of an update."""
    return step.metrics(step.numbers.read())["train/loss"]


def metrics(folder: Path) -> list[dict[str, float]]:
    """What a run wrote, but for the timings."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if not k.startswith("time/")} for line in lines
    ]


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """The same types and values all the way down, tensors bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}.{i}")
    else:
        assert one == other, where
