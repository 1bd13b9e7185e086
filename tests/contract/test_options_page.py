"""docs/options.md is what configs/ says, and holds every option with a meaning."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import CONFIGS, REPOSITORY

PAGE = REPOSITORY / "docs" / "options.md"
OF_EACH_CORPUS = {"name", "source", "train", "dev", "test"}  # said once, in words


def write(script: Path, page: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), str(page)], capture_output=True, text=True, check=False
    )


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    done = write(REPOSITORY / "scripts" / "options.py", tmp_path / "options.md")
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "options.md").read_text(encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written, "`make docs` writes it anew"


def rows(section: str) -> dict[str, list[str]]:
    """The cells behind each option of a section."""
    page = PAGE.read_text(encoding="utf-8")
    text = page.split(f"\n### {section}\n")[1].split("\n### ")[0].split("\n## ")[0]
    found = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found}


def leaves(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, down to what is no mapping."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif key not in ("_target_", "inputs", "defaults"):
            yield f"{prefix}{key}", value


@pytest.mark.parametrize(
    "path", sorted(CONFIGS.glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
def test_every_option_of_a_group_is_told(path: Path) -> None:
    group = path.parent.name
    if group == "experiment":  # recipes set options of others
        return
    told = rows(group)
    for name, value in leaves(yaml.safe_load(path.read_text(encoding="utf-8")), f"{group}."):
        if group == "corpus" and name.split(".")[1] in OF_EACH_CORPUS - {"source"}:
            continue
        if group == "corpus" and str(value).startswith("${corpus."):  # handed on to the class
            continue
        whole = next(n for n in told if name == n or name.startswith(f"{n}."))
        assert told[whole][-1].strip(), name


@pytest.mark.parametrize(
    "command", sorted(p.stem for p in CONFIGS.glob("*.yaml") if p.stem != "command")
)
def test_every_option_of_a_command_is_told(command: str) -> None:
    told = rows(f"asr.{command}")
    text = (CONFIGS / f"{command}.yaml").read_text(encoding="utf-8")
    for name, _ in leaves(yaml.safe_load(text)):
        if not (CONFIGS / name.split(".")[0]).is_dir():
            assert len(told[name]) == 2 and told[name][1].strip(), name


def test_an_option_without_a_meaning_is_refused(tmp_path: Path) -> None:
    for folder in ("configs", "asr"):
        (tmp_path / folder).mkdir()
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "options.py"
    script.write_text((REPOSITORY / "scripts" / "options.py").read_text("utf-8"), "utf-8")
    (tmp_path / "asr" / "x.py").write_text('"""python -m asr.x: a -> b"""')
    config = tmp_path / "configs" / "x.yaml"
    config.write_text("defaults: [command]\n\nsize: 3 # metres | <feet>\nname: null # or\n")
    assert write(script, tmp_path / "page.md").returncode == 0
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "| `size` | `3` | metres \\| &lt;feet&gt; |" in page
    config.write_text("defaults: [command]\n\nsize: 3\nname: x # so\nage: 1\n")
    done = write(script, tmp_path / "page.md")
    assert done.returncode == 1
    assert "x.yaml: without a comment that says its meaning: size, age" in done.stderr
