"""A report on disk and on the terminal: hypotheses.jsonl, summary.json, Kaldi's line."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.scoring.error_rate import ErrorCounts
from asr.scoring.score import Report


def write_report(report: Report, folder: Path, **about: Any) -> None:
    """Write `hypotheses.jsonl` (an utterance a line) and `summary.json` into a folder.

    about: what else the summary should say (checkpoint, decoder, ...).
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "hypotheses.jsonl").open("w", encoding="utf-8") as file:
        for utterance in report.utterances:
            file.write(json.dumps(asdict(utterance), ensure_ascii=False) + "\n")
    low, high = report.interval
    summary = about | {
        "manifest": report.name,
        "utterances": len(report.utterances),
        "hours": report.audio_seconds / 3600,
        "wer": report.words.rate,
        "wer_interval_95": [low, high],
        "cer": report.characters.rate,
        "words": _counts(report.words),
        "characters": _counts(report.characters),
        "loss": report.loss,
        "outside_alphabet": report.outside,
        "real_time_factor": report.real_time_factor,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def report_lines(report: Report) -> list[str]:
    """What the terminal shows of a report."""
    low, high = report.interval
    lines = [
        f"{report.name}: {len(report.utterances)} utterances, {report.audio_seconds / 3600:.2f} h",
        f"  {report.words.kaldi()}   95 % interval {100 * low:.2f} - {100 * high:.2f}",
        f"  {report.characters.kaldi('CER')}",
        f"  loss {report.loss:.4f} nats per token, real-time factor {report.real_time_factor:.4f}",
    ]
    if report.outside:
        lines.append(
            f"  {report.outside} references hold characters outside the alphabet: "
            "scored, but not part of the loss"
        )
    return lines


def _counts(counts: ErrorCounts) -> dict[str, int]:
    return asdict(counts) | {"errors": counts.errors}
