"""Lines and curves survive a disk that is full for a while."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import fill_up
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asr.training.curves import Curves, Lines, Point


def test_lines_wait_for_room_and_come_in_order(disk_of: Callable[[str], Path]) -> None:
    folder = disk_of("1m")
    lines = Lines(folder / "lines")
    lines.add("first")
    filler = fill_up(folder)
    for number in range(2000):  # more than the rest of the file's last page
        lines.add(f"line {number}")
    with pytest.raises(OSError, match="No space"):
        lines.flush()
    assert (folder / "lines").read_bytes()[-1:] == b"\n"  # whole lines only
    filler.unlink()
    lines.add("last")
    lines.close()
    expected = ["first", *(f"line {n}" for n in range(2000)), "last"]
    assert (folder / "lines").read_text().splitlines() == expected


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_curves_wait_for_room_without_a_gap_or_a_repetition(
    disk_of: Callable[[str], Path],
) -> None:
    folder = disk_of("1m")
    curves = Curves(folder, purge_step=1)
    curves.add(Point(1, {"a": 1.0}, {}))
    curves.flush()
    filler = fill_up(folder)
    # Of the same update, and more than the rest of the file's last page.
    curves.add(Point(1, {"b": 1.0}, {"text": "long " * 10_000}))
    with pytest.raises(OSError, match="No space"):
        curves.flush()
    for step in range(2, 300):
        curves.add(Point(step, {"a": float(step)}, {}))
        if step % 50 == 0:
            with pytest.raises(OSError, match="No space"):
                curves.flush()
    filler.unlink()
    time.sleep(1)  # TensorBoard reads files of one second in the order of their numbers as texts
    curves.flush()
    curves.add(Point(300, {"a": 300.0}, {}))
    curves.close()
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    assert [e.step for e in events.Scalars("a")] == list(range(1, 301))
    assert [e.step for e in events.Scalars("b")] == [1]
    assert [e.step for e in events.Tensors("text/text_summary")] == [1]
