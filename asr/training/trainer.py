"""The trainer: the only thing in the program that has state, and all of it can be saved.

    fit -> train_step -> objective -> recogniser

Order, augmentation, masks and dropout are functions of (seed, epoch, step): a run that was killed
goes on from its last checkpoint as if nothing had happened.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from asr.core.checkpoint import save_checkpoint
from asr.data.batch import Batch
from asr.data.loader import TrainingData
from asr.objective.base import Objective, Outcome
from asr.recognizer.recognizer import Recognizer
from asr.scoring.score import Report
from asr.training.average import averaged
from asr.training.health import Health, WeightProbe
from asr.training.interrupt import Interrupt
from asr.training.schedule import Schedule
from asr.training.state import TrainState
from asr.training.tracker import Tracker


class Interrupted(Exception):  # noqa: N818  # it is a wish, not an error
    """Raised out of a validation when the user wants to stop; the validation is made again."""


class Trainer:
    """Trains a recogniser.

    header: what every checkpoint holds beside weights and state (configuration, tokens).
    epochs: how many. precision: "float32" or "bfloat16" (autocast; weights stay float32).
    gradient_clip: largest norm of an update's gradient, per token. average_decay: 0 for none.
    validate_every: updates between validations; 0 means at each epoch's end.
    patience: validations without a better WER before stopping; 0 means never.
    max_skipped: updates in a row that may be non-finite. log_every: updates between lines.
    checkpoint_minutes: a `last` checkpoint is at most this old. num_pairs: pairs shown.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        objective: Objective,
        optimizer: Optimizer,
        schedule: Schedule,
        data: TrainingData,
        validate: Callable[[Recognizer, Callable[[int, int], None]], Report],
        health: Health,
        folder: Path,
        header: dict[str, Any],
        *,
        seed: int,
        epochs: int,
        precision: str,
        gradient_clip: float,
        average_decay: float,
        validate_every: int,
        patience: int,
        max_skipped: int,
        log_every: int,
        checkpoint_minutes: float,
        num_pairs: int,
    ) -> None:
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"trainer.precision={precision!r}: choose float32 or bfloat16")
        if epochs < 1 or gradient_clip <= 0:
            raise ValueError(
                f"trainer.epochs={epochs}, trainer.gradient_clip={gradient_clip}: both must be > 0"
            )
        self.recognizer, self.objective, self.optimizer = recognizer, objective, optimizer
        self.schedule, self.data, self.validate = schedule, data, validate
        self.health = health
        self.probe = WeightProbe(list(recognizer.parameters()))
        self.folder, self.header, self.seed = folder, header, seed
        self.epochs, self.precision, self.gradient_clip = epochs, precision, gradient_clip
        self.validate_every, self.patience, self.max_skipped = validate_every, patience, max_skipped
        self.log_every, self.checkpoint_minutes = log_every, checkpoint_minutes
        self.num_pairs = num_pairs
        self.device = next(recognizer.parameters()).device
        self.average = averaged(recognizer, average_decay) if average_decay else None
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.state = TrainState()
        self.saved_at = time.monotonic()

    # --- the loop ---------------------------------------------------------------------------

    def fit(self) -> int:
        """Train to the end, an early stop or a signal; the exit code says which (0, 130, 143)."""
        with Interrupt() as self.interrupt, self._new_tracker() as self.tracker:
            self.health.recall(self.tracker.history())
            try:
                while not self._finished():
                    self._run_epoch()
            except Interrupted:
                pass
            if self.interrupt:
                self._checkpoint()
                self.tracker.line(
                    f"stopped after update {self.state.step}, nothing lost; "
                    "the same command goes on from here"
                )
        return self.interrupt.exit_code

    def _new_tracker(self) -> Tracker:
        return Tracker(
            self.folder,
            self.state.step,
            self.state.validated,
            log_every=self.log_every,
            num_pairs=self.num_pairs,
        )

    def _finished(self) -> bool:
        over = self.state.epoch >= self.epochs
        stale = 0 < self.patience <= self.state.stale
        return bool(self.interrupt) or ((over or stale) and not self._validation_due())

    def _run_epoch(self) -> None:
        if self._validation_due():  # a run that was stopped in a validation
            self._validate()
            return
        plan = self.data.plan(self.state.epoch)
        epoch = self.state.epoch
        began = time.perf_counter()
        for update in self.data.updates(plan, self.state.batch):
            metrics = self.train_step(update, epoch + self.state.batch / len(plan))
            self.state.batch += 1
            metrics["time/audio_seconds_per_second"] = self._audio(update) / (
                time.perf_counter() - began
            )
            self.tracker.trained(
                self.state.step,
                metrics,
                f"epoch {epoch + 1}/{self.epochs}",
                self.state.batch,
                len(plan),
            )
            self._watch(metrics, update)
            if self.state.batch == len(plan):
                self.state.epoch, self.state.batch = epoch + 1, 0
            if self._validation_due() and not self.interrupt:
                self._validate()
            elif time.monotonic() - self.saved_at > 60 * self.checkpoint_minutes:
                self._checkpoint()
            if self._finished():
                break
            began = time.perf_counter()

    def _audio(self, update: list[Batch]) -> float:
        """Seconds of audio in an update."""
        samples = sum(int(batch.waveforms.lengths.sum()) for batch in update)
        return samples / self.recognizer.features.sample_rate

    # --- one update -------------------------------------------------------------------------

    def train_step(self, update: list[Batch], epoch: float) -> dict[str, float]:
        """Forward, backward and update on the micro-batches of one update.

        The loss is the sum of feasible nats over the count of their tokens in the whole update,
        so that the cut into micro-batches changes nothing (batch norm and dropout aside). A
        non-finite loss or gradient makes no update.

        epoch: where the update stands, in epochs, fractional.
        """
        self.recognizer.train()
        self.optimizer.zero_grad(set_to_none=True)
        statistics = [buffer.clone() for buffer in self.recognizer.buffers()]
        outcomes = [self._backward(i, batch) for i, batch in enumerate(update)]
        nats = torch.stack([o.nats.detach() for o in outcomes]).sum()
        count = torch.stack([o.count for o in outcomes]).sum().clamp(min=1)
        gradients = [p.grad for p in self.recognizer.parameters() if p.grad is not None]
        torch._foreach_div_(gradients, count.to(nats.dtype))
        norm = torch.nn.utils.clip_grad_norm_(self.recognizer.parameters(), self.gradient_clip)
        factor = self.schedule(self.state.step, epoch, self.epochs)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        before = self.probe.read()
        if bool(torch.isfinite(nats + norm)):
            self.state.skipped = 0
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.recognizer)
        else:
            for buffer, saved in zip(self.recognizer.buffers(), statistics, strict=True):
                buffer.copy_(saved)  # batch norm has seen what made the loss bad
            self._skip(update, outcomes)
        self.state.step += 1
        return {
            "train/loss": float(nats / count),
            "train/learning_rate": self.rates[0] * factor,
            "train/gradient_norm": float(norm),
            "train/relative_step": float((self.probe.read() - before).norm() / before.norm()),
            "train/weight_norm": float(before.norm()),
        } | _shares(outcomes, update)

    def _backward(self, index: int, batch: Batch) -> Outcome:
        """Gradients of the sum, not yet divided: the count is known after the last micro-batch."""
        torch.manual_seed(_dropout_seed(self.seed, self.state.step, index))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            outcome = self.objective(self.recognizer, batch.to(self.device))
        outcome.nats.backward()  # type: ignore[no-untyped-call]
        return outcome

    def _watch(self, metrics: dict[str, float], update: list[Batch]) -> None:
        """Tell the user, once, if the model does not listen to the audio, and why that may be."""
        if self.health.watch(self.state.step, metrics) and not self.state.diagnosed:
            self.state.diagnosed = True
            features = self.recognizer.features(update[0].waveforms.to(self.device))
            self.tracker.diagnosed(self.state.step, self.health.diagnose(self.state.step, features))

    def _skip(self, update: list[Batch], outcomes: list[Outcome]) -> None:
        self.state.skipped += 1
        bad = [
            name
            for batch, outcome in zip(update, outcomes, strict=True)
            for name, loss in zip(batch.ids, outcome.losses.tolist(), strict=True)
            if not math.isfinite(loss)
        ]
        what = f"loss of {', '.join(bad)}" if bad else "gradient"
        names = ", ".join(name for batch in update for name in batch.ids)
        self.tracker.line(
            f"update {self.state.step + 1} skipped: the {what} is not finite (batch: {names})"
        )
        if self.state.skipped > self.max_skipped:
            raise ValueError(
                f"{self.state.skipped} updates in a row had no finite loss or gradient, the last "
                f"the {what}. The last checkpoint is from before. Lower optimizer.lr, raise "
                "schedule.warmup_steps, or look at the utterances named above"
            )

    # --- validation, checkpoints, reports ---------------------------------------------------

    def _validation_due(self) -> bool:
        every = self.validate_every
        at = self.state.step % every == 0 if every else self.state.batch == 0
        over = self.state.epoch >= self.epochs
        return self.state.step > self.state.validated and (at or over)

    def _validate(self) -> None:
        done = 0

        def progress(count: int, total: int) -> None:
            nonlocal done
            done += count
            self.tracker.progress("validation", done, total)
            if self.interrupt:
                raise Interrupted

        report = self.validate(self.shipped, progress)
        wer = report.words.rate
        better = wer < self.state.best_wer
        self.state.validated = self.state.step
        self.state.best_wer = min(wer, self.state.best_wer)
        self.state.stale = 0 if better else self.state.stale + 1
        self.tracker.validated(self.state.step, self.state.epoch, report, better)
        if better:
            save_checkpoint(self.folder / "best.pt", self.header | self._shipped_weights())
        self._checkpoint()

    def _checkpoint(self) -> None:
        self.tracker.flush()  # first: what the checkpoint says is done must be on the curves
        self.save()
        self.saved_at = time.monotonic()

    @property
    def shipped(self) -> Recognizer:
        """The recogniser that is validated and shipped: the averaged one, if there is one."""
        module = self.recognizer if self.average is None else self.average.module
        assert isinstance(module, Recognizer)
        return module

    def _shipped_weights(self) -> dict[str, Any]:
        return {"weights": self.shipped.state_dict()}

    def save(self) -> None:
        """Write `last.pt`: like `best.pt` the weights to use, and all that a resume needs."""
        training = {
            "state": asdict(self.state),
            "weights": self.recognizer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": int(self.average.n_averaged) if self.average is not None else 0,
        }
        content = self.header | self._shipped_weights() | {"training": training}
        save_checkpoint(self.folder / "last.pt", content)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint that `save` wrote."""
        training = checkpoint["training"]
        self.state = TrainState(**training["state"])
        self.recognizer.load_state_dict(training["weights"])
        self.optimizer.load_state_dict(training["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(checkpoint["weights"])
            self.average.n_averaged.fill_(training["averaged"])


def _shares(outcomes: list[Outcome], update: list[Batch]) -> dict[str, float]:
    """Shares of frames and utterances over the micro-batches of an update."""
    total = {k: sum(float(o.metrics[k]) for o in outcomes) for k in outcomes[0].metrics}
    real = sum(int(b.waveforms.lengths.sum()) for b in update)
    return {
        "train/blank_share": total["blanks"] / max(total["frames"], 1),
        "train/confident_share": total["confident"] / max(total["frames"], 1),
        "train/entropy": total["entropy"] / max(total["frames"], 1),
        "train/infeasible": total["infeasible"],
        "train/infeasible_share": total["infeasible"] / sum(len(b.ids) for b in update),
        "train/padding_share": 1 - real / sum(b.waveforms.values.numel() for b in update),
    }


def _dropout_seed(*place: int) -> int:
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> np.uint64(1))
