"""The living line on a real terminal: one line at any width, and nothing where there is none."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from screens import on_terminal, screen
from support import REPOSITORY

from asr.training import terminal

SHOW = """
import sys, time
from asr.training.terminal import Terminal
terminal = Terminal()
terminal.open()
terminal.line("before")
for number in range(1, 41):
    terminal._shown = 0.0  # show each
    terminal.trained((2, 30), (number, 40), step=40 + number, loss=1 / number, best_wer=0.4567,
                     speed=123.0)
    time.sleep(0.003)
terminal.validating(1, 16)
print("somebody else's line")
terminal.pair("one two [three] four", "one [three] for\\x1b[2J")
sys.exit(terminal.close())
"""
COMMAND = [sys.executable, "-c", SHOW]


@cache
def shown(columns: int, **environment: str) -> str:
    """What is written on a terminal of so many columns."""
    code, written = on_terminal(COMMAND, REPOSITORY, columns, **environment)
    assert code == 0, written
    return written


def looks(written: str) -> list[str]:
    """Each state of the living line."""
    plain = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", written)
    return [part.strip() for part in re.split(r"[\r\n]+", plain) if part.startswith("epoch 2/30")]


@pytest.mark.parametrize("columns", [140, 40, 12])
def test_it_is_one_line_at_any_width_and_gone_at_the_end(columns: int) -> None:
    written = shown(columns)
    seen = looks(written)
    assert len(seen) >= 40 and max(map(len, seen)) < columns
    left = [line for line in screen(written, columns) if line.strip()]
    assert left[0] == "before" and "somebody else's line" in "".join(left)
    assert not any("epoch 2/30" in line for line in left), "it leaves nothing behind"
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is back"
    assert "\x1b[2J" not in written, "what was heard does not steer the terminal"


def test_what_matters_most_is_shown_where_there_is_little_room() -> None:
    last = {columns: looks(shown(columns))[-1] for columns in (140, 40)}
    for part in ("40/40", "step 80", "loss 0.025", "WER 45.7 %", "123 s/s", "epoch ends in 0:00"):
        assert part in last[140]
    assert re.search(r"\u2501{8}.*run in 0:0", last[140])
    assert "loss 0.025" in last[40] and "run in 0:0" in last[40] and "step" not in last[40]


def test_errors_are_coloured_unless_colours_are_unwanted() -> None:
    coloured, plain = shown(140), shown(80, NO_COLOR="1")
    assert "\x1b[1;31m***" in coloured and "\x1b[1;31mtwo" in coloured
    assert "\x1b[1m***" in plain and not re.search(r"\x1b\[[\d;]*3\dm", plain)
    lines = screen(plain, 80)
    pair = [line for line in lines if line.startswith(("reference", "heard"))]
    assert [line.split() for line in pair] == [
        ["reference", "one", "two", "[three]", "four"],
        ["heard", "one", "***", "[three]", "for\N{REPLACEMENT CHARACTER}[2J"],
    ]


def test_a_file_gets_lines_alone(tmp_path: Path) -> None:
    wishes = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}  # which rich would take for a terminal
    with (tmp_path / "log").open("wb") as log:
        environment = {**os.environ, **wishes}
        subprocess.run(COMMAND, cwd=REPOSITORY, stdout=log, env=environment, check=True)
    assert (tmp_path / "log").read_text() == "before\nsomebody else's line\n"


def test_time_is_told_by_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock[0])
    pace = terminal.Pace((1, 4), (1, 10))
    assert pace((1, 4), (1, 10)) == ("", "")
    for number in range(2, 7):
        clock[0] += 2.0
        times = pace((1, 4), (number, 10))
    assert times == ("0:08", "1:08")  # 4 and 34 updates of 2 seconds
    pace.pause()
    clock[0] += 60.0  # a validation
    assert pace((1, 4), (7, 10))[0] == "0:06"
