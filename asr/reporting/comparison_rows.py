"""What a comparison says, as cells of text: the same on the terminal, in markdown, on a page."""

from typing import NamedTuple

from asr.scoring.comparison import Comparison, Pair, System


class Fact(NamedTuple):
    """A figure, and how it came about."""

    name: str
    value: str
    how: str


SUMMARY_HEAD = ["", "WER %", "95 % interval", "errors / words", "ins", "del", "sub"]
AGAINST_HEAD = ["difference", "95 % interval", "p (MAPSSWE)"]


def summary_rows(comparison: Comparison) -> list[list[str]]:
    """A row for each system; what follows the counts is held against the first."""
    against = [["", "", ""], *(_against(pair) for pair in comparison.pairs)]
    return [
        own_cells(system) + cells for system, cells in zip(comparison.systems, against, strict=True)
    ]


def drawn_over(comparison: Comparison) -> str:
    """What the summary's intervals are over."""
    speakers = comparison.systems[0].speakers
    groups = len(set(speakers) - {None}) + speakers.count(None)
    if len(set(speakers)) < 2 or groups == len(speakers):
        return f"{len(speakers)} utterances"
    return f"{groups} speakers of {len(speakers)} utterances"


def word_head(pair: Pair) -> list[str]:
    """Over the fields of a `WordTally`."""
    return ["word", "spoken", *(f"right in {s.name} only" for s in (pair.first, pair.other))]


def facts(pair: Pair) -> list[Fact]:
    """The difference, how sure it is, and where it comes from."""
    number, speakers = len(pair.differences), pair.speaker_differences
    verdict = f"{'fewer' if pair.points < 0 else 'more' if pair.points > 0 else 'as many'} errors"
    rows = [Fact("difference", f"{_signed(pair.points)} points", verdict)]
    low, high = pair.interval(over_speakers=False)
    bootstrap = "paired bootstrap, 95 %"
    rows.append(Fact("interval", _interval(low, high), f"{bootstrap}, {number} utterances drawn"))
    if speakers is not None:
        low, high = pair.interval(over_speakers=True)
        rows.append(
            Fact(
                "interval, speakers",
                _interval(low, high),
                f"{bootstrap}, {len(speakers)} speakers drawn whole",
            )
        )
    few = "; few for this test" if 0 < len(pair.segments) < 50 else ""
    rows += [
        Fact(
            "matched pairs", p_value(pair.matched_pairs),
            f"MAPSSWE, {len(pair.segments)} segments in which either errs{few}",
        ),
        Fact("permutation", p_value(pair.sign_flips), f"exact, over {number} utterances"),
    ]  # fmt: skip
    if speakers is not None and pair.speaker_sign_flips is not None:
        how = f"exact, over {len(speakers)} speakers"
        rows.append(Fact("permutation, speakers", p_value(pair.speaker_sign_flips), how))
    better, equal, worse = pair.better_equal_worse
    rows.append(
        Fact("utterances", f"{better} better, {worse} worse", f"{equal} with as many errors")
    )
    return rows


def p_value(p: float | None) -> str:
    """Four digits after the point; smaller ones by their exponent."""
    if p is None:
        return "p not defined"
    return f"p = {p:.4f}" if p >= 5e-5 else f"p = {p:.0e}"


def own_cells(system: System) -> list[str]:
    """Under `SUMMARY_HEAD`."""
    wer, ends = system.wer, system.interval
    counts = map(str, (wer.insertions, wer.deletions, wer.substitutions))
    rate, errors = f"{100 * wer.rate:.2f}", f"{wer.errors} / {wer.length}"
    return [system.name, rate, rate_interval(ends), errors, *counts]


def rate_interval(ends: tuple[float, float]) -> str:
    """The two ends of a rate, in per cent."""
    return " - ".join(f"{100 * end:.2f}" for end in ends)


def _against(pair: Pair) -> list[str]:
    low, high = pair.interval(over_speakers=pair.speaker_differences is not None)
    p = p_value(pair.matched_pairs).removeprefix("p = ").removeprefix("p ")
    return [_signed(pair.points), _interval(low, high), p]


def _interval(low: float, high: float) -> str:
    return f"{_signed(low)} to {_signed(high)}"


def _signed(points: float) -> str:
    text = f"{points:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text
