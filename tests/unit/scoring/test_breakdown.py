"""Errors by length and speaker are the pooled ones, cut; a word is as sure as its tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.core.padded import Padded
from asr.decoder.greedy import Greedy
from asr.scoring.breakdown import by_length, by_speaker
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
    for low, high, counts in zip([0.0, *edges], edges, groups.values(), strict=False):
        inside = [u for u in utterances if low < u.duration <= high]
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
