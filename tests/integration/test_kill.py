"""A run that is killed, really killed, ends like one that was not."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from killing import differences, start, wait_for_updates
from support import REPOSITORY, metrics, tones_overrides
from torch.utils.tensorboard import SummaryWriter

from asr.core.checkpoint import load_checkpoint, save_checkpoint
from asr.training.trainer import Trainer


@pytest.mark.slow
def test_sigkill_at_bad_moments() -> None:
    """`make torture` in small."""
    done = subprocess.run(
        [sys.executable, "scripts/torture.py", "--kills", "8", "--runs", "2"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    kills = re.findall(r"^(step|checkpoint|validation|epoch's end) .* (\d+)$", done.stdout, re.M)
    assert len(kills) == 4 and all(int(count) for _, count in kills), done.stdout
    assert re.search(r" (\d+) runs, \1 ends bit-identical, 0 not", done.stdout), done.stdout


def test_every_difference_is_seen(new_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    """What torture compares: a bit of one weight, a number, a point twice, a file left over."""
    whole, other = tmp_path / "whole", tmp_path / "other"
    assert new_trainer("whole", "trainer.epochs=1", "run=whole").fit() == 0
    shutil.copytree(whole, other)
    assert differences(whole, other) == []

    content = load_checkpoint(other / "last.pt")
    name, weight = next(iter(content["training"]["weights"].items()))
    weight.view(-1)[0] = torch.nextafter(weight.view(-1)[0], torch.tensor(torch.inf))
    save_checkpoint(other / "last.pt", content)
    (other / "best.pt.part").touch()
    lines = (other / "metrics.jsonl").read_text().splitlines(keepends=True)
    (other / "metrics.jsonl").write_text("".join(lines[:-1]))
    with SummaryWriter(str(other)) as writer:  # it purges nothing
        writer.add_scalar("validation/wer", 0.5, 20)
        writer.add_text("validation/pairs", "again", 20)

    files, weights, numbers, *points = differences(whole, other)
    assert "best.pt.part" in files
    assert name in weights
    assert "metrics.jsonl" in numbers and "became None" in numbers
    assert [point.split(":")[0] for point in points] == [
        "TensorBoard, validation/pairs/text_summary", "TensorBoard, validation/wer",
    ]  # fmt: skip


@pytest.mark.slow
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
