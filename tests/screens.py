"""A real terminal for a command, and what a person would see on it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path


def on_terminal(
    command: list[str],
    folder: Path,
    columns: int,
    act: Callable[[str, int], bool] = lambda text, terminal: True,
    **environment: str,
) -> tuple[int, str]:
    """Run a command on a pseudo-terminal; returns its exit code and all that it wrote there.

    act: called with what is written so far and the terminal's end, until it says that it is done.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def be_in_front() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    told = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")  # pytest-xdist sets some
    known = {name: value for name, value in os.environ.items() if name not in told}
    process = subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**known, "TERM": "xterm-256color", **environment}, preexec_fn=be_in_front,
    )  # fmt: skip
    os.close(theirs)
    written, done, ends_at = "", False, time.monotonic() + 240
    try:
        while time.monotonic() < ends_at:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
            written += piece.decode()
            done = done or act(written, ours)
        return process.wait(timeout=30), written
    finally:
        process.kill()
        os.close(ours)


def screen(written: str, columns: int) -> list[str]:
    """The lines that are left on a terminal that wraps and knows what a living line needs.

    Raises:
        AssertionError: a control sequence of which it is not known what it does.
    """
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|.", written, re.DOTALL):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif re.fullmatch(r"\x1b\[\d*A", piece):
            row = max(0, row - int(piece[2:-1] or 1))
        elif re.fullmatch(r"\x1b\[[\d;]*m|\x1b\[\?25[lh]", piece):
            continue  # colours, and the cursor's coming and going
        else:
            assert piece.isprintable(), repr(piece)
            if column == columns:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            lines[row] = lines[row][:column].ljust(column) + piece + lines[row][column + 1 :]
            column += 1
    return lines
