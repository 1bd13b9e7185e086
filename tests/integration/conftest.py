"""The tests' corpus, prepared once, and runs on it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from support import command, tones_overrides

from asr.training.assemble import assemble
from asr.training.trainer import Trainer


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the manifests of `tones`."""
    folder = tmp_path_factory.mktemp("data")
    done = command("prepare", "corpus=tones", f"folder={folder}")
    assert done.returncode == 0, done.stderr
    return folder / "tones"


@pytest.fixture
def new_trainer(
    tones: Path, tmp_path: Path, compose_config: Callable[..., DictConfig]
) -> Callable[..., Trainer]:
    """new_trainer("run name", *overrides): a trainer on tones; the same name resumes."""

    def trainer(name: str, *overrides: str) -> Trainer:
        config = compose_config("train", *tones_overrides(tones, tmp_path), *overrides)
        return assemble(config, name, torch.device("cpu"), say=lambda line: None)

    return trainer
