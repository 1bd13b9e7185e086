"""Several processes are one run: the same losses, the same errors, one end, real torchrun."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import REPOSITORY, command, metrics, tones_overrides

from asr.core.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow
TINY = ["experiment=tones", "model.dropout=0"]


def start(count: int, name: str, *arguments: str, restarts: int = 0) -> subprocess.Popen[str]:
    """A command of the program in several processes, as torchrun starts them."""
    options = [f"--nproc-per-node={count}", f"--max-restarts={restarts}", "--standalone"]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *options, "--monitor-interval=0.2",
         "-m", f"asr.{name}", *arguments],
        cwd=REPOSITORY, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def together(count: int, name: str, *arguments: str) -> str:
    if count == 1:
        done = command(name, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout
    run = start(count, name, *arguments)
    output = run.communicate(timeout=240)[0]
    assert run.returncode == 0, output
    return output


def ranks(run: subprocess.Popen[str]) -> dict[int, int]:
    """Process ids of the ranks that torchrun has started, by rank."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    found = {}
    for pid in map(int, children):
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        found |= {int(e[5:]): pid for e in environment if e.startswith(b"RANK=")}
    return found


def wait_for_updates(run: subprocess.Popen[str], folder: Path, count: int) -> None:
    until = time.monotonic() + 120
    path = folder / "metrics.jsonl"
    while time.monotonic() < until and run.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the run did not get that far")


@pytest.mark.parametrize(
    ("counts", "options"),
    [
        ((2, 4), ["trainer.epochs=3"]),
        # Batches that leave some ranks without an utterance; randomness; micro-batches.
        ((4,), ["data.max_utterances=3", "data.accumulate=2", "augment=[speed,reverb,babble]",
                "spec_augment=mild", "trainer.epochs=1", "trainer.validate_every=20"]),
        ((2,), ["model=wav2letter", "model.channels=[16,16,16,16,16,16,32,32]",
                "trainer.epochs=3"]),
        ((2,), ["model=conformer_tiny", "model.layers=2", "objective=cr_ctc", "optimizer=muon",
                "spec_augment=mild", "trainer.epochs=3"]),
    ],
)  # fmt: skip
def test_losses_do_not_depend_on_the_number_of_processes(
    counts: tuple[int, ...], options: list[str], tones: Path, tmp_path: Path
) -> None:
    options = [*tones_overrides(tones, tmp_path), *TINY, "trainer.precision=float64", *options]
    for count in (1, *counts):
        together(count, "train", *options, f"run=of{count}")
    alone = metrics(tmp_path / "of1")
    assert sum("train/loss" in line for line in alone) >= 50
    for count in counts:
        others = metrics(tmp_path / f"of{count}")
        for one, other in zip(alone, others, strict=True):
            assert one.keys() == other.keys()
            for name in one.keys() - {"train/padding_share"}:
                assert abs(one[name] - other[name]) <= 1e-9, (count, one["step"], name)


def test_evaluation_is_the_same_spread_over_processes(tones: Path, tmp_path: Path) -> None:
    options = [*tones_overrides(tones, tmp_path), *TINY, "trainer.epochs=2", "run=r"]
    together(1, "train", *options)
    texts = []
    for count in (1, 3):
        where = [f"runs={tmp_path}", "run=r", f"output={tmp_path / str(count)}", "batch_seconds=8"]
        together(count, "evaluate", *where, "threads=1", str(tones / "test.jsonl"))
        folder = tmp_path / str(count) / "tones-test"
        summary = (folder / "summary.json").read_text().splitlines()
        kept = [line for line in summary if "real_time_factor" not in line]
        texts.append((kept, (folder / "hypotheses.jsonl").read_text()))
    assert texts[0] == texts[1]


def test_a_rank_that_dies_ends_the_job_and_another_number_of_ranks_goes_on(
    tones: Path, tmp_path: Path
) -> None:
    options = [*tones_overrides(tones, tmp_path), *TINY, "trainer.precision=float64"]
    options += ["trainer.epochs=3", "trainer.checkpoint_minutes=0"]
    together(1, "train", *options, "run=whole")
    run = start(2, "train", *options, "run=broken")
    wait_for_updates(run, tmp_path / "broken", 12)
    began = time.monotonic()
    os.kill(ranks(run)[1], signal.SIGKILL)
    output = run.communicate(timeout=60)[0]
    assert time.monotonic() - began < 30
    assert run.returncode != 0
    assert "another process of this job died" in output
    assert "Signal 9 (SIGKILL)" in output  # torchrun names the rank and the cause
    output = together(3, "train", *options, "run=broken")
    assert "resuming" in output and "processes 2 -> 3" in output
    for one, other in zip(metrics(tmp_path / "whole"), metrics(tmp_path / "broken"), strict=True):
        assert one["step"] == other["step"]
        for name in one.keys() - {"train/padding_share"}:
            assert abs(one[name] - other[name]) <= 1e-9, (one["step"], name)


def test_an_elastic_restart_resumes(tones: Path, tmp_path: Path) -> None:
    options = [*tones_overrides(tones, tmp_path), *TINY, "trainer.epochs=3"]
    options += ["trainer.checkpoint_minutes=0"]
    together(2, "train", *options, "run=whole")
    run = start(2, "train", *options, "run=killed", restarts=1)
    wait_for_updates(run, tmp_path / "killed", 25)
    os.kill(ranks(run)[1], signal.SIGKILL)
    output = run.communicate(timeout=120)[0]
    assert run.returncode == 0, output
    assert "resuming" in output
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "killed")


def test_a_signal_to_one_rank_stops_all_at_the_same_update(tones: Path, tmp_path: Path) -> None:
    options = [*tones_overrides(tones, tmp_path), *TINY, "trainer.epochs=500", "run=stopped"]
    run = start(2, "train", *options, "data.workers=1")
    wait_for_updates(run, tmp_path / "stopped", 12)
    os.kill(ranks(run)[1], signal.SIGTERM)
    output = run.communicate(timeout=60)[0]
    assert "nothing lost" in output
    assert "exitcode  : 143" in output
    state = load_checkpoint(tmp_path / "stopped" / "last.pt")["training"]["state"]
    assert state["step"] == max(line["step"] for line in metrics(tmp_path / "stopped"))


def test_one_process_that_sees_other_data_is_refused(tones: Path, tmp_path: Path) -> None:
    """As where each machine has its own disk: here, each rank its own manifest."""
    train = (tones / "train.jsonl").read_text()
    moved = train.replace('"audio_filepath": "', f'"audio_filepath": "{tones}/').splitlines()
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(moved[:-8]))
    options = [*tones_overrides(tones, tmp_path), *TINY, "run=r"]
    typed = shlex.join([sys.executable, "-m", "asr.train", *options])
    script = f'[ "$RANK" = 0 ] || set -- "data.train=[{other}]"; exec {typed} "$@"'
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone",
         "--no-python", "bash", "-c", script],
        cwd=REPOSITORY, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode != 0
    assert "see different runs" in run.stderr


def test_a_run_leaves_no_thread_of_the_group(tones: Path, tmp_path: Path) -> None:
    """Gloo's threads, where they outlive it, abort a program that is about to end well."""
    program = tmp_path / "program.py"
    program.write_text(_COUNTING)
    options = [*tones_overrides(tones, tmp_path), *TINY, "trainer.epochs=1", "run=r"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(program), *options],
        cwd=REPOSITORY, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True,
        capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"left{rank}").read_text() for rank in range(2)] == ["0", "0"]


_COUNTING = """
import os
from pathlib import Path

from asr import train
from asr.wiring import command


def main(config):
    train.main(config)
    names = [p.read_text().strip() for p in Path("/proc/self/task").glob("*/comm")]
    left = sum("gloo" in name for name in names)
    Path(__file__).with_name(f"left{os.environ['RANK']}").write_text(str(left))


command.run_command("train", main)
"""
