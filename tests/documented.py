"""The commands that README.md, docs/, notebooks, docstrings and recipes tell people to type."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from support import CONFIGS, REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(
    r"(?<!`)`((?:python -m asr\b|python (?:scripts|benchmarks)/|make |torchrun )[^`\n]*)`"
)
_OPERATORS = {"&&", "||", ";", "|", "&", ">", "<", "(", ")"}


class Block(NamedTuple):
    """A fenced block: what stands behind its first fence, and its text."""

    info: str
    text: str


class Typed(NamedTuple):
    """A command as somebody would type it. program: asr.train ..., make, sbatch or a script."""

    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join([self.program, *self.arguments])


def blocks(markdown: str) -> list[Block]:
    """The fenced blocks of a page."""
    return [Block(info.strip(), text) for info, text in _FENCE.findall(markdown)]


def commands(shell: str) -> Iterator[Typed]:
    """Those of our commands that stand in lines of shell.

    `...` stands for what a reader adds; an indented line is what a program said.
    """
    for line in re.sub(r"\\\n", " ", shell).splitlines():
        if line[:1].isspace():
            continue
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>()")
            lexer.wordchars += "[]{},:=+!@%^$"
            words = list(lexer)
        except ValueError:  # a quotation mark of prose, or of a program's output
            continue
        start = 0
        for end in [*(i for i, w in enumerate(words) if w in _OPERATORS), len(words)]:
            if typed := _typed([w for w in words[start:end] if w != "..."]):
                yield typed
            start = end + 1


def _typed(words: list[str]) -> Typed | None:
    if not words:
        return None
    first, rest = Path(words[0]).name, words[1:]
    if first in ("make", "sbatch"):
        return Typed(first, tuple(rest))
    if first not in ("python", "python3", "torchrun", "ray"):
        return None
    for i, (flag, module) in enumerate(pairwise(words)):
        if flag == "-m" and re.match(r"asr\b", module):
            return Typed(module, tuple(words[i + 2 :]))
    if first.startswith("python") and rest and rest[0].endswith(".py"):
        return Typed(rest[0], tuple(rest[1:]))
    return None


def sources() -> Iterator[tuple[str, str]]:
    """(name, shell) of everything that tells people what to type.

    But for what `test_pages_run.py` runs, and for words that are typed in halves.
    """
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if page.name == "completion.md":
            continue
        apart = ("python", "sh run")
        fenced = "\n".join(b.text for b in blocks(text) if not b.info.startswith(apart))
        inline = "\n".join(_SPAN.findall(_FENCE.sub("", text)))
        yield str(page.relative_to(REPOSITORY)), f"{fenced}\n{inline}"
    for path in sorted((REPOSITORY / "docs").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        shell = [text for cell in cells if (text := "".join(cell["source"])).startswith("%%bash")]
        yield f"docs/{path.name}", "\n".join(shell)
    for path in sorted((REPOSITORY / "asr").glob("[a-z]*.py")):
        about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        yield f"asr/{path.name}", about.partition("\n")[2]
    for path in sorted((CONFIGS / "experiment").glob("*.yaml")):
        head = re.findall(r"^# +(.*(?:asr\.|\\).*)$", path.read_text("utf-8"), re.MULTILINE)
        yield f"experiment/{path.name}", "\n".join(head)


def documented() -> dict[str, Typed]:
    """Each command once, by where it stands and how it reads."""
    found: dict[Typed, str] = {}
    for name, shell in sources():
        for typed in commands(shell):
            found.setdefault(typed, f"{name}: {typed}")
    return {name: typed for typed, name in found.items()}
