"""The page on which the benchmark of decoders says what it found."""

from pathlib import Path
from typing import Any


def versions() -> str:
    """What the peers' environment is made of."""
    lines = Path(__file__).with_name("requirements.txt").read_text().splitlines()
    return ", ".join(line.replace("==", " ") for line in lines if not line.startswith("#"))


def ours_as(peer: str) -> str:
    """The name of ours with settings that were no worse than a peer's."""
    return f"ours, as {peer}"


def page(figures: dict[str, Any]) -> str:
    """What people read, in Markdown."""
    lines = [
        "# Decoders beside each other",
        "",
        "`make bench-decoding`: 100 utterances of 500 frames and 29 tokens, a 3-gram, no words but "
        "its 15,486, one thread each, warm, in turn. Each has its fastest settings within 0.2 "
        "points of the best WER of all on 100 other utterances; one marked \\* has none, and gets "
        "the fastest within 0.2 points of its own best. *Ours, as X* has its fastest settings that "
        "were no worse there than those of X.",
        "",
        "| decoder | utterances/s | WER % | tuning WER % (its best) | settings |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in figures["decoders"]:
        tuning, mark = "", ""
        if row["settings"]:
            tuning = f"{100 * row['tuning_wer']:.2f} ({100 * row['best_tuning_wer']:.2f})"
            mark = "" if row["as_good"] else " \\*"
        settings = ", ".join(f"{name} {value}" for name, value in row["settings"].items())
        lines.append(
            f"| {row['decoder']}{mark} | {row['utterances_per_second']:.1f} "
            f"| {100 * row['wer']:.2f} | {tuning} | {settings} |"
        )
    low, high = (100 * end for end in figures["wer_difference_interval_95"])
    machine = figures["machine"]
    tries = [f"{row['decoder']} {row['tries']}" for row in figures["decoders"] if row["tries"]]
    lines += [
        "",
        f"- Ours is {_times(figures['speed_ratios'])}.",
        f"- No worse than theirs: {_times(figures['speed_ratios_at_their_wer'])}.",
        f"- WER of ours less that of the best peer, {figures['best_peer']}: "
        f"{100 * figures['wer_difference']:+.2f} points, 95 % paired bootstrap interval "
        f"{low:+.2f} to {high:+.2f}.",
        f"- Two threads decode a batch {figures['two_threads_speed_up']:.2f} times as fast as one.",
        f"- Settings tried: {', '.join(one for one in tries if ',' not in one)}.",
        f"- The peers' environment: {figures['peers']}.",
        "",
        f"Measured {machine['date']} on {machine['processor']}, {machine['cores']} cores, load "
        f"{figures['load_before']} before, Python {machine['python']}, commit {machine['commit']}.",
    ]
    return "\n".join(lines) + "\n"


def _times(ratios: dict[str, float]) -> str:
    return ", ".join(f"{ratio:.2f} times as fast as {peer}" for peer, ratio in ratios.items())
