"""The tracker: the same numbers to TensorBoard, metrics.jsonl, a bar and one grep-able line."""

import json
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from asr.scoring.score import Report, Scored
from asr.training.curves import Curves, Lines, Point


class Tracker:
    """Everything a run tells. Resuming at a step forgets what was written after it.

    Timings stand under `time/`: they are all that may differ between a run and its repetition.

    log_every: updates between lines; 0 for none. num_pairs: utterances shown at each validation.
    """

    def __init__(
        self,
        folder: Path,
        step: int = 0,
        validated: int = 0,
        *,
        log_every: int = 0,
        num_pairs: int = 0,
    ) -> None:
        self.log_every, self.num_pairs = log_every, num_pairs
        folder.mkdir(parents=True, exist_ok=True)
        self.metrics_path = folder / "metrics.jsonl"
        last = _cut_back(self.metrics_path, step, validated)
        self._metrics = Lines(self.metrics_path)
        # A validation that began after the checkpoint stands over the same update as its last
        # training point: both are purged then, and the point is drawn again.
        again = [point for point in last if validated < step]
        self._curves = Curves(folder, purge_step=step if again else step + 1)
        for point in again:
            self._curves.add(point)
        self.console = Console(soft_wrap=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("[cyan]{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def flush(self) -> None:
        """Put all lines and curves on disk: a kill from here on loses none of them.

        Raises:
            OSError: the disk is full, or the like; nothing is lost while the run goes on.
        """
        self._metrics.flush()
        self._curves.flush()

    def close(self) -> None:
        """Write out what is buffered and take the bars away."""
        self._progress.stop()
        self._metrics.close()
        self._curves.close()

    def point(
        self, step: int, values: Mapping[str, float], texts: Mapping[str, str] | None = None
    ) -> None:
        """One line of metrics.jsonl, and a point on each curve; texts are for TensorBoard."""
        numbers = {k: v if math.isfinite(v) else None for k, v in values.items()}  # JSON has no NaN
        self._metrics.add(json.dumps({"step": step} | numbers))
        self._curves.add(Point(step, values, texts or {}))

    def trained(
        self, step: int, metrics: Mapping[str, float], epoch: str, done: int, total: int
    ) -> None:
        """What one update gave; it is number `done` of the `total` of an epoch."""
        self.point(step, metrics)
        speed = metrics["time/audio_seconds_per_second"]
        self.progress(epoch, done, total, f"loss {metrics['train/loss']:.3f}  {speed:.0f} s/s")
        if self.log_every and step % self.log_every == 0:
            numbers = " ".join(f"{k.split('/')[1]}={v:.4g}" for k, v in metrics.items())
            self.line(f"train {epoch.replace(' ', '=')} step={step} {numbers}")

    def validated(self, step: int, epoch: int, report: Report, better: bool) -> None:
        """What a validation gave, and a fixed handful of its utterances."""
        metrics = {
            "validation/loss": report.loss,
            "validation/loss_per_character": report.loss_per_character,
            "validation/wer": report.words.rate,
            "validation/cer": report.characters.rate,
            "time/validation_seconds": report.compute_seconds,
        }
        total = len(report.utterances)
        places = np.linspace(0, total - 1, min(self.num_pairs, total)).astype(int)
        rows = "".join(_row(report.utterances[i]) for i in places)
        table = "| utterance | reference | hypothesis | errors |\n|---|---|---|---|\n" + rows
        self.point(step, metrics, {"validation/pairs": table})
        self.line(
            f"validation epoch={epoch} step={step} loss={report.loss:.4f} {report.words.kaldi()} "
            f"CER {100 * report.characters.rate:.2f}{' best' if better else ''}"
        )

    def diagnosed(self, step: int, text: str) -> None:
        """What is wrong with a run that learns nothing."""
        self._metrics.add(json.dumps({"step": step, "health": text}))
        self._curves.add(Point(step, {}, {"health": _paragraphs(text)}))
        self.line(f"health    {text}")

    def history(self) -> list[dict[str, float | None]]:
        """What `trained` wrote so far, also before a resume."""
        lines = map(json.loads, self.metrics_path.read_text(encoding="utf-8").splitlines())
        return [fields for fields in lines if "train/loss" in fields]

    def line(self, text: str) -> None:
        """One line on the terminal, above the bars."""
        with suppress(OSError):  # a log on a full disk, a terminal that is gone: train on
            self.console.print(text, markup=False)

    def progress(self, name: str, done: int, total: int, note: str = "") -> None:
        """Move the bar called `name`; it goes when it is full."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, note=note)
        self._progress.update(self._tasks[name], completed=done, total=total, note=note)
        if done >= total:
            self._progress.remove_task(self._tasks.pop(name))


def _row(utterance: Scored) -> str:
    texts = (utterance.id, utterance.reference, utterance.hypothesis)
    cells = [re.sub(r"([\\|*_`<])", r"\\\1", text) for text in texts]  # Markdown's own signs
    return f"| {' | '.join(cells)} | {utterance.words.errors} |\n"


def _paragraphs(text: str) -> str:
    """Lines of their own in Markdown."""
    return text.replace("\n", "\n\n")


def _cut_back(path: Path, step: int, validated: int) -> list[Point]:
    """Keep the lines up to a step; a line that a kill left half-written goes as well.

    validated: the step of the last validation that counts; one that is newer will be repeated.

    Returns:
        What is kept of the last step.
    """
    if not path.exists():
        return []
    kept: list[bytes] = []
    last: list[Point] = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            fields = json.loads(line)
            number = fields.pop("step")
            if 0 < number <= (validated if "validation/wer" in fields else step):
                kept.append(line)
                if number == step:
                    last.append(_point(step, fields))
        except (ValueError, LookupError, TypeError, AttributeError):
            break  # half a line, or what a failing power supply made of it
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(b"".join(kept))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return last


def _point(step: int, fields: Mapping[str, Any]) -> Point:
    """A line of metrics.jsonl as a point of the curves."""
    texts = {k: _paragraphs(v) for k, v in fields.items() if isinstance(v, str)}
    numbers = {k: math.nan if v is None else v for k, v in fields.items() if k not in texts}
    return Point(step, numbers, texts)


class Bystander(Tracker):
    """The tracker of a rank that writes nothing and says nothing."""

    def __init__(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def close(self) -> None: ...

    def flush(self) -> None: ...

    def point(self, step: int, values: Mapping[str, float], texts: Any = None) -> None: ...

    def trained(self, *_: object) -> None: ...

    def validated(self, *_: object) -> None: ...

    def diagnosed(self, *_: object) -> None: ...

    def history(self) -> list[dict[str, float | None]]:
        return []

    def line(self, text: str) -> None: ...

    def progress(self, *_: object) -> None: ...
