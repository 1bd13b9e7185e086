"""The tracker: the same numbers to TensorBoard, metrics.jsonl and the terminal."""

import json
import math
import os
import re
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary

from asr.scoring.breakdown import by_length, by_speaker
from asr.scoring.score import Report, Scored
from asr.training.curves import Curves, Lines, Point
from asr.training.terminal import Terminal

_MOST_SPEAKERS = 20  # that have a curve each; more could not be told apart


class Board(Protocol):
    """What TensorBoard shows of a run beside curves; `asr.reporting.board` has it."""

    def begin(self) -> Sequence[Summary]:
        """Of a run that begins, over update 0."""

    def __call__(
        self, report: Report, *, step: int, best_wer: float, speed: float, last: bool
    ) -> Sequence[Summary]:
        """Of the validation after update `step`. speed: seconds of audio trained on in a second.

        last: whether the run ends with it.
        """


class _EmptyBoard(Board):
    def begin(self) -> Sequence[Summary]:
        return ()

    def __call__(self, report: Report, **_: object) -> Sequence[Summary]:
        return ()


class Tracker:
    """Everything a run tells. Resuming at a step forgets what was written after it.

    Timings stand under `time/`: they are all that may differ between a run and its repetition.

    log_every: updates between lines; 0 for none. num_pairs: utterances shown at each validation.
    best_wer: of the validations so far. board: what else is shown of each validation.
    """

    def __init__(
        self,
        folder: Path,
        step: int = 0,
        validated: int = 0,
        *,
        log_every: int = 0,
        num_pairs: int = 0,
        best_wer: float = math.inf,
        board: Board | None = None,
    ) -> None:
        self.best_wer, self.board = best_wer, board or _EmptyBoard()
        self.log_every, self.num_pairs = log_every, num_pairs
        folder.mkdir(parents=True, exist_ok=True)
        self.metrics_path = folder / "metrics.jsonl"
        last = _cut_back(self.metrics_path, step, validated)
        self._metrics = Lines(self.metrics_path)
        # A validation that began after the checkpoint stands over the same update as its last
        # training point: both are purged then, and the point is drawn again.
        again = [point for point in last if validated < step]
        self._curves = Curves(folder, purge_step=step + 1 if step and not again else step)
        if step == 0:  # what an earlier start without a checkpoint left is void
            self._curves.add(Point(0, {}, {}, self.board.begin()))
        for point in again:
            self._curves.add(point)
        self.terminal = Terminal()
        self._speeds: deque[float] = deque(maxlen=100)

    def __enter__(self) -> Self:
        self.terminal.open()
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
        """Write out what is buffered and take the living line away."""
        self.terminal.close()
        self._metrics.close()
        self._curves.close()

    def point(
        self,
        step: int,
        values: Mapping[str, float],
        texts: Mapping[str, str] | None = None,
        summaries: Sequence[Summary] = (),
    ) -> None:
        """One line of metrics.jsonl, and a point on each curve; the rest is for TensorBoard."""
        numbers = {k: v if math.isfinite(v) else None for k, v in values.items()}  # JSON has no NaN
        self._metrics.add(json.dumps({"step": step} | numbers))
        self._curves.add(Point(step, values, texts or {}, summaries))

    def trained(
        self,
        step: int,
        metrics: Mapping[str, float],
        epoch: tuple[int, int],
        update: tuple[int, int],
    ) -> None:
        """What one update gave. epoch, update: which of how many; updates are of the epoch."""
        self.point(step, metrics)
        self._speeds.append(metrics["time/audio_seconds_per_second"])
        if self.terminal.alive:
            self.terminal.trained(
                epoch,
                update,
                step=step,
                loss=metrics["train/loss"],
                best_wer=self.best_wer,
                speed=self._speeds[-1],
            )
        elif self.log_every and step % self.log_every == 0:
            numbers = " ".join(f"{k.split('/')[1]}={v:.4g}" for k, v in metrics.items())
            self.line(f"train epoch={epoch[0]}/{epoch[1]} step={step} {numbers}")

    def validated(self, step: int, epoch: int, report: Report, better: bool, last: bool) -> None:
        """What a validation gave, and a fixed handful of its utterances.

        last: whether the run ends with it.
        """
        self.best_wer = min(self.best_wer, report.words.rate)
        metrics = {
            "validation/loss": report.loss,
            "validation/loss_per_character": report.loss_per_character,
            "validation/wer": report.words.rate,
            "best_wer": self.best_wer,  # so named it is the first column that sweeps compare
            "validation/cer": report.characters.rate,
            "time/validation_seconds": report.compute_seconds,
        }
        metrics |= {f"wer_by_length/{k}": v.rate for k, v in by_length(report.utterances).items()}
        speakers = by_speaker(report.utterances)
        if len(speakers) <= _MOST_SPEAKERS:
            metrics |= {f"wer_by_speaker/{k}": v.rate for k, v in speakers.items()}
        total = len(report.utterances)
        places = np.linspace(0, total - 1, min(self.num_pairs, total)).astype(int)
        rows = "".join(_row(report.utterances[i]) for i in places)
        table = "| utterance | reference | hypothesis | errors |\n|---|---|---|---|\n" + rows
        speed = statistics.median(self._speeds) if self._speeds else math.nan
        shown = self.board(report, step=step, best_wer=self.best_wer, speed=speed, last=last)
        self.point(step, metrics, {"validation/pairs": table}, shown)
        self.line(
            f"validation epoch={epoch} step={step} loss={report.loss:.4f} {report.words.kaldi()} "
            f"CER {100 * report.characters.rate:.2f}{' best' if better else ''}"
        )
        if len(places):
            pair = report.utterances[places[len(places) // 2]]  # always the same, to see it mend
            self.terminal.pair(pair.reference, pair.hypothesis)

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
        """One line on the terminal."""
        self.terminal.line(text)

    def validating(self, done: int, total: int) -> None:
        """How many utterances of a validation are done."""
        self.terminal.validating(done, total)


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

    def point(self, *_: object) -> None: ...

    def trained(self, *_: object) -> None: ...

    def validated(self, *_: object) -> None: ...

    def diagnosed(self, *_: object) -> None: ...

    def history(self) -> list[dict[str, float | None]]:
        return []

    def line(self, text: str) -> None: ...

    def validating(self, *_: object) -> None: ...
