"""What a newcomer sees first: the list of commands, and of each its purpose and examples.

That --help shows groups and options as well, and at once, stands in tests/architecture/.
"""

import ast
import re
import subprocess
import sys

import pytest
from documented import commands
from support import CONFIGS, REPOSITORY

from asr.wiring.help import help_text

COMMANDS = sorted(p.stem for p in (REPOSITORY / "asr").glob("[a-z]*.py"))


def about(name: str) -> str:
    tree = ast.parse((REPOSITORY / "asr" / f"{name}.py").read_text(encoding="utf-8"))
    return str(ast.get_docstring(tree))


def test_all_commands_are_listed_each_on_a_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asr"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    listed = re.findall(r"^  python -m asr\.(\w+): \S.*$", done.stdout, re.MULTILINE)
    assert listed == COMMANDS
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_the_purpose_and_three_examples(name: str) -> None:
    head = help_text(CONFIGS, name, about(name)).partition("\nflags ")[0]
    assert head.startswith(f"python -m asr.{name}: ")
    own = [typed for typed in commands(head) if typed.program == f"asr.{name}"]
    assert len(set(own)) >= 3, f"three examples of asr.{name}, not {len(own)}"
