"""Where the time of a training step goes: what each part of the model costs, forward and backward.

    python scripts/profile_step.py experiment=an4 model=wav2letter device=cpu threads=2

Takes the options of `asr.train`, trains a few updates in a folder that is thrown away, and prints
a table: milliseconds an update and shares. On a GPU the times are those of its kernels, and the
last line tells how much longer the step took.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from omegaconf import DictConfig

from asr.wiring.command import run_command

WARM, UPDATES = 2, 4
PART, GRADIENT = "part: ", "autograd::engine::evaluate_function: "


def main(config: DictConfig) -> None:
    """Build the trainer, watch some updates, print."""
    import torch
    from torch.profiler import ProfilerActivity, profile, record_function

    from asr.training.assemble import assemble
    from asr.wiring.recognizer import choose_device

    device = choose_device(config.device, config.threads)
    with tempfile.TemporaryDirectory() as folder:
        config.runs = folder
        trainer = assemble(config, "profile", device, lambda line: None)
        _mark(trainer)
        plan = trainer.data.plan(1)
        updates = iter(trainer.data.updates(plan[: WARM + UPDATES]))
        for _ in range(WARM):
            trainer.train_step(next(updates), 0.0).numbers.read()
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] * (device.type == "cuda"))]
        with profile(activities=kinds, acc_events=True) as seen:
            began, steps = time.perf_counter(), min(UPDATES, len(plan) - WARM)
            for _ in range(steps):
                with record_function(PART + "load"):
                    update = next(updates)
                with record_function(PART + "update"):
                    trainer.train_step(update, 0.0).numbers.read()
            whole = 1000 * (time.perf_counter() - began) / steps
    found = _parts(seen.events(), device.type == "cuda")
    total = sum(found.values()) / steps / 1000
    print(f"{torch.get_num_threads()} threads, {device}: {steps} updates, {whole:.1f} ms each")
    for name, microseconds in sorted(found.items(), key=lambda item: -item[1]):
        ms = microseconds / steps / 1000
        print(f"  {name:36} {ms:9.2f} ms  {100 * ms / total:5.1f} %")
    print(f"  {'between and beside them':36} {max(0.0, whole - total):9.2f} ms")


def _mark(trainer: Any) -> None:
    """Have each part say when it begins and ends."""
    from torch.profiler import record_function

    def wrap(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def marked(*args: Any, **kwargs: Any) -> Any:
            with record_function(PART + name):
                return call(*args, **kwargs)

        return marked

    trainer.gradients.objective = wrap("loss", trainer.gradients.objective)
    recognizer = trainer.recognizer
    recognizer.forward = wrap("softmax", recognizer.forward)
    recognizer.features.forward = wrap("features", recognizer.features.forward)
    recognizer.spec_augment.forward = wrap("SpecAugment", recognizer.spec_augment.forward)
    recognizer.model.forward = wrap("model, between layers", recognizer.model.forward)
    for module in recognizer.model.modules():
        if not list(module.children()) or type(module).__name__ in ("MaskedConv", "Recurrence"):
            module.forward = wrap(type(module).__name__, module.forward)


def _parts(events: Any, gpu: bool) -> dict[str, float]:
    """Microseconds of each part, of events that know their parents.

    Backward, an operator has the number of the forward one that it is the derivative of.
    """
    found: dict[str, float] = defaultdict(float)
    forward: dict[int, str] = {}
    for event in events:
        # What needs no gradient has the number of the next that does: the last one counts.
        if event.sequence_nr >= 0 and not any(e.name.startswith(GRADIENT) for e in _chain(event)):
            forward[event.sequence_nr] = next(_above(event, PART), "")
    for event in events:
        spent = event.self_device_time_total if gpu else event.self_cpu_time_total
        if event.name.startswith("ProfilerStep") or not spent:
            continue
        if gradient := next((e for e in _chain(event) if e.name.startswith(GRADIENT)), None):
            name = forward.get(gradient.sequence_nr) or "sums of gradients"
            found[f"{name}, backward"] += spent
        else:
            found[next(_above(event, PART), "other")] += spent
    return found


def _chain(event: Any) -> Iterator[Any]:
    while event is not None:
        yield event
        event = event.cpu_parent


def _above(event: Any, prefix: str) -> Iterator[str]:
    return (e.name.removeprefix(prefix) for e in _chain(event) if e.name.startswith(prefix))


if __name__ == "__main__":
    run_command("train", main)
