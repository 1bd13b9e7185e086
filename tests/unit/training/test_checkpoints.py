"""Which checkpoints a run keeps, and which it goes on from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import fill_up

from asr.core.checkpoint import load_checkpoint
from asr.training.checkpoints import Checkpoints

HEADER: dict[str, Any] = {
    "config": {},
    "tokenizer": {},
    "feature_fingerprint": torch.zeros(1),
    "versions": {},
}


def content(step: int, size: int = 1) -> dict[str, Any]:
    return HEADER | {"weights": {"w": torch.full((size,), float(step))}}


def policy(folder: Path, **options: int) -> Checkpoints:
    return Checkpoints(folder, **({"keep_last": 1, "keep_best": 1, "keep_every": 0} | options))


def kept(folder: Path) -> dict[str, int]:
    """The update that each file is of."""
    return {
        path.name: int(load_checkpoint(path)["weights"]["w"][0])
        for path in sorted(folder.glob("*.pt"))
    }


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def test_the_newest_are_kept_and_those_for_good(tmp_path: Path) -> None:
    checkpoints = policy(tmp_path, keep_last=3, keep_every=20)
    for step in range(10, 60, 10):
        checkpoints.save(step, content(step))
    found = kept(tmp_path)
    assert found == {"last.pt": 50, "last-1.pt": 40, "last-2.pt": 30, "step-20.pt": 20,
                     "step-40.pt": 40}  # fmt: skip


def test_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = policy(tmp_path, keep_best=2)
    best: list[tuple[float, int]] = []
    for step, wer in ((1, 0.5), (2, 0.7), (3, 0.4), (4, 0.45), (5, 0.9)):
        best = sorted([*best, (wer, step)])[:2]
        if (wer, step) in best:
            checkpoints.save_best(step, content(step), best)
    assert kept(tmp_path) == {"best.pt": 3, "best-3.pt": 3, "best-4.pt": 4}


@pytest.mark.parametrize("fault", ["flipped bit", "truncated", "empty", "missing", "other program"])
def test_a_damaged_last_falls_back_to_the_one_before(fault: str, tmp_path: Path) -> None:
    checkpoints = policy(tmp_path, keep_last=3)
    for step in (1, 2, 3):
        checkpoints.save(step, content(step, 1000))
    last = tmp_path / "last.pt"
    if fault == "flipped bit":
        damage(last)
    elif fault == "missing":
        last.unlink()
    elif fault == "other program":
        torch.save({"state_dict": {}}, last)
    else:
        last.write_bytes(last.read_bytes()[: 700 if fault == "truncated" else 0])
    said: list[str] = []
    found = checkpoints.load(said.append)
    assert found is not None and int(found["weights"]["w"][0]) == 2
    assert (fault == "missing") == (not said)
    checkpoints.save(4, content(4))  # a damaged file never takes the place of a sound one
    assert kept(tmp_path) == {"last.pt": 4, "last-1.pt": 2, "last-2.pt": 1}


def test_all_damaged_is_said_and_nothing_begins_anew(tmp_path: Path) -> None:
    checkpoints = policy(tmp_path, keep_last=2)
    assert checkpoints.load(print) is None
    for step in (1, 2):
        checkpoints.save(step, content(step, 1000))
        damage(tmp_path / "last.pt")
    for _ in range(2):  # nor when it is started again, by hand or by a cluster
        with pytest.raises(ValueError, match=r"none of its checkpoints can be read.*last-1\.pt"):
            checkpoints.load(lambda line: None)
    assert {p.name for p in tmp_path.iterdir()} == {"last.pt", "last-1.pt"}


def test_what_is_kept_for_good_serves_where_nothing_else_does(tmp_path: Path) -> None:
    checkpoints = policy(tmp_path, keep_every=2)
    for step in (1, 2, 3, 4, 5):
        checkpoints.save(step, content(step, 1000))
    damage(tmp_path / "last.pt")
    found = checkpoints.load(lambda line: None)
    assert found is not None and int(found["weights"]["w"][0]) == 4


def test_one_of_a_newer_program_is_not_taken_for_damaged(tmp_path: Path) -> None:
    checkpoints = policy(tmp_path, keep_last=2)
    checkpoints.save(1, content(1))
    checkpoints.save(2, content(2) | {"version": 99})
    with pytest.raises(ValueError, match="update the program"):
        checkpoints.load(print)


def test_weights_that_waited_do_not_replace_better_ones(disk_of: Callable[[str], Path]) -> None:
    folder = disk_of("2m")
    checkpoints = policy(folder)
    filler = fill_up(folder, free=100_000)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save_best(1, content(1, 50_000), [(0.5, 1)])
    filler.unlink()
    checkpoints.save_best(2, content(2, 50_000), [(0.4, 2)])
    checkpoints.save(2, content(2, 50_000))
    assert kept(folder) == {"best.pt": 2, "last.pt": 2}


def test_a_full_disk_keeps_what_is_there_and_best_weights_wait(
    disk_of: Callable[[str], Path],
) -> None:
    folder = disk_of("2m")
    checkpoints = policy(folder, keep_last=2)
    checkpoints.save(1, content(1, 50_000))
    filler = fill_up(folder, free=100_000)
    best = content(2, 50_000)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save_best(2, best, [(0.5, 2)])
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(3, content(3, 50_000))
    assert kept(folder)["last.pt"] == 1
    best["weights"]["w"].zero_()  # training went on
    filler.unlink()
    checkpoints.save(4, content(4, 50_000))
    assert kept(folder) == {"best.pt": 2, "last.pt": 4, "last-1.pt": 1}


@pytest.mark.parametrize("option", ["keep_last", "keep_best", "keep_every"])
def test_ranges_are_checked_by_name(option: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"trainer\.{option}=-1"):
        policy(tmp_path, **{option: -1})
