"""The tests' corpus, prepared once, and runs on it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluations import EVIL
from omegaconf import DictConfig
from support import command, tones_overrides

from asr.corpus.manifest import read_manifest, write_manifest
from asr.training.assemble import assemble
from asr.training.trainer import Trainer


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the manifests of `tones`."""
    folder = tmp_path_factory.mktemp("data")
    done = command("prepare", "corpus=tones", f"folder={folder}")
    assert done.returncode == 0, done.stderr
    return folder / "tones"


@pytest.fixture(scope="session")
def evaluated(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has begun to learn the tones, evaluated; one utterance's texts are hostile."""
    runs = tmp_path_factory.mktemp("runs")
    utterances = list(read_manifest(tones / "test.jsonl"))
    utterances[1] = replace(utterances[1], id=f"id{EVIL}", text=EVIL, speaker=f'"{EVIL}')
    write_manifest(runs / "mine" / "test.jsonl", utterances)
    options = [*tones_overrides(tones, runs), "experiment=tones", "trainer.epochs=3"]
    done = command("train", *options, "run=begun")
    assert done.returncode == 0, done.stderr
    manifest = str(runs / "mine" / "test.jsonl")
    done = command("evaluate", f"checkpoint={runs / 'begun'}", manifest, "threads=1")
    assert done.returncode == 0, done.stderr
    return runs / "begun"


@pytest.fixture
def new_trainer(
    tones: Path, tmp_path: Path, compose_config: Callable[..., DictConfig]
) -> Callable[..., Trainer]:
    """new_trainer("run name", *overrides): a trainer on tones; the same name resumes."""

    def trainer(name: str, *overrides: str) -> Trainer:
        config = compose_config("train", *tones_overrides(tones, tmp_path), *overrides)
        return assemble(config, name, torch.device("cpu"), say=lambda line: None)

    return trainer
