"""A report on disk and on the terminal: hypotheses.jsonl, summary.json, Kaldi's line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.scoring.error_rate import ErrorCounts
from asr.scoring.interval import paired_interval
from asr.scoring.score import Report


def report_folder(report: Report, folder: Path) -> Path:
    """Where a report goes: named by its manifest, and by its decoder unless that is greedy."""
    name = report.name.replace("/", "-")
    return folder / (name if report.decoder == "greedy" else f"{name}-{report.decoder}")


def write_reports(
    reports: Mapping[str, Report],
    output: Path,
    taken: set[Path],
    checkpoint: str,
    options: dict[str, Any],
    manifest: str,
) -> Iterator[Path]:
    """Write a data set's reports under a folder, none over another's.

    taken: folders written before, to which these are added. options: of a decoder that is not
    greedy. checkpoint, manifest: the files that were read.

    Yields:
        The folder of each.
    """
    for report in reports.values():
        folder = report_folder(report, output)
        while folder in taken:  # two manifests of one name
            folder = folder.with_name(folder.name + "-again")
        taken.add(folder)
        own = {} if report.decoder == "greedy" else {"options": options}
        write_report(report, folder, checkpoint=checkpoint, manifest_file=manifest, **own)
        yield folder


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
        "decoder": report.decoder,
        "manifest": report.name,
        "utterances": len(report.utterances),
        "hours": report.audio_seconds / 3600,
        "wer": report.words.rate,
        "wer_interval_95": [low, high],
        "cer": report.characters.rate,
        "words": _counts(report.words),
        "characters": _counts(report.characters),
        "loss": report.loss,
        "loss_per_character": report.loss_per_character,
        "outside_alphabet": report.outside,
        "real_time_factor": report.real_time_factor,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def report_lines(reports: Sequence[Report]) -> list[str]:
    """What the terminal shows of one data set's reports: one decoder below the other."""
    first = reports[0]
    lines = [
        f"{first.name}: {len(first.utterances)} utterances, {first.audio_seconds / 3600:.2f} h, "
        f"loss {first.loss:.4f} nats per token, {first.loss_per_character:.4f} per character"
    ]
    for report in reports:
        low, high = report.interval
        lines += [
            f"  {report.decoder:<6} {report.words.kaldi()}   95 % interval "
            f"{100 * low:.2f} - {100 * high:.2f}",
            f"         {report.characters.kaldi('CER')}, real-time factor "
            f"{report.real_time_factor:.4f}",
        ]
    for report in reports[1:]:
        low, high = gain_interval(report, first)
        difference = 100 * (report.words.rate - first.words.rate)
        lines.append(
            f"  {report.decoder} against {first.decoder}: {difference:+.2f} points, 95 % interval "
            f"{0 - 100 * high:+.2f} to {0 - 100 * low:+.2f} (paired bootstrap)"
        )
    if first.outside:
        lines.append(
            f"  {first.outside} references hold characters outside the alphabet: "
            "scored, but not part of the loss"
        )
    return lines


def gain_interval(report: Report, other: Report) -> tuple[float, float]:
    """95 % interval of how much lower a report's error rate is than another's, paired."""
    return paired_interval(
        [u.words for u in report.utterances],
        [u.words for u in other.utterances],
        [u.speaker for u in report.utterances],
    )


def _counts(counts: ErrorCounts) -> dict[str, int]:
    return asdict(counts) | {"errors": counts.errors}
