"""Nothing stops a run that can go on: each fault is planted for real."""

import multiprocessing
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import assert_same, fill_up, loss, metrics

from asr.core.checkpoint import load_checkpoint
from asr.data.batch import Batch
from asr.model.layers import MaskedBatchNorm
from asr.training.trainer import Trainer

NewTrainer = Callable[..., Trainer]
SMALL = ["experiment=tones", "trainer.epochs=2", "trainer.log_every=0", "data.max_unreadable=0.02"]


@pytest.fixture
def own_tones(tones: Path, tmp_path: Path) -> Path:
    """The tests' corpus, to be damaged."""
    return Path(shutil.copytree(tones, tmp_path / "data" / "tones"))


def of(corpus: Path) -> list[str]:
    return [f"data.train=[{corpus}/train.jsonl]", f"data.dev=[{corpus}/dev.jsonl]"]


def before_update(trainer: Trainer, number: int, act: Callable[[list[Batch]], Any]) -> None:
    """Do something, once, when an update (counted from 1) of the run has been loaded."""
    load, done = trainer.data.updates, False

    def updates(plan: Any, start: int, *rest: Any) -> Iterator[list[Batch]]:
        nonlocal done
        for update in load(plan, start, *rest):
            changed = None
            if trainer.state.step + 1 == number and not done:
                done, changed = True, act(update)
            yield changed or update

    trainer.data.updates = updates  # type: ignore[method-assign]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


# --- files that cannot be read -----------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_in_mid_run_is_left_out_counted_and_named(
    workers: int, new_trainer: NewTrainer, own_tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = new_trainer("run", *SMALL, *of(own_tones), f"data.workers={workers}")
    truncate(own_tones / "audio" / "train-003.wav")
    (own_tones / "audio" / "train-007.wav").unlink()
    assert trainer.fit() == 0
    assert trainer.state.unreadable == {"truncated": 2, "no such file": 2}  # two epochs
    told = capsys.readouterr().out
    assert told.count("goes without 1:\n  utterance train-003: ") == 2
    assert told.count("goes without 1:\n  utterance train-007: ") == 2


def test_too_many_unreadable_files_stop_the_run_and_it_goes_on_when_mended(
    new_trainer: NewTrainer, own_tones: Path, tones: Path, tmp_path: Path
) -> None:
    options = [*SMALL, *of(own_tones)]
    assert new_trainer("whole", *options).fit() == 0
    trainer = new_trainer("run", *options)
    # All but those of the first batches: what was learnt before it stops is what it should be.
    plan = trainer.data.plan(0)
    names = [trainer.data.dataset.manifest[d.index].audio for u in plan[12:] for d in u[0]]
    for name in names:
        Path(name).rename(name + ".away")
    with pytest.raises(
        ValueError, match=r"8 utterances .*8 x no such file.*unreadable=0.02 of 160"
    ):
        trainer.fit()
    for name in names:
        Path(name + ".away").rename(name)
    again = new_trainer("run", *options)
    assert again.state.step == 13 and again.state.unreadable == {"no such file": 8}
    assert again.fit() == 0
    assert len(metrics(tmp_path / "run")) == len(metrics(tmp_path / "whole"))
    assert metrics(tmp_path / "run")[:12] == metrics(tmp_path / "whole")[:12]


def test_a_disk_that_is_lost_late_stops_the_run_at_once(
    new_trainer: NewTrainer, own_tones: Path
) -> None:
    trainer = new_trainer("run", *SMALL, *of(own_tones), "trainer.epochs=30")
    trainer.state.epoch, trainer.state.step, trainer.state.validated = 25, 500, 500
    (own_tones / "audio").rename(own_tones / "elsewhere")
    with pytest.raises(ValueError, match="utterances of this epoch could not be read"):
        trainer.fit()
    assert trainer.state.step == 501


def test_a_lost_development_set_is_no_result(
    new_trainer: NewTrainer, own_tones: Path, tmp_path: Path
) -> None:
    trainer = new_trainer("run", *SMALL, *of(own_tones))
    for path in (own_tones / "audio").glob("dev-*"):
        path.rename(own_tones / path.name)
    with pytest.raises(ValueError, match=r"16 utterances of tones/dev .*16 x no such file"):
        trainer.fit()
    for path in own_tones.glob("dev-*"):
        path.rename(own_tones / "audio" / path.name)
    again = new_trainer("run", *SMALL, *of(own_tones))
    assert again.state.step == 20 and again.state.validated == 0 and not again.state.best
    assert again.fit() == 0


def test_a_validation_file_that_breaks_counts_as_not_heard(
    new_trainer: NewTrainer,
    own_tones: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert new_trainer("whole", *SMALL, *of(own_tones)).fit() == 0
    trainer = new_trainer("run", *SMALL, *of(own_tones), "data.max_unreadable=0.1")
    truncate(own_tones / "audio" / "dev-003.wav")
    assert trainer.fit() == 0
    told = capsys.readouterr().out
    assert "1 utterances of tones/dev could not be read (1 x truncated), such as utt" in told
    one, other = (metrics(tmp_path / run)[-1]["validation/wer"] for run in ("whole", "run"))
    assert one < other < 1
    assert not load_checkpoint(tmp_path / "run" / "last.pt")["training"]["state"]["unreadable"]


# --- loader processes --------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_a_loader_process_that_dies_or_hangs_is_replaced(
    number: signal.Signals,
    new_trainer: NewTrainer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = [*SMALL, "data.workers=2", "data.worker_timeout=3", "augment=[speed,noise]"]
    assert new_trainer("whole", *options).fit() == 0
    trainer = new_trainer("run", *options)
    victims: list[int] = []

    def strike(_: list[Batch]) -> None:
        present = [p.pid for p in multiprocessing.active_children() if p.pid]
        os.kill(present[0], number)
        victims.extend(present)

    for update in (5, 15, 25) if number == signal.SIGKILL else (5,):
        before_update(trainer, update, strike)
    assert trainer.fit() == 0
    why = "died" if number == signal.SIGKILL else "gave nothing for data.worker_timeout=3 seconds"
    assert why in caplog.text and "starting others at the batch of train-" in caplog.text
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "run")
    left = {p.pid for p in multiprocessing.active_children()}  # which also buries the dead
    assert not left & set(victims)
    assert not any(Path(f"/proc/{pid}").exists() for pid in victims)


def test_a_signal_is_heard_while_loader_processes_hang(
    new_trainer: NewTrainer, tmp_path: Path
) -> None:
    trainer = new_trainer("run", *SMALL, "data.workers=1")

    def strike(_: list[Batch]) -> None:
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGSTOP)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()

    before_update(trainer, 5, strike)
    began = time.monotonic()
    assert trainer.fit() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 60  # data.worker_timeout is 300
    assert new_trainer("run", *SMALL).state.step == len(metrics(tmp_path / "run"))


def test_a_batch_on_which_loader_processes_always_die_is_named(
    new_trainer: NewTrainer, own_tones: Path
) -> None:
    trainer = new_trainer("run", *SMALL, *of(own_tones), "data.workers=1")
    killing = threading.Event()

    def kill_all() -> None:
        while not killing.wait(0.01):
            for process in multiprocessing.active_children():
                process.kill()

    before_update(trainer, 3, lambda _: threading.Thread(target=kill_all, daemon=True).start())
    with pytest.raises(ValueError, match=r"died .* 3 times at the same batch \(train-"):
        trainer.fit()
    killing.set()


# --- numbers that are none ----------------------------------------------------------------------


def spoil(update: list[Batch]) -> list[Batch]:
    """One sample of the second utterance is not a number."""
    values = update[0].waveforms.values.clone()
    values[1, 100] = torch.nan
    return [update[0]._replace(waveforms=update[0].waveforms._replace(values=values)), *update[1:]]


def test_stop_keeps_the_last_good_state_and_skip_goes_on(
    new_trainer: NewTrainer, tmp_path: Path
) -> None:
    assert new_trainer("whole", *SMALL).fit() == 0
    options = [*SMALL, "trainer.on_non_finite=stop"]
    trainer = new_trainer("run", *options)
    named: list[str] = []
    before_update(trainer, 7, lambda update: (named.append(update[0].ids[1]), spoil(update))[1])
    with pytest.raises(ValueError, match=r"update 7: the loss of (\S+) is not finite") as error:
        trainer.fit()
    assert re.search("the loss of (\\S+) is", str(error.value)).group(1) == named[0]  # type: ignore[union-attr]
    again = new_trainer("run", *options)
    assert again.state.step == 6
    before_update(again, 7, spoil)
    with pytest.raises(ValueError, match="update 7: the loss"):  # it can be looked into again
        again.fit()
    assert new_trainer("run", *options).fit() == 0  # and without the fault nothing was lost
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "run")


def test_skip_leaves_one_update_out(
    new_trainer: NewTrainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = new_trainer("run", *SMALL)
    before_update(trainer, 7, spoil)
    assert trainer.fit() == 0
    assert capsys.readouterr().out.count("update 7 skipped: the loss of train-") == 1
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines if line.get("train/loss", 0) is None] == [7]


@pytest.mark.parametrize("mode", ["skip", "stop"])
@pytest.mark.parametrize(("optimizer", "update"), [("adamw", 7), ("sgd", 1)])
def test_what_the_device_holds_back_is_what_the_host_would(
    mode: str, optimizer: str, update: int, new_trainer: NewTrainer, tmp_path: Path
) -> None:
    """As on a GPU, where nobody waits to know whether an update was made."""
    for name in ("host", "device"):
        trainer = new_trainer(name, *SMALL, f"optimizer={optimizer}", "optimizer.lr=1e-3",
                              f"trainer.on_non_finite={mode}")  # fmt: skip
        if name == "device":
            trainer.waits, trainer.lag = False, 1
        before_update(trainer, update, spoil)
        if mode == "skip":
            assert trainer.fit() == 0
        else:
            with pytest.raises(ValueError, match=f"update {update}: the loss"):
                trainer.fit()
    host, device = (load_checkpoint(tmp_path / n / "last.pt") for n in ("host", "device"))
    assert host["training"]["state"] == device["training"]["state"]
    for one, other in ((host, device), (host["training"], device["training"])):  # also averages
        for name, weight in one["weights"].items():
            assert torch.allclose(weight, other["weights"][name], atol=1e-6), name
    if mode == "skip":
        assert len(metrics(tmp_path / "host")) == len(metrics(tmp_path / "device"))


# --- memory -------------------------------------------------------------------------------------


def test_a_batch_that_does_not_fit_is_done_in_parts_with_the_same_gradient(
    new_trainer: NewTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = []
    for most in (8, 2):
        options = [
            *SMALL,
            "trainer.precision=float64",
            "model.dropout=0",
            "trainer.average_decay=0",
        ]
        trainer = new_trainer("run", *options, "trainer.gradient_clip=1e9")
        for module in list(trainer.recognizer.modules()):
            for name, child in module.named_children():
                if isinstance(child, MaskedBatchNorm):
                    setattr(module, name, torch.nn.Identity())
        objective = trainer.gradients.objective

        def limited(recognizer: Any, batch: Batch, most: int = most, do: Any = objective) -> Any:
            outcome = do(recognizer, batch)
            if len(batch.ids) > most:  # after the work, as if in the backward pass
                outcome.nats.backward()
                raise torch.OutOfMemoryError("out of memory")
            return outcome

        trainer.gradients.objective = limited  # type: ignore[assignment]
        update = next(trainer.data.updates(trainer.data.plan(1)))
        assert len(update[0].ids) == 8
        step = trainer.train_step(update, 0.0)
        assert len(step.batches) == (1 if most == 8 else 4)
        assert trainer.state.out_of_memory == (0 if most == 8 else 3)
        gradients.append([loss(step), *(p.grad for p in trainer.recognizer.parameters())])
    for one, other in zip(*gradients, strict=True):
        assert abs(one - other).max() <= 1e-12 if isinstance(one, torch.Tensor) else one == other


def test_an_utterance_that_does_not_fit_alone_is_named(new_trainer: NewTrainer) -> None:
    trainer = new_trainer("run", *SMALL)

    def never(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    trainer.gradients.objective = never  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"1 utterances.*\(train-\d+\).*data\.max_seconds"):
        trainer.fit()


# --- a full disk --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_is_full_for_a_while_costs_nothing(
    new_trainer: NewTrainer, disk_of: Callable[[str], Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options = [*SMALL, "trainer.validate_every=10", "trainer.checkpoint_minutes=0"]
    assert new_trainer("whole", *options).fit() == 0
    disk = disk_of("40m")
    trainer = new_trainer("run", *options, f"runs={disk}")
    before_update(trainer, 6, lambda _: fill_up(disk) and None)
    before_update(trainer, 25, lambda _: (disk / "filler").unlink())
    assert trainer.fit() == 0
    told = capsys.readouterr().out
    assert "could not be written" in told and "No space left" in told
    assert metrics(tmp_path / "whole") == metrics(disk / "run")
    for name in ("last.pt", "best.pt"):
        one, other = (
            load_checkpoint(folder / name) for folder in (tmp_path / "whole", disk / "run")
        )
        one["config"]["runs"] = other["config"]["runs"]
        assert_same(one, other)
