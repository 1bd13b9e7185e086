"""Parts hold each utterance once, in order; a word is as sure as its tokens."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.core.padded import Padded
from asr.decoder.greedy import Greedy
from asr.scoring.breakdown import by_figure, by_length, by_name, by_speaker
from asr.scoring.confidence import word_confidences
from asr.scoring.error_rate import ErrorCounts
from asr.scoring.score import Scored
from asr.tokenizer.char import Char

NOTHING = ErrorCounts(0, 0, 0, 0)


def scored(seconds: float, speaker: str | None, errors: int) -> Scored:
    counts = ErrorCounts(errors, 0, 0, 3)
    return Scored("u", speaker, seconds, "a b c", "", counts, counts)


@given(
    st.lists(
        st.tuples(
            st.integers(5, 4000).map(lambda n: n / 100),
            st.sampled_from(["x", "y", None]),
            st.integers(0, 3),
        ),
        min_size=1,
    )
)
def test_groups_are_the_whole_cut_in_order(rows: list[tuple[float, str | None, int]]) -> None:
    utterances = [scored(*row) for row in rows]
    groups = by_length(utterances)
    assert sum(groups.values(), NOTHING) == sum((u.words for u in utterances), NOTHING)
    edges = [float(name.split()[-2]) for name in groups]
    assert edges == sorted(set(edges)) and 1 <= len(groups) <= 4
    for low, high, counts in zip([-1.0, *edges], edges, groups.values(), strict=False):
        inside = [u for u in utterances if low < np.round(u.duration, 1) <= high]
        assert counts == sum((u.words for u in inside), NOTHING)
    speakers = by_speaker(utterances)
    assert list(speakers) == sorted({u.speaker for u in utterances if u.speaker})
    for name, counts in speakers.items():
        assert counts == sum((u.words for u in utterances if u.speaker == name), NOTHING)


def test_a_quarter_of_the_utterances_is_in_each_group() -> None:
    utterances = [scored(seconds, None, 1) for seconds in np.linspace(1, 9, 40)]
    assert [counts.errors for counts in by_length(utterances).values()] == [10, 10, 10, 10]


def test_a_word_is_as_sure_as_its_tokens_at_their_best() -> None:
    tokenizer = Char(" ab")  # tokens 1 to 3
    path = torch.tensor([[2, 2, 0, 3, 1, 2, 0], [0, 0, 3, 0, 0, 0, 0], [0] * 7])
    sure = torch.tensor([[0.5, 0.8, 0.9, 0.6, 0.7, 0.4, 0.9], [0.9] * 2 + [0.55] + [0.9] * 4,
                         [0.9] * 7])  # fmt: skip
    rest = ((1 - sure) / 3)[..., None].expand(3, 7, 4).clone()
    probabilities = rest.scatter(2, path[..., None], sure[..., None])
    log_probs = Padded(probabilities.log(), torch.tensor([7, 3, 0]))
    best = [ranked[0] for ranked in Greedy(tokenizer)(log_probs)]
    assert [hypothesis.text for hypothesis in best] == ["ab a", "b", ""]
    found = word_confidences(tokenizer, log_probs, best)
    assert found[0] == pytest.approx([(0.8 + 0.6) / 2, 0.4])
    assert found[1:] == [pytest.approx([0.55]), ()]


FIGURES = st.lists(
    st.floats(-50, 50) | st.sampled_from([math.nan, math.inf, 1.0, 2.0]), min_size=1, max_size=40
)


@settings(deadline=None)
@given(FIGURES, st.integers(1, 7), st.integers(0, 2))
def test_every_utterance_is_in_one_part(figures: list[float], most: int, digits: int) -> None:
    parts = by_figure(figures, most, digits)
    assert sorted(place for part in parts for place in part.members) == list(range(len(figures)))
    known = [part for part in parts if part.label != "unknown"]
    assert len(known) <= most
    last = -math.inf
    for part in known:
        shown = [round(figures[place], digits) for place in part.members]
        low, *high = map(float, part.label.split(" to "))
        assert (low, high or [low]) == (min(shown) + 0.0, [max(shown) + 0.0])
        assert last < low, "equal figures are never parted"
        last = max(shown)


def test_about_equally_many() -> None:
    sizes = [len(part.members) for part in by_figure([i / 7 for i in range(100)], 5, 3)]
    assert sizes == [20] * 5
    assert [p.label for p in by_figure([1.04, 1.0, 3.0, math.nan], 2, 1)] == [
        "1.0", "3.0", "unknown",
    ]  # fmt: skip


def test_by_name() -> None:
    assert by_name(["x", None, "y", "x"]) == [("x", (0, 3)), ("unknown", (1,)), ("y", (2,))]
