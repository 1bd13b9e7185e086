"""What is asked of a command before it works is answered without what only work needs.

How long that takes is measured by `benchmarks/startup.py`; here, that nothing slow is imported.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import CONFIGS, REPOSITORY, variants

COMMANDS = sorted(p.stem for p in (REPOSITORY / "asr").glob("[a-z]*.py"))
SLOW = {"torch", "numpy", "numba", "scipy", "soundfile", "rich", "matplotlib", "tensorboard"}


def answer(*arguments: str, cwd: Path = REPOSITORY) -> tuple[int, str, str, set[str]]:
    """Exit code, stdout, stderr and the top packages that were imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    imported = {li.rsplit("|", 1)[1].strip() for li in lines if li.startswith("import time:")}
    said = "\n".join(line for line in lines if not line.startswith("import time:"))
    assert "asr.wiring.command" in imported
    return done.returncode, done.stdout, said, {name.split(".")[0] for name in imported}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_everything_and_imports_nothing_slow(name: str) -> None:
    code, page, said, imported = answer(f"asr.{name}", "--help")
    assert code == 0, said
    assert not imported & SLOW
    source = (REPOSITORY / "asr" / f"{name}.py").read_text(encoding="utf-8")
    assert str(ast.get_docstring(ast.parse(source))) in page
    typed = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    groups = {g for e in typed.pop("defaults") if isinstance(e, dict) for g in e}
    for group in groups:
        line = next(li for li in page.splitlines() if li.split()[:1] == [group])
        assert set(variants(group)) <= set(line.split()[2:])
    options = yaml.safe_load(page.split("options, as")[1].split("\n", 1)[1])
    assert options == typed, "every option, with its default"


@pytest.mark.parametrize("typed", ["modle=x", "trainer.epoch=3"])
def test_a_mistyped_option_is_answered_without_torch(typed: str) -> None:
    code, _, said, imported = answer("asr.train", typed)
    assert code == 1
    assert "Did you mean" in said
    assert not imported & SLOW


def test_preparing_a_corpus_needs_no_torch(tmp_path: Path) -> None:
    code, _, said, imported = answer("asr.prepare", "corpus=tones", f"folder={tmp_path}")
    assert code == 0, said
    assert "numpy" in imported
    assert "torch" not in imported
