"""What an update gave: sums over its micro-batches and ranks, and what they mean."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from asr.core.distributed import add_up
from asr.data.batch import Batch
from asr.objective.base import Outcome
from asr.training.state import TrainState

_TERM = "term/"  # before the names of what a loss is made up of


def totals(
    outcomes: Sequence[Outcome], update: Sequence[Batch], wishes: Mapping[str, bool]
) -> dict[str, Tensor]:
    """Sums over an update's micro-batches on all ranks, () each, not waited for.

    wishes: what a rank would like all to do; the sum is what they agree on.
    """
    sums = {
        "nats": torch.stack([o.nats.detach() for o in outcomes]).sum(),
        "count": torch.stack([o.count for o in outcomes]).sum(),
    } | {k: torch.stack([o.metrics[k] for o in outcomes]).sum() for k in outcomes[0].metrics}
    for name in outcomes[0].terms:
        sums[_TERM + name] = torch.stack([o.terms[name] for o in outcomes]).sum()
    known: dict[str, int] = {
        "utterances": sum(len(b.ids) for b in update),
        "unreadable": sum(len(b.unreadable) for b in update),
        "samples": sum(int(b.waveforms.lengths.sum()) for b in update),
        "padded_samples": sum(b.waveforms.values.numel() for b in update),
        **wishes,
    }
    on_device = _stack(sums.values())
    on_host = torch.tensor(
        [float(number) for number in known.values()],
        dtype=on_device.dtype,
        pin_memory=on_device.is_cuda,  # else the copy would wait for all that went before
    ).to(on_device.device, non_blocking=True)
    vector = add_up(torch.cat([on_device, on_host]))
    return dict(zip([*sums, *known], vector.unbind(), strict=True))


def _stack(numbers: Iterable[Tensor]) -> Tensor:
    """In float64, where the device has it."""
    values = [value.detach() for value in numbers]
    exact = torch.float32 if values[0].device.type == "mps" else torch.float64
    return torch.stack([value.to(exact) for value in values])


class Numbers:
    """Numbers that travel from the device while it works on: reading waits for nothing newer."""

    def __init__(self, numbers: Mapping[str, Tensor]) -> None:
        self._names = list(numbers)
        self._values = _stack(numbers.values())
        self._arrival: torch.cuda.Event | None = None
        if self._values.is_cuda:
            stream = torch.cuda.current_stream(self._values.device)
            host = torch.empty_like(self._values, device="cpu", pin_memory=True)
            self._values = host.copy_(self._values, non_blocking=True)
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrival.record(stream)

    def read(self) -> dict[str, float]:
        """The numbers by their names."""
        if self._arrival is not None:
            self._arrival.synchronize()
        return dict(zip(self._names, self._values.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Step:
    """An update that was sent to the device, and that nobody has looked at yet.

    before: the state it began in. batches, outcomes: its micro-batches on this rank.
    learning_rate: that it was made with. numbers: what it gave, over all ranks.
    """

    before: TrainState
    batches: Sequence[Batch]
    outcomes: Sequence[Outcome]
    learning_rate: float
    numbers: Numbers

    def metrics(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """What the curves show of what was read: per token, and as shares."""
        frames, utterances = max(numbers["frames"], 1), max(numbers["utterances"], 1)
        tokens = max(numbers["count"], 1)
        terms = {k: v for k, v in numbers.items() if k.startswith(_TERM)}
        return {
            "train/loss": numbers["nats"] / tokens,
            **{f"train/{k.removeprefix(_TERM)}": v / tokens for k, v in terms.items()},
            "train/learning_rate": self.learning_rate,
            "train/gradient_norm": numbers["gradient_norm"],
            "train/relative_step": numbers["step_norm"] / numbers["weight_norm"],
            "train/weight_norm": numbers["weight_norm"],
            "train/blank_share": numbers["blanks"] / frames,
            "train/confident_share": numbers["confident"] / frames,
            "train/entropy": numbers["entropy"] / frames,
            "train/infeasible": numbers["infeasible"],
            "train/infeasible_share": numbers["infeasible"] / utterances,
            "train/padding_share": 1 - numbers["samples"] / numbers["padded_samples"],
        }
