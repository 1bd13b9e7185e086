"""How near is a training step on a CPU to its arithmetic?

    python benchmarks/step.py                                   # all cores, writes results/step.*
    python benchmarks/step.py --threads 1 --clock cpu           # on a busy machine
    python benchmarks/step.py --result step_conformer model=conformer objective=cr_ctc
    python benchmarks/step.py model=wav2letter --no-write

16 utterances of 4 to 6 seconds, `deepspeech2` with 3 x 512 LSTM units; any options of `asr.train`.
The matrix work of a step (`flops.py`) at the rate of one large product, measured between the
steps, is the time that the arithmetic takes at least: the bound. That of the recurrences is also
given with their products at the sizes that they really have, 16 rows at a time where one frame
follows another: no LSTM is faster than those. Rounds are interleaved, figures medians of their
ratios.
"""

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from flops import flop_counter
from hydra import compose, initialize_config_dir
from machine import write_result
from packed_reference import PackedStep
from speech_like import write_corpus
from torch import nn

from asr.core.padded import Padded
from asr.training.assemble import assemble
from asr.training.trainer import Trainer
from asr.wiring.command import CONFIGS
from asr.wiring.schema import register_schemas

LARGE = 1024


def build(folder: Path, overrides: Sequence[str]) -> Trainer:
    """The program's own trainer, on 16 utterances of 4 to 6 seconds."""
    seconds = [round(4 + 2 * i / 15, 3) for i in range(16)]
    train, dev = write_corpus(folder / "audio", seconds=seconds, utterances=16)
    register_schemas()
    if not any(override.startswith("model=") for override in overrides):
        overrides = ["model.hidden_size=512", *overrides]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=[
            f"data.train=[{train}]", f"data.dev=[{dev}]", f"runs={folder}", "device=cpu",
            "augment=[]", "data.max_utterances=16", "trainer.log_every=0",
            *overrides,
        ])  # fmt: skip
    return assemble(config, "step", torch.device("cpu"), lambda line: None)


def recurrent_stack(trainer: Trainer, frames: Padded) -> tuple[Callable[[], None], Any]:
    """Forward and backward of the recurrences alone, and the products that they are made of."""
    layers: list[Any] = list(trainer.recognizer.model.recurrences)  # type: ignore[arg-type, union-attr]
    size = layers[0].ahead.input_size
    x = Padded(torch.randn(*frames.values.shape[:2], size, requires_grad=True), frames.lengths)

    def run() -> None:
        y = x
        for layer in layers:
            y = layer(y)
        y.values.backward(y.values.detach())

    (batch, count), products = frames.values.shape[:2], []
    for layer in layers:
        for cell in filter(None, (layer.ahead, layer.back)):
            products += _products(cell, batch, count)
    return run, lambda: [product() for product in products]


def _products(cell: nn.LSTM, batch: int, frames: int) -> list[Callable[[], Any]]:
    from_x, from_h = cell.weight_ih_l0.detach(), cell.weight_hh_l0.detach()
    x, h = (
        torch.randn(batch * frames, from_x.shape[1]),
        torch.randn(batch * frames, cell.hidden_size),
    )
    gates, packed = torch.randn(batch * frames, len(from_h)), from_h.t().contiguous()

    def forth() -> None:  # each frame waits for the one before
        for t in range(0, len(h), batch):
            torch.mm(h[t : t + batch], packed)

    def back() -> None:
        for t in range(0, len(h), batch):
            torch.mm(gates[t : t + batch], from_h)

    return [lambda: x @ from_x.t(), lambda: gates @ from_x, lambda: gates.t() @ x,
            lambda: gates.t() @ h, forth, back]  # fmt: skip


def reference(trainer: Trainer, batch: Any, hidden: int) -> Callable[[], None]:
    """The plain step on the same batch, features included."""
    recognizer = trainer.recognizer
    step = PackedStep(recognizer.features.num_features, len(recognizer.tokenizer), hidden)

    def run() -> None:
        with torch.no_grad():
            features = recognizer.features(batch.waveforms)
        step(features.values, features.lengths, batch.tokens.values, batch.tokens.lengths)

    return run


def main() -> None:
    """Measure in turn, print, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("overrides", nargs="*", help="options of asr.train")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--result", default="step", help="name of the files that are written")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        trainer = build(Path(folder), options.overrides)
        (batch,) = next(iter(trainer.data.updates(trainer.data.plan(0))))
    with flop_counter() as counted:
        trainer.train_step([batch], 0.0)
    flops = counted.get_total_flops()
    a, b = torch.randn(LARGE, LARGE), torch.randn(LARGE, LARGE)
    works: dict[str, Callable[[], Any]] = {
        "large product": lambda: [a @ b for _ in range(20)],
        "step": lambda: trainer.train_step([batch], 0.0).numbers.read(),
    }
    if hasattr(trainer.recognizer.model, "recurrences"):
        frames = trainer.recognizer.eval()(batch.waveforms)
        works["recurrences"], works["their products"] = recurrent_stack(trainer, frames)
        with flop_counter() as counted:
            works["recurrences"]()
        recurrent = counted.get_total_flops()
        hidden = trainer.recognizer.model.recurrences[0].ahead.hidden_size  # type: ignore[index, union-attr]
        works["packed reference"] = reference(trainer, batch, hidden)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(options.rounds + 1):
        for name, work in works.items():
            began = clock()
            work()
            if round_:  # the first warms up
                seconds[name].append(clock() - began)
    rates = [20 * 2 * LARGE**3 / s for s in seconds["large product"]]

    def median(values: Any) -> float:
        return round(statistics.median(values), 3)

    bounds = [flops / rate for rate in rates]
    found = {
        "gflops_of_large_product": round(statistics.median(rates) / 1e9, 1),
        "gflop_of_step": round(flops / 1e9, 1),
        "step_of_bound": median(b / s for b, s in zip(bounds, seconds["step"], strict=True)),
    }
    if "recurrences" in works:
        own = seconds["recurrences"]
        found |= {
            "gflop_of_recurrences": round(recurrent / 1e9, 1),
            "recurrences_of_bound": median(
                recurrent / rate / s for rate, s in zip(rates, own, strict=True)
            ),
            "recurrences_of_their_products": median(
                p / s for p, s in zip(seconds["their products"], own, strict=True)
            ),
            "times_as_fast_as_packed": median(
                p / s for p, s in zip(seconds["packed reference"], seconds["step"], strict=True)
            ),
        }  # fmt: skip
    found |= {f"ms_{name.replace(' ', '_')}": round(1000 * statistics.median(s), 1)
              for name, s in seconds.items()}  # fmt: skip
    found |= {"threads": options.threads, "rounds": options.rounds, "clock": options.clock,
              "overrides": options.overrides}  # fmt: skip
    if options.no_write:
        print(json.dumps(found, indent=1))
    else:
        write_result(options.result, **found)


if __name__ == "__main__":
    main()
