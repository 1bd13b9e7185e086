"""What all tests share: one thread, composed configurations, where real speech is."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from support import CONFIGS, REPOSITORY

from asr.wiring.schema import register_schemas

# Two threads beside pytest-xdist's workers make small steps tens of times slower.
torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="rewrite the recorded numbers")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real speech that lies beside the repository, or a skip."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real speech is not here: ../shared/data is absent")
    return folder


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """disk_of("4m"): a folder that is a file system of its own, of that size, or a skip."""
    folder = tmp_path / "disk"
    mounted = False

    def mount(size: str) -> Path:
        nonlocal mounted
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount command here")
        if done.returncode:
            pytest.skip(f"a file system may not be mounted here: {done.stderr.strip()}")
        mounted = True
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def compose_config() -> Callable[..., DictConfig]:
    """compose_config("train", "corpus=tones", ...): the configuration of a command."""
    register_schemas()

    def composed(name: str, *overrides: str) -> DictConfig:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return compose(name, overrides=list(overrides))

    return composed


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Callable[[str, list[float]], list[float]]:
    """golden(name, numbers): what was recorded under a name; --golden records anew."""

    def recorded(name: str, numbers: list[float]) -> list[float]:
        path = REPOSITORY / "tests" / "golden" / f"{name}.txt"
        if request.config.getoption("--golden"):
            path.write_text("".join(f"{n:.6f}\n" for n in numbers), encoding="utf-8")
        return [float(line) for line in path.read_text(encoding="utf-8").split()]

    return recorded
