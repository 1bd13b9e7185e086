"""The tracker writes one set of numbers to all places, and forgets what a resume will repeat."""

import json
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asr.training.tracker import Tracker


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(e.step, round(e.value, 3)) for e in events.Scalars(name)]


def test_files_and_curves_hold_the_same(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        for step in (1, 2, 3):
            tracker.point(step, {"train/loss": 1 / step})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": s, "train/loss": 1 / s} for s in (1, 2, 3)]
    assert points(tmp_path, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.333)]


def test_resuming_cuts_back_to_the_step(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        for step in (1, 2, 3, 4):
            tracker.point(step, {"train/loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "train/lo')  # a kill in mid-line
    with Tracker(tmp_path, step=2) as tracker:
        tracker.point(3, {"train/loss": 3.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(d["step"], d["train/loss"]) for d in lines] == [(1, 1.0), (2, 1.0), (3, 3.0)]
    assert points(tmp_path, "train/loss") == [(1, 1.0), (2, 1.0), (3, 3.0)]


def test_a_new_run_forgets_a_run_that_never_saved(tmp_path: Path) -> None:
    with Tracker(tmp_path) as tracker:
        tracker.point(1, {"train/loss": 1.0})
    with Tracker(tmp_path):
        pass
    assert (tmp_path / "metrics.jsonl").read_text() == ""
