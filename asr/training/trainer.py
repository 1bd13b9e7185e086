"""The trainer: the only thing in the program that has state, and all of it can be saved.

    fit -> train_step -> objective -> recogniser

Order, augmentation, masks and dropout are functions of (seed, epoch, step): a run that was killed
goes on from its last checkpoint as if nothing had happened. Several ranks (`torchrun`) take parts
of the same updates; what one of them notices, they decide on together.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from asr.core.distributed import exchange, is_main, world_size
from asr.data.batch import Batch
from asr.data.loader import LoaderError, TrainingData
from asr.objective.base import Objective
from asr.recognizer.recognizer import Recognizer
from asr.scoring.score import Report, ScoringStoppedError
from asr.training.average import Average
from asr.training.checkpoints import Checkpoints
from asr.training.gradients import Gradients
from asr.training.health import Health, WeightProbe
from asr.training.interrupt import Interrupt
from asr.training.measure import Numbers, Step, totals
from asr.training.mishaps import Mishaps, TooMuchError
from asr.training.out_of_memory import ADVICE, is_out_of_memory
from asr.training.schedule import Schedule
from asr.training.state import TrainState
from asr.training.tracker import Board, Bystander, Tracker


class Trainer:
    """Trains a recogniser.

    header: what every checkpoint holds beside weights and state (configuration, tokens).
    epochs: how many. precision: "float32", "bfloat16" (autocast; weights stay float32) or
    "float64". gradient_clip: largest norm of an update's gradient, per token.
    average_decay: 0 for none. validate_every: updates between validations; 0 means at each
    epoch's end. patience: validations without a better WER before stopping; 0 means never.
    log_every: updates between lines. checkpoint_minutes: a `last` checkpoint is at most this old.
    max_minutes: after which the run pauses, for the same command to go on with; 0 means never.
    num_pairs: pairs shown.
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
        mishaps: Mishaps,
        checkpoints: Checkpoints,
        header: dict[str, Any],
        *,
        seed: int,
        epochs: int,
        precision: str,
        gradient_clip: float,
        average_decay: float,
        validate_every: int,
        patience: int,
        log_every: int,
        checkpoint_minutes: float,
        max_minutes: float,
        num_pairs: int,
    ) -> None:
        for name, value in (("validate_every", validate_every), ("patience", patience),
                            ("log_every", log_every), ("checkpoint_minutes", checkpoint_minutes),
                            ("max_minutes", max_minutes), ("num_pairs", num_pairs)):  # fmt: skip
            if value < 0:
                raise ValueError(f"trainer.{name}={value} must be at least 0")
        if epochs < 1 or gradient_clip <= 0:
            raise ValueError(
                f"trainer.epochs={epochs}, trainer.gradient_clip={gradient_clip}: both must be > 0"
            )
        self.recognizer, self.optimizer = recognizer, optimizer
        self.schedule, self.data, self.validate = schedule, data, validate
        self.health, self.mishaps = health, mishaps
        self.probe = WeightProbe(list(recognizer.parameters()))
        self.checkpoints, self.folder = checkpoints, checkpoints.folder
        self.header = header
        self.epochs, self.precision, self.gradient_clip = epochs, precision, gradient_clip
        self.validate_every, self.patience = validate_every, patience
        self.log_every, self.checkpoint_minutes = log_every, checkpoint_minutes
        self.num_pairs = num_pairs
        self.ends_at = time.monotonic() + 60 * (max_minutes or math.inf)
        self.device = next(recognizer.parameters()).device
        self.average = Average(recognizer, average_decay) if average_decay else None
        self.rates = [group["lr"] for group in optimizer.param_groups]
        _begin_momentum(optimizer)
        self.state = TrainState()
        self.tracker: Tracker = Bystander()
        self.interrupt = Interrupt()
        self.saved, self.saved_step, self.saved_at = True, 0, time.monotonic()
        self.gradients = Gradients(recognizer, objective, precision, seed)
        # A GPU is given the next update before the last one's numbers are looked at.
        self.waits = self.device.type != "cuda" or not optimizer.defaults.get("fused")
        self.lag = 0 if self.waits else 1
        self.launched: deque[tuple[Step, int, float]] = deque()  # updates an epoch, seconds
        self.stopped = torch.zeros((), dtype=torch.bool, device=self.device)
        self.stopping = self.saving = False

    # --- the loop ---------------------------------------------------------------------------

    def fit(self, board: Board | None = None) -> int:
        """Train to the end, an early stop or a signal; the exit code says which (0, 130, 143).

        board: what TensorBoard shows of each validation beside curves.

        Raises:
            ValueError: more went wrong than may; the last good state was saved.
        """
        with Interrupt() as self.interrupt, self._new_tracker(board) as self.tracker:
            self.health.recall(self.tracker.history())
            try:
                while not self._finished():
                    self._run_epoch()
            except ScoringStoppedError:
                self.stopping = True
            except (TooMuchError, LoaderError) as error:
                if isinstance(error, TooMuchError) or world_size() == 1:  # all ranks are here
                    with suppress(TooMuchError):
                        self._look()
                    self._checkpoint()
                raise
            if self.stopping:
                self._checkpoint()
                self.tracker.line(
                    f"stopped after update {self.state.step}, "
                    + ("nothing lost; " if self.saved else "which could not be saved; ")
                    + f"the same command goes on from update {self.saved_step}"
                )
            elif not all(exchange(self.saved)):
                raise ValueError(
                    f"{self.folder}: training is done, but its end could not be saved (see above); "
                    f"make room, and the same command goes on from update {self.saved_step}"
                )
        return max(exchange(self.interrupt.exit_code)) if self.stopping else 0

    def _new_tracker(self, board: Board | None) -> Tracker:
        if not is_main():
            return Bystander()
        return Tracker(
            self.folder,
            self.state.step,
            self.state.validated,
            log_every=self.log_every,
            num_pairs=self.num_pairs,
            best_wer=self.state.best_wer,
            board=board,
        )

    def _at_the_end(self) -> bool:
        return self.state.epoch >= self.epochs or 0 < self.patience <= self.state.stale

    def _finished(self) -> bool:
        return self.stopping or (self._at_the_end() and not self._validation_due())

    def _run_epoch(self) -> None:
        if self._validation_due():  # a run that was stopped in a validation
            self._validate()
            return
        plan = self.data.plan(self.state.epoch)
        began = time.perf_counter()
        # Where several ranks train, one that stops by itself would leave the others waiting.
        stop = partial(bool, self.interrupt) if world_size() == 1 else lambda: False
        for update in self.data.updates(plan, self.state.batch, stop):
            step = self.train_step(update, self.state.epoch + self.state.batch / len(plan))
            self.launched.append((step, len(plan), time.perf_counter() - began))
            began = time.perf_counter()
            self.state.batch += 1
            if self.state.batch == len(plan):
                self.state.epoch, self.state.batch = self.state.epoch + 1, 0
            self._look(self.lag)
            due = self._validation_due()
            if due or self.stopping or self.saving or self.checkpoints.due(self.state.step):
                self._look()
                if due and not self.stopping:
                    if self.saving:  # a validation may take long
                        self._checkpoint()
                    self._validate()
                elif not self.stopping:  # or `fit` does
                    self._checkpoint()
                began = time.perf_counter()
            if self._finished():
                return
        self.stopping |= self.state.batch > 0  # before the epoch's end, and not for an update

    # --- one update -------------------------------------------------------------------------

    def train_step(self, update: Sequence[Batch], epoch: float) -> Step:
        """Forward, backward and update on this rank's micro-batches of one update.

        The loss is the sum of feasible nats over the count of their tokens in the whole update,
        so that the cut into ranks and micro-batches changes nothing (dropout aside, and batch
        norm, which sees a micro-batch at a time). A non-finite loss or gradient makes no update.

        epoch: where the update stands, in epochs, fractional.
        """
        self.recognizer.train()
        before, buffers = replace(self.state), [b.clone() for b in self.recognizer.buffers()]
        self.optimizer.zero_grad(set_to_none=True)
        update, outcomes = self.gradients(update, buffers, before.step, self._tell_of_parts)
        sums = totals(outcomes, update, self._wishes())
        gradients = [p.grad for p in self.recognizer.parameters() if p.grad is not None]
        mean = sums["count"].clamp(min=1) / world_size()  # over which ranks' gradients are averaged
        torch._foreach_div_(gradients, mean.to(gradients[0].dtype))
        norm = torch.nn.utils.clip_grad_norm_(self.recognizer.parameters(), self.gradient_clip)
        factor = self.schedule(self.state.step, epoch, self.epochs, self.state.plateaus)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        weights = self.probe.read()
        bad = ~torch.isfinite(sums["nats"] + norm)
        if self.mishaps.stops:
            self.stopped |= bad
        self._apply(bad | self.stopped | (sums["utterances"] == 0), buffers)
        self.state.step += 1
        numbers = sums | {"bad": bad, "gradient_norm": norm, "weight_norm": weights.norm()}
        numbers["step_norm"] = (self.probe.read() - weights).norm()
        return Step(before, update, outcomes, self.rates[0] * factor, Numbers(numbers))

    def _apply(self, held: Tensor, buffers: Sequence[Tensor]) -> None:
        """Make the update unless it is held; batch norm then forgets what it has seen.

        On a GPU nobody waits to know: the optimizer's kernels look at `held` themselves.
        """
        if not self.waits:
            self.optimizer.grad_scale, self.optimizer.found_inf = None, held.float()  # type: ignore[attr-defined]
            self.optimizer.step()
            for buffer, saved in zip(self.recognizer.buffers(), buffers, strict=True):
                buffer.copy_(torch.where(held, saved, buffer))
            if self.average is not None:
                self.average.update(self.recognizer, self.state.step, held)
        elif held:
            for buffer, saved in zip(self.recognizer.buffers(), buffers, strict=True):
                buffer.copy_(saved)
        else:
            self.optimizer.step()
            if self.average is not None:
                self.average.update(self.recognizer, self.state.step)

    # --- what updates gave ------------------------------------------------------------------

    def _wishes(self) -> dict[str, bool]:
        """What this rank wants all of them to do after this update."""
        now = time.monotonic()
        old = now - self.saved_at > 60 * self.checkpoint_minutes
        over = is_main() and now > self.ends_at
        return {"stop": bool(self.interrupt) or over, "save": is_main() and old}

    def _look(self, lag: int = 0) -> None:
        """Look at what updates gave, but for the last `lag`, which the device may still work at."""
        while len(self.launched) > lag:
            step, total, seconds = self.launched.popleft()
            numbers, before = step.numbers.read(), step.before
            audio = numbers["samples"] / self.recognizer.features.sample_rate
            metrics = step.metrics(numbers) | {"time/audio_seconds_per_second": audio / seconds}
            self.tracker.trained(
                before.step + 1,
                metrics,
                (before.epoch + 1, self.epochs),
                (before.batch + 1, total),
            )
            self.stopping |= numbers["stop"] > 0
            self.saving |= numbers["save"] > 0
            if numbers["bad"]:
                self._held(step)
            else:
                self.state.skipped = 0
            if numbers["unreadable"]:
                self.mishaps.unreadable(self.state, step, self.tracker.line)
            self._watch(before.step + 1, metrics, step)

    def _held(self, step: Step) -> None:
        """An update was not made, because its loss or gradient is not finite."""
        try:
            self.mishaps.non_finite(self.state, step, self.tracker.line)
        except TooMuchError:
            if self.mishaps.stops:  # nothing was made since, so this is where weights stand
                before = step.before
                self.state = replace(
                    self.state, epoch=before.epoch, batch=before.batch, step=before.step
                )
                self.launched.clear()
            raise

    def _tell_of_parts(self, whole: int, parts: Sequence[int]) -> None:
        self.state.out_of_memory += 1
        self.tracker.line(
            f"update {self.state.step + 1}: out of memory on {whole} utterances, done in parts of "
            f"{' and '.join(map(str, parts))} (time {self.state.out_of_memory} in this run; the "
            "gradient is the same but for dropout's draws and batch norm, whose statistics are "
            "those of a part); a smaller data.batch_seconds avoids it"
        )

    def _watch(self, number: int, metrics: dict[str, float], step: Step) -> None:
        """Tell the user, once, if the model does not listen to the audio, and why that may be."""
        if self.health.watch(number, metrics) and not self.state.diagnosed:
            self.state.diagnosed = True
            features = self.recognizer.features(step.batches[0].waveforms.to(self.device))
            self.tracker.diagnosed(number, self.health.diagnose(number, features))

    # --- validation, checkpoints ------------------------------------------------------------

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
            self.tracker.validating(done, total)
            if self.interrupt:
                raise ScoringStoppedError

        try:
            report = self.validate(self.shipped, progress)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise ValueError(f"out of memory in a validation: {ADVICE}") from None
        self.mishaps.unheard(report, self.tracker.line)
        state, wer = self.state, report.words.rate
        better = wer < state.best_wer
        state.validated = state.step
        kept = sorted([*state.best, (wer, state.step)])[: self.checkpoints.keep_best]
        among_best, state.best = (wer, state.step) in kept, kept
        state.stale = 0 if better else state.stale + 1
        limit = self.schedule.patience
        state.plateaus += bool(limit and state.stale and state.stale % limit == 0)
        self.tracker.validated(state.step, state.epoch, report, better, self._at_the_end())
        if among_best:
            content = self.header | self._shipped_weights()
            self._try("weights", lambda: self.checkpoints.save_best(state.step, content, kept))
        self._checkpoint()

    def _checkpoint(self) -> None:
        """Save, or say that it failed: training goes on without, for the disk may be mended."""
        self.saving = False
        self.saved_at = time.monotonic()
        # What the checkpoint says is done must be on the curves, so these come first.
        self.saved = self._try("curves", self.tracker.flush) and self._try("checkpoint", self.save)
        if self.saved:
            self.saved_step = self.state.step

    def _try(self, what: str, write: Callable[[], None]) -> bool:
        try:
            write()
        except OSError as error:
            self.tracker.line(
                f"warning: after update {self.state.step} the {what} could not be written to "
                f"{self.folder} ({error.strerror or error}); the last checkpoint is as it was"
            )
            return False
        return True

    @property
    def shipped(self) -> Recognizer:
        """The recogniser that is validated and shipped: the averaged one, if there is one."""
        return self.recognizer if self.average is None else self.average.module

    def _shipped_weights(self) -> dict[str, Any]:
        return {"weights": self.shipped.state_dict()}

    def save(self) -> None:
        """Write `last.pt`: like `best.pt` the weights to use, and all that a resume needs.

        Raises:
            OSError: the disk is full, or the like.
        """
        training = {
            "state": asdict(self.state),
            "weights": self.recognizer.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        content = self.header | self._shipped_weights() | {"training": training}
        self.checkpoints.save(self.state.step, content)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint that `save` wrote."""
        training = checkpoint["training"]
        self.state = TrainState(**training["state"])
        self.saved_step = self.state.step
        self.recognizer.load_state_dict(training["weights"])
        self.optimizer.load_state_dict(training["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(checkpoint["weights"])


def _begin_momentum(optimizer: Optimizer) -> None:
    """Momentum from zero, which gives the same first step.

    Torch's fused SGD begins it with whatever memory holds if its first update is held back.
    """
    for group in optimizer.param_groups:
        if isinstance(optimizer, torch.optim.SGD) and group["momentum"] and not group["dampening"]:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
