"""What the pages of docs/ say can be run is run, as it stands there and in that order.

A fence `sh run` is run; one with a path, such as `python asr/model/wide.py`, is written there.
"""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from documented import PAGES, blocks
from support import REPOSITORY

from asr.corpus.manifest import read_manifest

pytestmark = pytest.mark.slow
RUN = {page.stem: page for page in PAGES if "```sh run" in page.read_text(encoding="utf-8")}


def recordings(here: Path, tones: Path) -> None:
    """What your-language.md takes for granted: mine.csv, and clips/, each of another speaker."""
    (here / "clips").mkdir()
    with (here / "mine.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["audio", "text", "speaker"])
        for i, utterance in enumerate(read_manifest(tones / "train.jsonl")):
            shutil.copy(utterance.audio, here / "clips" / f"{i:04}.wav")
            table.writerow([f"clips/{i:04}.wav", f"{utterance.text.title()}.", f"speaker{i}"])


def program(here: Path, tones: Path) -> None:
    """What extending.md adds to: the program itself; and pairs of audio and text."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("asr", "configs", "tests"):
        shutil.copytree(REPOSITORY / name, here / name, ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", here)
    for split in ("train", "dev", "test"):
        folder = here / "recordings" / split
        folder.mkdir(parents=True)
        for utterance in read_manifest(tones / f"{split}.jsonl"):
            shutil.copy(utterance.audio, folder / f"{utterance.id}.wav")
            (folder / f"{utterance.id}.txt").write_text(utterance.text)


SETUP: dict[str, Callable[[Path, Path], None]] = {
    "your-language": recordings,
    "extending": program,
}


def test_pages_are_found() -> None:
    assert {"first-model", *SETUP} <= RUN.keys()


@pytest.mark.parametrize("name", RUN)
def test_a_page_runs(name: str, tmp_path: Path, tones: Path) -> None:
    SETUP.get(name, lambda here, tones: None)(tmp_path, tones)
    own = (tmp_path / "asr").is_dir()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path if own else REPOSITORY),
        "OMP_NUM_THREADS": "1",
    }
    for block in blocks(RUN[name].read_text(encoding="utf-8")):
        language, _, place = block.info.partition(" ")
        if block.info == "sh run":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.text],
                cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{block.text}{done.stdout[-2000:]}{done.stderr[-3000:]}"
        elif place:
            assert language in ("python", "yaml")
            assert not (tmp_path / place).exists()
            (tmp_path / place).write_text(block.text, encoding="utf-8")
