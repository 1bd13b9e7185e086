"""Evaluations as `asr.evaluate` leaves them, of texts that a test chooses."""

from collections.abc import Sequence
from pathlib import Path

from asr.scoring.error_rate import character_errors, word_errors
from asr.scoring.output import write_reports
from asr.scoring.score import Report, Scored

# Text that would run as a script wherever a page did not take it as text.
EVIL = "<img/src=x/onerror=document.title='run'><script>document.title='run'</script>"


def write_evaluation(
    run: Path,
    texts: Sequence[tuple[str, str]],
    *,
    speakers: Sequence[str | None] | None = None,
    ids: Sequence[str] | None = None,
    test_set: str = "mine/test",
    decoder: str = "greedy",
    manifest: Path = Path("nowhere.jsonl"),
    durations: Sequence[float] | None = None,
) -> Path:
    """Score pairs of reference and hypothesis, and write the report into a run's folder."""
    utterances = tuple(
        Scored(
            id=ids[i] if ids else f"u{i}",
            speaker=speakers[i] if speakers else None,
            duration=durations[i] if durations else 1.0,
            reference=reference,
            hypothesis=hypothesis,
            words=word_errors(reference, hypothesis),
            characters=character_errors(reference, hypothesis),
        )
        for i, (reference, hypothesis) in enumerate(texts)
    )
    report = Report(test_set, utterances, 0.5, 0.1, 0, 1.0, decoder)
    (folder,) = write_reports(
        {decoder: report}, run / "evaluation", set(), str(run / "best.pt"), {"lm": "words.arpa"},
        str(manifest),
    )  # fmt: skip
    return folder
