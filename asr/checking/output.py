"""Findings on the terminal, as JSON, and as manifests without what is wrong."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from asr.checking.facts import Facts, Split, short_names
from asr.checking.judge import WHOLE_FILE, Findings, meant_slices
from asr.checking.kinds import KINDS
from asr.corpus.manifest import Utterance, write_manifest

LEFT_OUT = "left_out.jsonl"
_TEXT_WIDTH = 60


def report_lines(findings: Findings, examples: int) -> list[str]:
    """What the terminal shows: the manifests, a table of findings, and the worst of each kind.

    examples: how many of each kind are shown.
    """
    facts = findings.facts
    lines = [f"alphabet  {facts.target.alphabet}", f"model     {facts.target.model}", ""]
    lines += _table(["", "utterances", "hours", ""], _manifest_rows(facts), left=(0, 3))
    present = {kind: found for kind, found in findings.found.items() if len(found.index)}
    if not present:
        return [*lines, "", "nothing is wrong"]
    names = facts.names
    head = ["", "", *names, "share", "hours"]
    rows = []
    for kind, found in present.items():
        total = len(found.index)
        by_split = np.bincount(facts.split[found.index], minlength=len(names))
        rows.append([
            "error" if findings.errors[kind].any() else "warning", kind,
            *(f"{n:,}" for n in by_split), f"{100 * total / len(facts):.2f} %",
            f"{facts.durations[found.index].sum() / 3600:.2f}",
        ])  # fmt: skip
    rows.sort(key=lambda row: row[0] != "error")
    lines += ["", *_table(head, rows, left=(0, 1))]
    for row in rows:
        lines += ["", *_example_lines(findings, row[1], examples)]
    return lines


def _manifest_rows(facts: Facts) -> list[list[str]]:
    return [
        [name, f"{len(split.manifest):,}", f"{split.manifest.hours:.2f}",
         f"{'trained on' if split.trained else 'held out'}  {split.path}"]
        for name, split in zip(facts.names, facts.splits, strict=True)
    ]  # fmt: skip


def _example_lines(findings: Findings, kind: str, examples: int) -> list[str]:
    facts, found = findings.facts, findings.found[kind]
    lines = [f"{kind}: {KINDS[kind].title}", f"  to mend: {KINDS[kind].mend}"]
    for i in found.index[:examples].tolist():
        utterance = facts.utterance(i)
        text = utterance.text
        if len(text) > _TEXT_WIDTH:
            text = text[: _TEXT_WIDTH - 3] + "..."
        where = facts.names[facts.split[i]]
        lines.append(f"  {where} {utterance.id}  {found.detail(i)}  {text!r}")
    if (more := len(found.index) - examples) > 0:
        lines.append(f"  ... and {more:,} more")
    return lines


def _table(head: list[str], rows: Sequence[list[str]], left: tuple[int, ...]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if c in left else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *rows]
    ]


def summary(findings: Findings, about: dict[str, Any]) -> dict[str, Any]:
    """Everything that was found as plain data, each utterance by its manifest and id.

    about: what else the summary should say, such as the limits.
    """
    facts, rates = findings.facts, findings.rates
    names = facts.names
    return about | {
        "alphabet": facts.target.alphabet,
        "model": facts.target.model,
        "manifests": {
            name: {"path": str(s.path), "trained": s.trained, "utterances": len(s.manifest),
                   "hours": s.manifest.hours}
            for name, s in zip(names, facts.splits, strict=True)
        },
        "speaking_rate": {"usual": rates.usual, "lowest": rates.lowest, "highest": rates.highest},
        "findings": {
            kind: {
                "title": KINDS[kind].title,
                "mend": KINDS[kind].mend,
                "count": len(found.index),
                "errors": int(findings.errors[kind].sum()),
                "share": len(found.index) / len(facts),
                "hours": float(facts.durations[found.index].sum()) / 3600,
                "utterances": [
                    {"manifest": names[facts.split[i]], "id": facts.utterance(i).id,
                     "error": bool(error), "detail": found.detail(i)}
                    for i, error in zip(found.index.tolist(), findings.errors[kind], strict=True)
                ],
            }
            for kind, found in findings.found.items()
        },
    }  # fmt: skip


def write_summary(path: Path, content: dict[str, Any]) -> None:
    """Write JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
    temporary.replace(path)


def check_paths(output: str | None, folder: Path | None, splits: Sequence[Split]) -> Path | None:
    """Make sure that what will be written can be, and overwrites nothing that is read.

    Args:
        output: the JSON's path; None: `check.json` in `folder`, if there is one.
        folder: of the cleaned manifests.

    Returns:
        The JSON's path, or None.

    Raises:
        ValueError: as for `cleaned_paths`, or the JSON would overwrite an input.
        OSError: a folder cannot be made or written to.
    """
    path = Path(output) if output else folder / "check.json" if folder else None
    paths = [] if folder is None else [*cleaned_paths(folder, splits), folder / LEFT_OUT]
    if path is not None:
        if path.resolve() in {*(s.path.resolve() for s in splits), *(p.resolve() for p in paths)}:
            raise ValueError(f"output={path} would overwrite a manifest; name another file")
        if path.is_dir():
            raise ValueError(f"output={path} is a folder; name a file, such as {path}/check.json")
        paths.append(path)
    for target in paths:
        target.parent.mkdir(parents=True, exist_ok=True)
        trial = target.with_name(target.name + ".part")
        trial.touch()
        trial.unlink()
    return path


def cleaned_paths(folder: Path, splits: Sequence[Split]) -> list[Path]:
    """Where each cleaned manifest goes.

    Raises:
        ValueError: one of them, or the list of what is left out, would overwrite an input, or a
            manifest is called as that list is.
    """
    paths = [folder / f"{name}.jsonl" for name in short_names([s.path for s in splits])]
    if folder / LEFT_OUT in paths:
        raise ValueError(f"write={folder}: {LEFT_OUT} is the list of what is left out; rename it")
    inputs = {s.path.resolve() for s in splits}
    for path in [*paths, folder / LEFT_OUT]:
        if path.resolve() in inputs:
            raise ValueError(f"write={folder}: {path} would be overwritten; name another folder")
    return paths


def write_cleaned(findings: Findings, folder: Path) -> list[str]:
    """Write a manifest for each input without its errors, and a list of what is left out and why.

    Returns:
        A line for each file.

    Raises:
        ValueError: as for `cleaned_paths`, or nothing would be left of a manifest.
    """
    facts, left_out = findings.facts, findings.left_out()
    paths = cleaned_paths(folder, facts.splits)
    bad = np.zeros(len(facts), bool)
    bad[list(left_out)] = True
    for number, split in enumerate(facts.splits):
        if bad[facts.split == number].all():
            raise ValueError(
                f"{split.path}: every utterance has an error, so nothing is written; choose what "
                "is an error with leave_out=[...]"
            )
    lines, slices = [], set(meant_slices(findings).tolist())
    for number, path in enumerate(paths):
        kept = np.flatnonzero(~bad & (facts.split == number)).tolist()
        write_manifest(path, (_kept(facts, i, i in slices) for i in kept))
        lines.append(f"{path}: {len(kept):,} of {len(facts.splits[number].manifest):,} utterances")
    temporary = folder / (LEFT_OUT + ".part")
    with temporary.open("w", encoding="utf-8") as file:
        for i, kinds in left_out.items():
            file.write(json.dumps(_why(findings, i, kinds), ensure_ascii=False) + "\n")
    temporary.replace(folder / LEFT_OUT)
    return [*lines, f"{folder / LEFT_OUT}: {len(left_out):,} left out, each with the reason"]


def _kept(facts: Facts, index: int, is_slice: bool) -> Utterance:
    """The first slice of a file says so, lest it looks cut once the file's others are gone."""
    utterance = facts.utterance(index)
    if not is_slice:
        return utterance
    seconds = round(float(facts.sound["file_seconds"][index]), 6)
    return replace(utterance, extra={**utterance.extra, WHOLE_FILE: seconds})


def _why(findings: Findings, index: int, kinds: Sequence[str]) -> dict[str, Any]:
    utterance = findings.facts.utterance(index)
    return {
        "manifest": str(findings.facts.splits[findings.facts.split[index]].path),
        "id": utterance.id,
        "audio_filepath": str(Path(utterance.audio).absolute()),
        "offset": utterance.offset,
        "duration": utterance.duration,
        "text": utterance.text,
        "reasons": {kind: findings.found[kind].detail(index) for kind in kinds},
    }
