"""Plans are what their slow definition says, to the bit, however they are asked for."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_plan import slow_cut, slow_draws, slow_plan

from asr.augment.gain import Gain
from asr.augment.speed import Speed
from asr.corpus.manifest import Manifest, Utterance
from asr.data.dataset import SpeechDataset
from asr.data.loader import TrainingData, evaluation_plan
from asr.data.plan import Plan
from asr.data.sampler import _cut
from asr.tokenizer.char import Char

AUGMENTS = st.sampled_from(
    [
        {},
        {"speed": Speed(factors=[0.9, 1.0, 1.1])},
        {"gain": Gain(low_db=-6.0, high_db=6.0), "slow": Speed(factors=[0.7, 0.8]),
         "fast": Speed(factors=[1.3, 1.0])},
    ]
)  # fmt: skip
DURATIONS = st.lists(
    st.floats(0.01, 40) | st.sampled_from([1.0, 2.0, 3.3]), min_size=1, max_size=80
)


@settings(deadline=None)
@given(
    durations=DURATIONS,
    augments=AUGMENTS,
    weights=st.none() | st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 3),
    accumulate=st.integers(1, 5),
    rank_of=st.sampled_from([(0, 1), (0, 2), (1, 2), (2, 3)]),
    options=st.fixed_dictionaries(
        {
            "batch_seconds": st.floats(0.5, 200) | st.sampled_from([6.0, 6.6]),
            "max_utterances": st.integers(1, 40),
            "sortagrad_epochs": st.integers(0, 2),
        }
    ),
    data=st.data(),
)
def test_a_plan_is_what_its_slow_definition_says(
    durations, augments, weights, seed, epoch, accumulate, rank_of, options, data
):
    manifest = Manifest([Utterance(f"u{i}", "a.wav", d, "a") for i, d in enumerate(durations)])
    dataset = SpeechDataset(manifest, Char(["a"]), 16000, augments=augments, seed=seed)
    if weights is not None:
        weights = np.array([1.0] + [weights] * (len(durations) - 1))
    draws = slow_draws(len(durations), augments, seed, epoch, weights)
    expected = slow_plan(draws, durations, accumulate, *rank_of, epoch=epoch, seed=seed, **options)
    training = TrainingData(
        dataset, weights, accumulate=accumulate, workers=0, worker_timeout=1.0, **options
    )
    assert list(dataset.draws(epoch, weights)) == draws
    plan = training.plan(epoch)
    plan = Plan(plan.draws, plan.batches, *rank_of, accumulate)
    assert [*plan] == [plan[i] for i in range(len(plan))] == expected
    start, stop = sorted(data.draw(st.integers(0, len(plan))) for _ in range(2))
    assert list(plan[start:stop]) == expected[start:stop]
    micro_batches = [m for update in expected[start:stop] for m in update]
    assert list(plan[start:stop].micro_batches()) == micro_batches
    assert len(plan[start:stop].micro_batches()) == len(micro_batches)


@settings(deadline=None)
@given(DURATIONS, st.floats(0.5, 200), st.integers(1, 40))
def test_evaluation_ascends(durations, batch_seconds, max_utterances):
    manifest = Manifest([Utterance(f"u{i}", "a.wav", d, "a") for i, d in enumerate(durations)])
    dataset = SpeechDataset(manifest, Char(["a"]), 16000)
    draws = slow_draws(len(durations), {}, 0, 0, None)
    expected = slow_plan(
        draws, durations, 1, 0, 1, batch_seconds=batch_seconds, max_utterances=max_utterances,
        epoch=0, seed=0, sortagrad_epochs=1,
    )  # fmt: skip
    plan = evaluation_plan(dataset, batch_seconds, max_utterances)
    assert list(plan) == [update[0] for update in expected]
    assert list(plan[1::2]) == list(plan)[1::2]


@settings(deadline=None)
@given(DURATIONS, st.floats(0.5, 200), st.integers(1, 40))
def test_batches_are_filled_one_by_one_whatever_the_order(durations, batch_seconds, limit):
    starts = _cut(np.array(durations), batch_seconds, limit)
    expected = slow_cut([*range(len(durations))], durations, batch_seconds, limit)
    assert [[*range(*ends)] for ends in pairwise(starts.tolist())] == expected
