"""The page on which the benchmark of faults says what it found."""

from typing import Any

LONGEST = 330  # characters of a cell; faults.json holds all


def page(figures: dict[str, Any]) -> str:
    """What people read, in Markdown."""
    rows, machine = figures["faults"], figures["machine"]
    failed = [row["name"] for row in rows if not row["as_promised"]]
    verdict = f"**Not as promised: {', '.join(failed)}.**" if failed else "All as promised."
    lines = [
        "# Faults, planted for real",
        "",
        "`make faults`: each fault is planted in the program as a user runs it, in processes of "
        "its own, on the tests' corpus (160 utterances, 60 updates of 8 in three epochs, one "
        "thread, CPU). The end is held against an undisturbed run of the same options. "
        "*Bit-identical* are all checkpoints (weights, optimizer, state), metrics.jsonl but for "
        "timings, and all curves and texts of TensorBoard, and no file is left over. What the "
        "program said is quoted, without the folder that it ran in.",
        "",
        f"{len(rows)} faults in {figures['seconds']:.0f} s, {figures['jobs']} at a time. {verdict}",
    ]
    for group in dict.fromkeys(row["group"] for row in rows):
        lines += [
            "",
            f"## {group}",
            "",
            "| fault | how it was planted | what the program said and did | exit code "
            "| what was lost |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            "| " + " | ".join(_cell(row[key]) for key in ("fault", "planted", "said", "code",
                                                          "lost")) + " |"
            for row in rows if row["group"] == group
        ]  # fmt: skip
    lines += [
        "",
        f"Measured {machine['date']} on {machine['processor']}, {machine['cores']} cores, load "
        f"{figures['load_before']} before, Python {machine['python']}, torch {machine['torch']}, "
        f"commit {machine['commit']}.",
    ]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = " ".join(str(value).split())
    if len(text) > LONGEST:
        text = f"{text[:LONGEST].rpartition(' ')[0]} ..."
    for sign in ("|", "*", "<"):
        text = text.replace(sign, "\\" + sign)
    return text
