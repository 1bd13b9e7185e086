"""What stands in several files about the project says the same, and links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from documented import PAGES
from support import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINKING = sorted({*PAGES, *REPOSITORY.glob("*.md")})
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def test_licence_and_version_are_one() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert (REPOSITORY / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    newest = re.search(r"^## \[([\d.]+)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == PROJECT["version"]


def anchors(page: Path) -> set[str]:
    """Of headlines, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", LINKING, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", _FENCED.sub("", page.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_page_is_in_the_index() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {p.name for p in (REPOSITORY / "docs").iterdir() if p.suffix in (".md", ".ipynb")}
    assert pages - {"README.md"} <= set(re.findall(r"\]\(([\w-]+\.\w+)\)", index))


def test_every_part_of_the_program_has_its_place_in_the_layout() -> None:
    text = (REPOSITORY / "docs" / "layout.md").read_text(encoding="utf-8")
    floors = set(re.findall(r"\w+", " ".join(re.findall(r"^\d\. (.*)$", text, re.MULTILINE))))
    parts = {p.parent.name for p in (REPOSITORY / "asr").glob("*/__init__.py")}
    assert floors == parts | {"commands"}
    assert parts <= set(re.findall(r"`asr/(\w+)/`", text))
