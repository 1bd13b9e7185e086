"""How much of a GPU does training use, and what does it wait for?

    python benchmarks/gpu.py --output DIR                      # about two and a half minutes
    python benchmarks/gpu.py --output DIR --sync-check --kernels   # where the host waits, what runs
    python benchmarks/gpu.py --output DIR --device cpu --small     # a rehearsal

It writes audio of its own, then lets the trainer itself (`Trainer.fit`, with its loader processes,
augmentation, curves and averages) train each model twice: on batches from the loader, and on
batches of noise of the same lengths that already lie on the GPU. Prints a table last, and keeps
everything in DIR/gpu.json after each part; a part that fails is named there and the others go on.

The audio hours of an hour count no padding. "GPU waits" is the share of time between the end of
one update's work on the GPU and the beginning of the next one's. The flop utilisation is that of
the synthetic run: matrix work (`flops.py`) by the rate of one large matrix product measured here.
"""

import argparse
import contextlib
import io
import json
import os
import shlex
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from flops import flop_counter
from hydra import compose, initialize_config_dir
from machine import about
from speech_like import durations, write_corpus

from asr.core.padded import Padded
from asr.data.batch import Batch
from asr.data.loader import TrainingData
from asr.data.plan import Plan
from asr.training.assemble import assemble
from asr.training.trainer import Trainer
from asr.wiring.command import CONFIGS
from asr.wiring.recognizer import choose_device
from asr.wiring.schema import register_schemas

MODELS = ["model=deepspeech2", "model=deepspeech2 model.layers=5 model.hidden_size=1024",
          "model=wav2letter"]  # fmt: skip
PRECISIONS = ("float32", "bfloat16")
GROWTH = (100, 400, 1600)  # seconds of audio in an update
RESIDENT = 6  # synthetic batches on the GPU, taken in turn


class Resident(Batch):
    """A batch that lies on the device, and on the CPU too, as the trainer wants it."""

    there: Batch

    def to(self, device: torch.device) -> Batch:
        """The copy that is there."""
        return self.there


def resident(data: TrainingData, plan: Plan, index: int, device: torch.device) -> list[Batch]:
    """Noise of the lengths that a planned update has, with its transcripts."""
    parts: list[Batch] = []
    samples = data.dataset.durations(plan.draws) * data.dataset.sample_rate
    for slots in plan.cut(index):
        lengths, draws = torch.from_numpy(samples[slots]).long(), [plan.draws[i] for i in slots]
        noise = [0.1 * torch.randn(int(n)) for n in lengths]
        texts = tuple(data.dataset.manifest[d.index].text for d in draws)
        tokens = [torch.tensor(data.dataset.tokenizer.encode(text)) for text in texts]
        batch = Batch(
            texts, Padded.stack(noise), Padded.stack(tokens), texts, torch.arange(len(noise))
        )
        parts.append(Resident(*batch))
        parts[-1].there = batch.to(device)
    return parts


class Feed:
    """Stands between the loader and the trainer, watches the clock, and ends the training.

    begin: called once the first `warm` updates are done and the device has come to rest.
    """

    def __init__(
        self, data: TrainingData, device: torch.device, seconds: float, warm: int,
        synthetic: list[list[Batch]] | None = None, begin: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.data, self.device, self.seconds, self.warm = data, device, seconds, warm
        self.synthetic, self.begin = synthetic, begin
        self.plan = data.plan
        self.waits: list[tuple[Any, Any]] = []
        self.audio, self.steps, self.wall = 0.0, 0, 0.0

    def updates(self, plan: Plan, *place: Any) -> Iterator[Sequence[Batch]]:
        """The updates of a plan, until time is over."""
        source = iter(cycle(self.synthetic) if self.synthetic else self.data.updates(plan, *place))
        for update in islice(source, self.warm):
            yield update
        rest(self.device)
        self.begin()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        while time.perf_counter() - began < self.seconds:
            end = self._now()
            update = next(source)
            self.waits.append((end, self._now()))
            self.audio += sum(int(b.waveforms.lengths.sum()) for b in update) / 16000
            self.steps += 1
            yield update
        rest(self.device)
        self.wall = time.perf_counter() - began

    def _now(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def figures(self) -> dict[str, float]:
        """What was seen, after the end."""
        waited = [
            b - a if isinstance(a, float) else a.elapsed_time(b) / 1000 for a, b in self.waits
        ]
        cuda = self.device.type == "cuda"
        return {
            "audio_hours_per_hour": self.audio / self.wall,
            "waits_share": sum(waited) / self.wall,
            "step_ms": 1000 * self.wall / self.steps,
            "steps": self.steps,
            "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if cuda else 0.0,
            "reserved_gb": torch.cuda.max_memory_reserved() / 1e9 if cuda else 0.0,
        }


def rest(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


class Bench:
    """What all parts share: corpus, device, options."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.device = choose_device(options.device, 1 if options.small else None)
        files, utterances = (8, 200) if options.small else (600, 20000)
        self.train, self.dev = write_corpus(
            folder / "audio", seconds=durations(files, seed=1), utterances=utterances
        )
        self.number = 0

    def trainer(self, model: str, precision: str, batch_seconds: float) -> Trainer:
        """As `asr.train` would build it."""
        self.number += 1
        overrides = [
            f"data.train=[{self.train}]", f"data.dev=[{self.dev}]", f"runs={self.folder}",
            f"trainer.precision={precision}", f"data.batch_seconds={batch_seconds}",
            "data.max_utterances=1000", f"data.workers={self.options.workers}",
            "data.sortagrad_epochs=0", "trainer.stuck_after=0", "trainer.log_every=0",
            *shlex.split(model),
        ]  # fmt: skip
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("train", overrides=overrides)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return assemble(config, f"bench{self.number}", self.device, lambda line: None)

    def synthetic(self, trainer: Trainer) -> list[list[Batch]]:
        """Updates of the trainer's own plan, as noise on the device."""
        plan = trainer.data.plan(0)
        return [resident(trainer.data, plan, i, self.device) for i in range(RESIDENT)[: len(plan)]]

    def fit(self, trainer: Trainer, **feed: Any) -> Feed:
        """Train until the feed ends."""
        data = trainer.data
        trainer.data = Feed(data, self.device, warm=self.options.warm, **feed)  # type: ignore[assignment]
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.fit()
        feed_, trainer.data, trainer.stopping = trainer.data, data, False
        return feed_  # type: ignore[return-value]

    def model(self, model: str, precision: str, peaks: dict[str, float]) -> dict[str, Any]:
        """A model from the loader and from the device's memory."""
        trainer = self.trainer(model, precision, self.options.batch_seconds)
        synthetic = self.synthetic(trainer)
        audio = sum(int(b.waveforms.lengths.sum()) for b in synthetic[0]) / 16000
        with flop_counter() as counted:
            trainer.train_step(synthetic[0], 0.0)
        flops = counted.get_total_flops() / audio
        inside = self.fit(trainer, seconds=self.options.seconds, synthetic=synthetic).figures()
        real = self.fit(trainer, seconds=self.options.seconds).figures()
        return {
            "parameters": trainer.recognizer.num_parameters,
            "real": real,
            "synthetic": inside,
            "of_synthetic": real["audio_hours_per_hour"] / inside["audio_hours_per_hour"],
            "gflop_per_audio_second": flops / 1e9,
            "flop_utilisation": flops * inside["audio_hours_per_hour"] / peaks[precision],
        }

    def growth(self, model: str, batch_seconds: float) -> dict[str, Any]:
        """Synthetic only: speed and memory by the size of an update."""
        trainer = self.trainer(model, "bfloat16", batch_seconds)
        feed = self.fit(
            trainer, seconds=self.options.seconds / 2, synthetic=self.synthetic(trainer)
        )
        return feed.figures()

    def peaks(self) -> dict[str, float]:
        """Flops per second of one large matrix product: float32 as cuDNN takes it (TF32), bf16."""
        size = 512 if self.options.small else 8192
        found = {}
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            a, b = (torch.randn(size, size, device=self.device, dtype=dtype) for _ in range(2))
            torch.backends.cuda.matmul.allow_tf32 = True
            for repeats in (2, 10):
                rest(self.device)
                began = time.perf_counter()
                for _ in range(repeats):
                    a @ b
                rest(self.device)
            found[name] = 10 * 2 * size**3 / (time.perf_counter() - began)
            torch.backends.cuda.matmul.allow_tf32 = False
        return found

    def sync_check(self, model: str) -> dict[str, int]:
        """Where in the program the host waits for the GPU, and how often in an update."""
        seen: Counter[str] = Counter()

        def note(message: Any, *_: Any) -> None:
            stack = traceback.extract_stack()[:-1]
            own = [f for f in stack if "/asr/" in f.filename]
            where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(own[-4:]))
            seen[f"{where} ({own[-1].line if own else ''}) {str(message)[:60]}"] += 1

        trainer = self.trainer(model, "bfloat16", self.options.batch_seconds)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = note
            watch = (lambda: torch.cuda.set_sync_debug_mode("warn")) if self.cuda else lambda: None
            feed = self.fit(trainer, seconds=1.0, begin=watch)
            if self.cuda:
                torch.cuda.set_sync_debug_mode("default")
        return {where: round(count / feed.steps, 2) for where, count in seen.most_common(20)}

    @property
    def cuda(self) -> bool:
        """Whether it is a GPU at all."""
        return self.device.type == "cuda"

    def kernels(self, model: str) -> str:
        """What runs, over three synthetic updates."""
        from torch.profiler import ProfilerActivity, profile

        trainer = self.trainer(model, "bfloat16", self.options.batch_seconds)
        synthetic = self.synthetic(trainer)
        for update in synthetic:
            trainer.train_step(update, 0.0)
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.cuda else [])]
        with profile(activities=kinds) as seen:
            for update in synthetic[:3]:
                trainer.train_step(update, 0.0)
            rest(self.device)
        by = "self_device_time_total" if self.cuda else "self_cpu_time_total"
        return str(seen.key_averages().table(sort_by=by, row_limit=14, max_name_column_width=60))


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """End what takes longer."""

    def over(*_: Any) -> None:
        raise TimeoutError(f"took longer than {seconds:.0f} seconds")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def parts(bench: Bench, models: list[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name and work of each part, the most telling first."""
    options = bench.options
    if options.sync_check or options.kernels:
        for model in models[:1]:
            if options.sync_check:
                yield f"waits|{model}", partial(bench.sync_check, model)
            if options.kernels:
                yield f"kernels|{model}", partial(bench.kernels, model)
        return
    peaks: dict[str, float] = {}
    yield "peaks", lambda: peaks.update(bench.peaks()) or peaks
    for precision in reversed(PRECISIONS):
        for model in models:
            yield f"model|{model}|{precision}", partial(bench.model, model, precision, peaks)
    for model in models:
        for seconds in GROWTH[: 1 if options.small else None]:
            yield f"growth|{model}|{seconds}", partial(bench.growth, model, seconds)


def table(found: dict[str, Any]) -> str:
    """The figures for people, as Markdown."""
    lines = ["| model | precision | audio h / h | on the GPU already | of that | GPU waits | MFU | "
             "ms an update | peak GB |", "| --- " * 9 + "|"]  # fmt: skip
    growth = ["| model, bfloat16 | seconds in an update | audio h / h | ms an update | peak GB |",
              "| --- " * 5 + "|"]  # fmt: skip
    rest_of_it = []
    for name, value in found.items():
        kind, *of = name.split("|")
        if "error" in value:
            rest_of_it.append(f"{name}: {value['error']}")
        elif kind == "model":
            real, inside = value["real"], value["synthetic"]
            lines.append(
                f"| {' | '.join(of)} | {real['audio_hours_per_hour']:,.0f} "
                f"| {inside['audio_hours_per_hour']:,.0f} | {100 * value['of_synthetic']:.0f} % "
                f"| {100 * real['waits_share']:.1f} % | {100 * value['flop_utilisation']:.1f} % "
                f"| {real['step_ms']:.1f} | {real['peak_gb']:.1f} |"
            )
        elif kind == "growth":
            growth.append(
                f"| {' | '.join(of)} | {value['audio_hours_per_hour']:,.0f} "
                f"| {value['step_ms']:.1f} | {value['peak_gb']:.1f} |"
            )
        elif kind == "waits":
            rest_of_it += [
                f"{name}, in an update:",
                *(f"  {n:6.2f}  {w}" for w, n in value.items()),
            ]
        elif kind == "kernels":
            rest_of_it += [name, value]
        else:
            rest_of_it.append(f"{name}: {value}")
    tables = [lines] * (len(lines) > 2) + [growth] * (len(growth) > 2)
    return "\n\n".join("\n".join(t) for t in [*tables, rest_of_it] if t)


def main() -> None:
    """Run the parts that there is time for, write after each, show all last."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of gpu.json and gpu.md")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="OVERRIDES")
    parser.add_argument("--batch-seconds", type=float, default=400)
    parser.add_argument("--workers", type=int, default=max(0, (os.cpu_count() or 1) - 1))
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--warm", type=int, default=6, help="updates before it")
    parser.add_argument("--limit", type=float, default=160, help="seconds of all parts")
    parser.add_argument("--part-limit", type=float, default=30, help="seconds of one")
    parser.add_argument("--small", action="store_true", help="a rehearsal")
    parser.add_argument("--sync-check", action="store_true", help="where the host waits, instead")
    parser.add_argument("--kernels", action="store_true", help="what runs on the GPU, instead")
    options = parser.parse_args()
    began = time.monotonic()
    register_schemas()
    options.output.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        for name, work in parts(bench, options.models):
            part = time.monotonic()
            try:
                with limit(min(options.part_limit, options.limit - (part - began))):
                    found[name] = work()
            except Exception as error:
                found[name] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
                traceback.print_exc()
            print(f"{time.monotonic() - began:6.1f} s  {name}", flush=True)
            gpu = torch.cuda.get_device_name() if bench.cuda else None
            text = json.dumps({"found": found, "gpu": gpu, "machine": about()}, indent=1)
            (options.output / "gpu.json").write_text(text + "\n", encoding="utf-8")
            (options.output / "gpu.md").write_text(table(found) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
