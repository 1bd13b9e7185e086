"""A run that is killed, really killed, ends like one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support import REPOSITORY, assert_same, command, metrics, tones_overrides
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asr.core.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow
OPTIONS = ["experiment=tones", "trainer.epochs=3", "trainer.checkpoint_minutes=0"]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "asr.train", *arguments], cwd=REPOSITORY,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def wait_for_updates(run: subprocess.Popen[bytes], folder: Path, count: int) -> None:
    until = time.monotonic() + 120
    path = folder / "metrics.jsonl"
    while time.monotonic() < until and run.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.002)


def test_sigkill_at_any_moment(tones: Path, tmp_path: Path) -> None:
    options = [*tones_overrides(tones, tmp_path), *OPTIONS]
    assert command("train", *options, "run=whole").returncode == 0
    rng = np.random.default_rng(7)
    for count in (1, 6, 13, 20):
        run = start(*options, "run=killed")
        wait_for_updates(run, tmp_path / "killed", count)
        time.sleep(rng.uniform(0, 0.1))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert run.returncode == -signal.SIGKILL, "the run ended before it was killed"
    assert command("train", *options, "run=killed").returncode == 0
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "killed")
    assert curves(tmp_path / "whole") == curves(tmp_path / "killed")
    whole, killed = (load_checkpoint(tmp_path / run / "last.pt") for run in ("whole", "killed"))
    for content in (whole, killed):
        content["config"].pop("run")
    assert_same(whole, killed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_saves_and_says_how_to_go_on(
    number: signal.Signals, code: int, tones: Path, tmp_path: Path
) -> None:
    options = [*tones_overrides(tones, tmp_path), "experiment=tones", "run=stopped"]
    run = start(*options, "trainer.epochs=500", "data.workers=1")
    wait_for_updates(run, tmp_path / "stopped", 5)
    os.killpg(run.pid, number)  # terminals and clusters signal the loader's workers too
    output = run.communicate(timeout=60)[0].decode()
    assert run.returncode == code
    assert "nothing lost" in output and "run=stopped" in output.splitlines()[-1]
    state = load_checkpoint(tmp_path / "stopped" / "last.pt")["training"]["state"]
    assert state["step"] == max(line["step"] for line in metrics(tmp_path / "stopped"))
