"""How a language model came about and how well it knows a text, as lines for people."""

from collections.abc import Sequence
from pathlib import Path

from asr.language_model.counts import Counts
from asr.language_model.estimate import Discounts, Estimate
from asr.language_model.ngram import Perplexity

_STRANGE = 0.3  # a larger part of unknown words is hardly a matter of rare words


def summary_lines(counts: Counts, estimate: Estimate) -> list[str]:
    """What was read, and a row for each order: n-grams found and kept, discounts."""
    unknown = f", {counts.unknown:,} of them <unk>" if counts.unknown else ""
    lines = [
        f"text: {counts.sentences:,} sentences, {counts.tokens:,} tokens with their ends{unknown}"
    ]
    if counts.empty:
        lines.append(f"  {counts.empty:,} lines without words were left out")
    rows = [["order", "found", "cut off", "pruned", "kept", "D1", "D2", "D3+"]]
    for order, (found, after, kept, d) in enumerate(
        zip(estimate.found, estimate.after_cutoffs, estimate.kept, estimate.discounts, strict=True),
        start=1,
    ):
        row = [str(order), *(f"{n:,}" for n in (found, found - after, after - kept, kept))]
        rows.append([*row, *(f"{x:.4f}" for x in d[:3])])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  ".join(map(str.rjust, row, widths)) for row in rows]
    return lines + _fallbacks(estimate.discounts)


def _fallbacks(discounts: Sequence[Discounts]) -> list[str]:
    return [
        f"note: the {order}-grams' discounts are those of discount_fallback, because the text is "
        f"small: {d.counts_of_counts} of them have an adjusted count of 1, 2, 3, 4"
        for order, d in enumerate(discounts, start=1)
        if d.fallback
    ]


def perplexity_lines(file: Path, found: Perplexity) -> list[str]:
    """Both perplexities: the difference is what unknown words cost."""
    share = found.unknown / max(found.tokens, 1)
    lines = [
        f"{file}: perplexity {found.without_unknown:.2f} without unknown words, "
        f"{found.with_unknown:.2f} with ({found.unknown:,} of {found.tokens:,} tokens, "
        f"{100 * share:.2f} %)"
    ]
    if share > _STRANGE:
        lines.append(
            "  so many unknown words are seldom rare words: does the model write capitals "
            "(case=upper), or other units (unit=character)?"
        )
    return lines


def size_line(path: Path) -> str:
    """Where the model is."""
    return f"model: {path}, {path.stat().st_size / 1e6:.1f} MB"


def next_lines(path: Path, unit: str) -> list[str]:
    """What to do with it."""
    own = "" if unit == "word" else " decoder.lm_unit=token"
    return [
        "",
        "What to try next:",
        f"  python -m asr.lm arpa={path} unit={unit} perplexity=FILE     how well it knows a text",
        f"  python -m asr.evaluate decoder=beam decoder.lm={path}{own}",
    ]
