"""A real bash, at a terminal of its own, completes what is typed."""

import os
import pty
import re
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support import REPOSITORY, variants

slow = partial(pytest.param, marks=pytest.mark.slow)  # each starts the program, half a second
COMMANDS = {f"asr.{p.stem}" for p in (REPOSITORY / "asr").glob("[a-z]*.py")}
SETUP = f"""\
bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'; bind 'set bell-style none'
bind 'set enable-bracketed-paste off'; bind 'set completion-query-items 0'
source {REPOSITORY}/scripts/completion.bash; PS1='ready> '
"""


@pytest.fixture(scope="module")
def press_tab() -> Iterator[Callable[[str], tuple[str, set[str]]]]:
    """press_tab("python -m asr.tr"): the line that it becomes, and the words that are offered."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    pid, terminal = pty.fork()
    if pid == 0:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY), "TERM": "dumb"}
        os.chdir(REPOSITORY)
        os.execve(bash, [bash, "--norc", "--noprofile", "-i"], environment)

    def answer(keys: str) -> re.Match[str]:
        os.write(terminal, keys.encode())
        text, end = "", time.monotonic() + 60
        while not (found := re.search(r"(.*)^it is: (.*?)$", text, re.MULTILINE | re.DOTALL)):
            assert time.monotonic() < end, f"no answer, but {text!r}"
            if select.select([terminal], [], [], 1)[0]:
                text += os.read(terminal, 65536).decode().replace("\r\n", "\n")
        return found

    def press(line: str) -> tuple[str, set[str]]:
        # Control-A goes to the line's beginning: what it has become is echoed, not run.
        offered, became = answer(f"{line}\t\x01echo it is: \n").groups()
        return became, set(offered.split())

    answer(f"{SETUP}echo it is: ready\n")
    yield press
    os.close(terminal)
    os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("python -m asr.", COMMANDS),
        ("python -m asr.train model=", set(variants("model"))),
        slow("torchrun --nproc-per-node=2 -m asr.train 'data.train=[a b.jsonl]' experiment=",
             set(variants("experiment"))),
        slow("python -m asr.train model=wav2letter model.", {"model.kernels.", "model.dropout="}),
        slow("python -m asr.evaluate my.jsonl decoder=beam decoder.lm", {"decoder.lm_weight="}),
    ],
)  # fmt: skip
def test_what_is_possible_is_offered(
    typed: str, offered: set[str], press_tab: Callable[[str], tuple[str, set[str]]]
) -> None:
    line, words = press_tab(typed)
    assert line.rstrip() == typed.replace("'", "")
    assert offered <= words
    if typed.endswith("="):
        group = typed.split()[-1][:-1]
        assert not words & {v for g in ("model", "experiment") if g != group for v in variants(g)}


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("python -m asr.trans", "asr.transcribe"),
        ("python -m asr.train model=wav", "model=wav2letter"),
        slow("python -m asr.train trainer.ep", "trainer.epochs="),
        slow("python -m asr.evaluate checkpoint=configs/mo", "checkpoint=configs/model/"),
        ("python -m asr.check configs/mo", "configs/model/"),
        ("python configs/mo", "configs/model/"),
    ],
)
def test_what_is_clear_is_completed(
    typed: str, completed: str, press_tab: Callable[[str], tuple[str, set[str]]]
) -> None:
    line, _ = press_tab(typed)
    assert line.rstrip() == typed.rsplit(" ", 1)[0] + " " + completed
