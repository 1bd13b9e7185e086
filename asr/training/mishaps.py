"""What may go wrong with an update, and when it is too much: files, and numbers that are none."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from asr.core.distributed import exchange
from asr.data.batch import Batch
from asr.scoring.score import Report
from asr.training.measure import Step
from asr.training.state import TrainState

_REMEDY = (
    "Look at the disk, or check the corpus with `python -m asr.check`; the same command goes on "
    "from here"
)
_NAMED = 5  # unreadable utterances of an update that are named on the terminal


class TooMuchError(ValueError):
    """The run stops; the last good state is to be saved first."""


class Mishaps:
    """Counts what is skipped, names it, and stops a run in which it is more than it may be.

    on_non_finite: "skip" makes no update where a loss or gradient is not finite and goes on,
    "stop" ends the run before it. max_skipped: such updates in a row before `skip` stops as well.
    max_unreadable: share of the utterances that may be unreadable. size: utterances of an epoch.
    """

    def __init__(
        self, *, on_non_finite: str, max_skipped: int, max_unreadable: float, size: int
    ) -> None:
        if on_non_finite not in ("skip", "stop"):
            raise ValueError(f"trainer.on_non_finite={on_non_finite!r}: choose skip or stop")
        if max_skipped < 0 or not 0 <= max_unreadable <= 1:
            raise ValueError(
                f"trainer.max_skipped={max_skipped} must be at least 0, "
                f"data.max_unreadable={max_unreadable} a share between 0 and 1"
            )
        self.stops = on_non_finite == "stop"
        self.max_skipped, self.max_unreadable, self.size = max_skipped, max_unreadable, size

    def unreadable(self, state: TrainState, step: Step, say: Callable[[str], None]) -> None:
        """Count an update's utterances that could not be read, on whatever rank, and name them.

        Raises:
            TooMuchError: they are more than the share that may be.
        """
        found = [why for batch in step.batches for _, why in batch.unreadable]
        messages = [why for rank in exchange(found) for why in rank]
        for why in messages:
            reason = reason_of(why)
            state.unreadable[reason] = state.unreadable.get(reason, 0) + 1
        more = f"\n  and {len(messages) - _NAMED} more" if len(messages) > _NAMED else ""
        shown = "".join(f"\n  {message}" for message in messages[:_NAMED])
        say(f"update {step.before.step + 1} goes without {len(messages)}:{shown}{more}")
        epoch = step.before.epoch
        before = state.lost_in_epoch[1] if state.lost_in_epoch[0] == epoch else 0
        state.lost_in_epoch = (epoch, before + len(messages))
        if before + len(messages) > self.max_unreadable * self.size:
            raise TooMuchError(
                f"{before + len(messages)} utterances of this epoch could not be read "
                f"({_counted(state.unreadable)} so far), more than data.max_unreadable="
                f"{self.max_unreadable:g} of {self.size}; the last: {messages[-1]}. {_REMEDY}"
            )

    def unheard(self, report: Report, say: Callable[[str], None]) -> None:
        """Name the utterances of a validation that could not be read.

        Raises:
            TooMuchError: they are more than the share that may be, so that its result means little.
        """
        if not report.unreadable:
            return
        counts: dict[str, int] = {}
        for why in report.unreadable:
            counts[reason_of(why)] = counts.get(reason_of(why), 0) + 1
        about = (
            f"{len(report.unreadable)} utterances of {report.name} could not be read "
            f"({_counted(counts)}), such as {report.unreadable[0]}"
        )
        if len(report.unreadable) > self.max_unreadable * len(report.utterances):
            raise TooMuchError(
                f"{about}, more than data.max_unreadable={self.max_unreadable:g} of "
                f"{len(report.utterances)}. {_REMEDY}"
            )
        say(f"validation: {about}; they count as not heard at all")

    def non_finite(self, state: TrainState, step: Step, say: Callable[[str], None]) -> None:
        """Name the utterances of an update that was not made.

        Raises:
            TooMuchError: the run is not to go on.
        """
        state.skipped += 1
        names = exchange([_names(step.batches), _culprits(step)])
        every, bad = (", ".join(n for rank in names for n in rank[i]) for i in (0, 1))
        what = f"the loss of {bad} is" if bad else "the gradient is"
        why = f"{what} not finite (batch: {every})"
        if self.stops:
            raise TooMuchError(
                f"update {step.before.step + 1}: {why}. The run stops before it, as "
                "trainer.on_non_finite=stop wants; "
                "with skip the same command leaves it out and goes on. Or lower optimizer.lr, "
                "raise schedule.warmup_steps, or look at the utterances named"
            )
        say(f"update {step.before.step + 1} skipped: {why}")
        if state.skipped > self.max_skipped:
            raise TooMuchError(
                f"{state.skipped} updates in a row had no finite loss or gradient, the last: "
                f"{why}. The last checkpoint holds the last good state. Lower optimizer.lr, "
                "raise schedule.warmup_steps, or look at the utterances named above"
            )


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {why}" for why, count in sorted(reasons.items()))


def reason_of(message: str) -> str:
    """The reason in `utterance NAME: PATH: reason: figures; how to mend it`, to count by."""
    why = message.split(": ", 2)[-1]
    return re.split(r"[:;(,]|( is)? \d", why, maxsplit=1)[0].strip() or "unknown"


def _names(batches: Sequence[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.ids]


def _culprits(step: Step) -> list[str]:
    """Whose audio is not finite; else whose loss, though batch norm carries it to all."""
    loud = [
        name
        for batch in step.batches
        for name, samples in zip(batch.ids, batch.waveforms.values, strict=False)
        if not samples.isfinite().all()
    ]
    return loud or [
        name
        for batch, outcome in zip(step.batches, step.outcomes, strict=True)
        for name, loss in zip(batch.ids, outcome.losses.tolist(), strict=False)
        if not math.isfinite(loss)
    ]
