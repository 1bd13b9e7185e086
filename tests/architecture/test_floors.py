"""The house holds: imports go down the floors, only commands and wiring know Hydra."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import REPOSITORY

PACKAGE = REPOSITORY / "asr"
FLOORS = [
    {"commands"},
    {"web"},  # shows what reporting renders
    {"training", "reporting", "checking"},
    {"wiring", "scoring"},
    {"objective"},
    {"recognizer", "data", "decoder"},
    {"corpus", "model", "features", "language_model"},
    {"ctc", "augment", "tokenizer", "engine"},
    {"core"},
]
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}
# Beside base.py, what a part's data types live in: anybody above may import these.
OPEN = {
    **dict.fromkeys(
        [
            "core",
            "ctc",
            "language_model",
            "scoring",
            "wiring",
            "training",
            "data",
            "recognizer",
            "reporting",
            "checking",
            "web",
        ]
    ),
    "tokenizer": {"base", "symbols"},  # symbols: made of a user's file, not of a configuration
    "corpus": {"base", "manifest", "packing", "preparation", "report"},
}
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")


def part_of(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else "commands"


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module), node


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_keeps_the_laws_of_the_house(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = part_of(path)
    assert ast.get_docstring(tree), "a module docstring says what the file is for"
    for name, _ in imports(tree):
        package, *inner = name.split(".")
        if package == "hydra":
            assert here in ("commands", "wiring"), "only commands and wiring know Hydra"
        if package != "asr" or not inner:
            continue
        there = inner[0] if (PACKAGE / inner[0]).is_dir() else "commands"
        if there == here:
            continue
        assert FLOOR[here] < FLOOR[there], f"{name}: an import goes to a lower floor"
        allowed = OPEN.get(there, {"base"})
        assert allowed is None or inner[1] in allowed, f"{name}: parts see base.py, not variants"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_stand_at_the_top(path: Path) -> None:
    """But in commands, whose --help must answer before torch is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = [
        name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for name, _ in imports(function)
    ]
    if part_of(path) != "commands":
        assert set(inside) <= {"ray"}, "but for optional packages"
        return
    top = {name.split(".")[0] for name, node in imports(tree) if node in tree.body}
    assert not top & {"torch", "numpy", "librosa", "soundfile"}
    wired = {n for n, node in imports(tree) if node in tree.body and n.startswith("asr.")}
    assert wired <= {"asr.wiring.command"}


def test_every_part_has_a_floor_and_an_empty_init() -> None:
    parts = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert parts <= FLOOR.keys()
    assert all((PACKAGE / part / "__init__.py").read_text() == "" for part in parts)


def test_no_hidden_randomness() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np.random":
                assert node.attr in {"default_rng", "Generator", "SeedSequence"}, path
            if isinstance(node, ast.Import):
                assert all(alias.name != "random" for alias in node.names), path
