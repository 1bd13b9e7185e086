"""Work on all cores gives what a loop gives, and what goes wrong is told."""

import os
import signal

import pytest

from asr.core.spread import spread

needs_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core: no processes")


def test_results_come_in_order() -> None:
    factor = 3
    assert list(spread(lambda piece: factor * piece, range(50))) == [3 * i for i in range(50)]
    assert list(spread(lambda piece: os.getpid(), [0])) == [os.getpid()], "not worth a process"


@needs_cores
def test_several_processes_work() -> None:
    assert os.getpid() not in set(spread(lambda piece: os.getpid(), range(8)))


def refuse(piece: int) -> int:
    if piece == 3:
        raise ValueError("not this one")
    return piece


def test_an_error_is_that_of_the_first_piece() -> None:
    results = spread(refuse, range(8))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="not this one"):
        next(results)


@needs_cores
def test_a_process_that_is_killed_is_told_of() -> None:
    with pytest.raises(ValueError, match="processes was killed"):
        list(spread(lambda piece: os.kill(os.getpid(), signal.SIGKILL), range(4)))
