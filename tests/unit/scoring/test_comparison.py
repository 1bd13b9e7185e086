"""Comparisons: pooled exactly, the same from both sides, and nothing where nothing differs."""

import json
from pathlib import Path

import jiwer
import pytest
from evaluations import write_evaluation
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.scoring.comparison import Comparison, compare
from asr.scoring.error_rate import word_errors
from asr.scoring.evaluation import Evaluation, Heard, open_sources, read_group

WORDS = st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join)
TRIPLES = st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=12).filter(
    lambda rows: any(row[0] for row in rows)
)


def evaluation(
    name: str, pairs: list[tuple[str, str]], speakers: list[str | None] | None = None
) -> Evaluation:
    heard = (
        Heard(f"u{i}", speakers[i] if speakers else None, 1.0, said, text, word_errors(said, text))
        for i, (said, text) in enumerate(pairs)
    )
    return Evaluation(name, Path(name), "mine/test", "greedy", tuple(heard))


def of(
    rows: list[tuple[str, str, str]], speakers: list[str | None] | None = None
) -> tuple[Comparison, Comparison]:
    """One compared with the other, and the other way round."""
    one = evaluation("one", [(r, a) for r, a, _ in rows], speakers)
    other = evaluation("other", [(r, b) for r, _, b in rows], speakers)
    return tuple(compare(pair, samples=200, seed=0) for pair in ((one, other), (other, one)))  # type: ignore[return-value]


@settings(deadline=None)
@given(TRIPLES, st.integers(1, 4))
def test_swapped_systems_negate_everything(rows: list, speakers: int) -> None:
    there, back = of(rows, [f"s{i % speakers}" for i in range(len(rows))])
    (pair,), (mirror,) = there.pairs, back.pairs
    assert mirror.points == -pair.points
    for over_speakers in (False, True):
        low, high = pair.interval(over_speakers=over_speakers)
        assert mirror.interval(over_speakers=over_speakers) == pytest.approx((-high, -low))
        assert low <= high
    assert mirror.matched_pairs == pair.matched_pairs
    assert mirror.sign_flips == pair.sign_flips
    assert mirror.speaker_sign_flips == pair.speaker_sign_flips
    assert mirror.better_equal_worse == pair.better_equal_worse[::-1]
    assert {t[:2] + t[:1:-1] for t in mirror.words} == set(pair.words)


@settings(deadline=None)
@given(TRIPLES)
def test_the_difference_is_that_of_pooled_counts(rows: list) -> None:
    rows = [row for row in rows if row[0]]  # jiwer takes no empty references
    (pair,) = of(rows)[0].pairs
    references, *heard = ([*column] for column in zip(*rows, strict=True))
    one, other = (jiwer.process_words(references, texts).wer for texts in heard)
    assert pair.points == pytest.approx(100 * (other - one))
    assert sum(pair.differences) == pair.other.wer.errors - pair.first.wer.errors
    # What one wins and the other loses are the words that are right.
    right = [s.wer.length - s.wer.deletions - s.wer.substitutions for s in (pair.first, pair.other)]
    assert sum(t.won - t.lost for t in pair.words) == right[1] - right[0]


@settings(deadline=None)
@given(TRIPLES)
def test_a_run_against_itself_differs_nowhere(rows: list) -> None:
    (pair,) = of([(r, a, a) for r, a, _ in rows], [f"s{i % 2}" for i in range(len(rows))])[0].pairs
    assert pair.points == 0
    assert pair.interval(over_speakers=False) == pair.interval(over_speakers=True) == (0, 0)
    assert pair.matched_pairs == pair.sign_flips == 1
    assert pair.speaker_sign_flips in (1, None)
    assert pair.better_equal_worse == (0, len(rows), 0)
    assert pair.words == pair.most_different == []


def test_what_stands_in_a_comparison() -> None:
    rows = [
        ("the cat sat", "the cat sat", "the hat sat"),
        ("the dog", "a dog", "the dog"),
        ("the end", "end", "the the end"),
        ("so", "so", "so"),
        ("one two three", "one two three", "four five six seven"),
    ]
    (pair,) = of(rows, ["x", "x", None, "y", "y"])[0].pairs
    assert pair.differences == [1, -1, 0, 0, 4]
    assert pair.points == pytest.approx(100 * (6 - 2) / 11)
    assert pair.speaker_differences == [0, 0, 4]
    assert pair.better_equal_worse == (1, 2, 2)
    assert pair.most_different == [4, 0, 1]
    assert pair.words[0] == ("the", 3, 0, 2)
    assert {t.word: (t.spoken, t.lost, t.won) for t in pair.words} == {
        "the": (3, 0, 2), "cat": (1, 1, 0), "one": (1, 1, 0), "two": (1, 1, 0), "three": (1, 1, 0),
    }  # fmt: skip
    assert pair.segments == [(0, 1), (1, 0), (1, 1), (0, 4)]


def test_differences_are_of_the_other_less_the_first() -> None:
    # In each utterance one word of four more is wrong: of that nobody can doubt.
    (pair,) = of([("a b c d", "a b c d", "a b c")] * 20, ["x", "y"] * 10)[0].pairs
    for over_speakers in (False, True):
        assert pair.interval(over_speakers=over_speakers) == (25, 25)
    assert pair.points == 25 and pair.differences == [1] * 20
    assert pair.matched_pairs is None, "all segments differ alike"
    assert pair.sign_flips == pytest.approx(2 / 2**20)
    assert pair.speaker_sign_flips == 0.5


@pytest.mark.parametrize("speakers", [None, ["x"] * 3, [None] * 3, ["x", "y", "z"]])
def test_speakers_of_one_utterance_each_are_no_groups(speakers: list[str | None] | None) -> None:
    (pair,) = of([("a b", "a", "a b")] * 3, speakers)[0].pairs
    assert pair.speaker_differences is None and pair.speaker_sign_flips is None


def test_the_interval_of_a_wer_is_the_one_that_evaluate_wrote(tmp_path: Path) -> None:
    texts = [("a b c", "a x c"), ("a b", "a b"), ("b", "")] * 7
    speakers = [f"s{i % 5}" for i in range(len(texts))]
    folders = [write_evaluation(tmp_path / name, texts, speakers=speakers) for name in "ab"]
    group = read_group(open_sources([tmp_path / "a", tmp_path / "b"]), ("mine/test", "greedy"))
    found = compare(group, samples=2000, seed=0).systems[0]
    summary = json.loads((folders[0] / "summary.json").read_text())
    assert list(found.interval) == summary["wer_interval_95"]
    assert found.wer.rate == summary["wer"]


def test_empty_references_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="all references are empty"):
        of([("", "a", "")])
