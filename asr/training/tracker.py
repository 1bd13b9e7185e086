"""The tracker: the same numbers to TensorBoard, metrics.jsonl, a bar and one grep-able line."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

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
from torch.utils.tensorboard import SummaryWriter

from asr.scoring.score import Report, Scored


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
        _cut_back(self.metrics_path, step, validated)
        self._metrics = self.metrics_path.open("a", encoding="utf-8", buffering=1)
        self._board = SummaryWriter(str(folder), purge_step=step + 1)
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
        """Put all curves on disk: a kill from here on loses none of them."""
        self._board.flush()

    def close(self) -> None:
        """Write out what is buffered and take the bars away."""
        self._progress.stop()
        self._metrics.close()
        self._board.close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics.jsonl, and a point on each curve."""
        line = {k: v if math.isfinite(v) else None for k, v in values.items()}  # JSON has no NaN
        self._metrics.write(json.dumps({"step": step} | line) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def trained(
        self, step: int, metrics: Mapping[str, float], epoch: str, done: int, total: int
    ) -> None:
        """What one update gave; it is number `done` of the `total` of an epoch."""
        self.scalars(step, metrics)
        speed = metrics["time/audio_seconds_per_second"]
        self.progress(epoch, done, total, f"loss {metrics['train/loss']:.3f}  {speed:.0f} s/s")
        if self.log_every and step % self.log_every == 0:
            numbers = " ".join(f"{k.split('/')[1]}={v:.4g}" for k, v in metrics.items())
            self.line(f"train {epoch.replace(' ', '=')} step={step} {numbers}")

    def validated(self, step: int, epoch: int, report: Report, better: bool) -> None:
        """What a validation gave, and a fixed handful of its utterances."""
        metrics = {
            "validation/loss": report.loss,
            "validation/wer": report.words.rate,
            "validation/cer": report.characters.rate,
            "time/validation_seconds": report.compute_seconds,
        }
        self.scalars(step, metrics)
        total = len(report.utterances)
        places = np.linspace(0, total - 1, min(self.num_pairs, total)).astype(int)
        rows = "".join(_row(report.utterances[i]) for i in places)
        table = "| utterance | reference | hypothesis | errors |\n|---|---|---|---|\n" + rows
        self._board.add_text("validation/pairs", table, step)
        self.line(
            f"validation epoch={epoch} step={step} loss={report.loss:.4f} {report.words.kaldi()} "
            f"CER {100 * report.characters.rate:.2f}{' best' if better else ''}"
        )

    def diagnosed(self, step: int, text: str) -> None:
        """What is wrong with a run that learns nothing."""
        self._board.add_text("health", text.replace("\n", "\n\n"), step)
        self.line(f"health    {text}")

    def history(self) -> list[dict[str, float | None]]:
        """What `trained` wrote so far, also before a resume."""
        lines = map(json.loads, self.metrics_path.read_text(encoding="utf-8").splitlines())
        return [fields for fields in lines if "train/loss" in fields]

    def line(self, text: str) -> None:
        """One line on the terminal, above the bars."""
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


def _cut_back(path: Path, step: int, validated: int) -> None:
    """Keep the lines up to a step; a line that a kill left half-written goes as well.

    validated: the step of the last validation that counts; one that is newer will be repeated.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            fields = json.loads(line)
            if 0 < fields["step"] <= (validated if "validation/wer" in fields else step):
                kept.append(line)
        except (ValueError, KeyError):
            break
    temporary = path.with_name(path.name + ".part")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
