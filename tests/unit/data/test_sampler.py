"""Batches of an epoch: every utterance once, within bounds, of like length, new each epoch."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.sampler import epoch_batches, shard

DURATIONS = st.lists(
    st.floats(0.01, 40) | st.sampled_from([1.0, 2.0]), min_size=1, max_size=120
).map(np.array)
OPTIONS = st.fixed_dictionaries(
    {
        "batch_seconds": st.floats(0.5, 200),
        "max_utterances": st.integers(1, 40),
        "epoch": st.integers(0, 5),
        "seed": st.integers(0, 2**40),
        "sortagrad_epochs": st.integers(0, 3),
    }
)
DEFAULTS = {"batch_seconds": 400.0, "max_utterances": 64, "seed": 0, "sortagrad_epochs": 1}


def like_train_clean_100(rng: np.random.Generator) -> np.ndarray:
    """28,539 durations: most of 12 to 16.5 seconds, a tail of short ones."""
    main = rng.triangular(12, 15.3, 16.6, 22_831)
    tail = 12 - 10.5 * rng.beta(1, 1.6, 28_539 - len(main))
    return np.concatenate([main, tail])


def like_an4(rng: np.random.Generator) -> np.ndarray:
    return rng.lognormal(1.0, 0.5, 948).clip(0.5, 7)


def perturbed(durations: np.ndarray, epoch: int) -> np.ndarray:
    factors = np.random.default_rng(epoch).choice([0.9, 1.0, 1.1], len(durations))
    return durations / factors


def pairs(batches: list[np.ndarray]) -> np.ndarray:
    """A number for each two utterances that share a batch."""
    numbers = []
    for batch in batches:
        first, second = np.triu_indices(len(batch), 1)
        ordered = np.sort(batch)
        numbers.append(ordered[first] * 10**6 + ordered[second])
    return np.concatenate(numbers)


@settings(deadline=None)
@given(DURATIONS, OPTIONS)
def test_every_utterance_once_and_within_bounds(durations, options):
    batches = epoch_batches(durations, **options)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(durations)))
    for batch in batches:
        assert batch.dtype == np.int64
        assert 1 <= len(batch) <= options["max_utterances"]
        seconds = len(batch) * durations[batch].max()
        assert seconds <= options["batch_seconds"] or len(batch) == 1


@settings(deadline=None)
@given(DURATIONS, OPTIONS)
def test_the_first_epochs_ascend_and_waste_no_batch(durations, options):
    options["epoch"] = min(options["epoch"], options["sortagrad_epochs"])
    options["sortagrad_epochs"] = options["epoch"] + 1
    batches = epoch_batches(durations, **options)
    order = np.concatenate(batches)
    assert order.tolist() == sorted(range(len(durations)), key=lambda i: (durations[i], i))
    for batch, following in pairwise(batches):
        full = len(batch) == options["max_utterances"]
        seconds = (len(batch) + 1) * durations[following[0]]
        assert full or seconds > options["batch_seconds"]


@settings(deadline=None)
@given(DURATIONS, OPTIONS)
def test_it_is_pure(durations, options):
    before = durations.copy()
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    first = epoch_batches(durations, **options)
    np.random.seed(2)  # noqa: NPY002
    second = epoch_batches(durations, **options)
    assert np.array_equal(durations, before)
    assert [b.tolist() for b in first] == [b.tolist() for b in second]


def test_epochs_and_seeds_differ_in_order_and_composition():
    durations = like_an4(np.random.default_rng(0))
    plans = {
        (epoch, seed): epoch_batches(durations, **{**DEFAULTS, "seed": seed}, epoch=epoch)
        for epoch in (1, 2)
        for seed in (0, 1)
    }
    compositions = [{tuple(sorted(b)) for b in plan} for plan in plans.values()]
    for i, one in enumerate(compositions):
        for other in compositions[i + 1 :]:
            assert len(one & other) <= 0.1 * len(one)
    ascending = epoch_batches(durations, **DEFAULTS, epoch=0)
    assert [b.tolist() for b in ascending] == [
        b.tolist() for b in epoch_batches(durations, **{**DEFAULTS, "seed": 9}, epoch=0)
    ]


def test_later_epochs_come_in_random_order():
    durations = like_train_clean_100(np.random.default_rng(0))
    longest = [durations[b].max() for b in epoch_batches(durations, **DEFAULTS, epoch=1)]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.15


def test_a_large_corpus_is_padded_little_filled_well_and_mixed():
    durations = like_train_clean_100(np.random.default_rng(0))
    options = {**DEFAULTS, "max_utterances": 10_000}
    before = None
    for epoch in range(1, 4):
        now = perturbed(durations, epoch)
        batches = epoch_batches(now, **options, epoch=epoch)
        padded = np.array([len(b) * now[b].max() for b in batches])
        assert 1 - now.sum() / padded.sum() <= 0.02
        assert padded.max() <= 400
        assert padded.mean() / 400 >= 0.95
        together = pairs(batches)
        if before is not None:
            assert np.isin(before, together).mean() <= 0.05
        before = together


@pytest.mark.parametrize(("perturb", "most_shared"), [(True, 0.2), (False, 0.5)])
def test_a_small_corpus_mixes_too(perturb, most_shared):
    durations = like_an4(np.random.default_rng(0))
    options = {**DEFAULTS, "max_utterances": 16}
    plans = []
    for epoch in (1, 2):
        now = perturbed(durations, epoch) if perturb else durations
        batches = epoch_batches(now, **options, epoch=epoch)
        padded = sum(len(b) * now[b].max() for b in batches)
        assert 1 - now.sum() / padded <= 0.08
        plans.append(pairs(batches))
    assert np.isin(*plans).mean() <= most_shared


def test_rare_lengths_stray_a_little_only():
    durations = 0.1 * 1.23 ** np.arange(30)  # each more than two jitters from the next
    for seed in range(50):
        batches = epoch_batches(
            durations,
            batch_seconds=1e4,
            max_utterances=15,
            epoch=1,
            seed=seed,
            sortagrad_epochs=1,
        )
        assert sorted(sorted(b.tolist()) for b in batches) == [[*range(15)], [*range(15, 30)]]


def test_an_utterance_beyond_the_bound_stands_alone():
    durations = np.array([1.0, 50.0, 1.0, 60.0, 1.0])
    for epoch in (0, 1):
        batches = epoch_batches(durations, **{**DEFAULTS, "batch_seconds": 3.0}, epoch=epoch)
        assert sorted(sorted(b.tolist()) for b in batches) == [[0, 2, 4], [1], [3]]


@given(st.integers(1, 50), st.integers(1, 5), st.integers(1, 4))
def test_shards_partition_the_batch(size, world_size, accumulate):
    batch = np.arange(size)[::-1] * 3
    shards = [shard(batch, rank, world_size, accumulate) for rank in range(world_size)]
    assert all(len(micro_batches) == min(accumulate, size) for micro_batches in shards)
    parts = [part for micro_batches in shards for part in micro_batches]
    assert sorted(np.concatenate(parts).tolist()) == sorted(batch.tolist())
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for number, whole in enumerate(shard(batch, 0, 1, accumulate)):  # what batch norm sees as one
        cut = np.concatenate([micro_batches[number] for micro_batches in shards])
        assert sorted(cut.tolist()) == sorted(whole.tolist())


def test_shards_of_one_micro_batch_get_like_lengths():
    batch = np.arange(64)  # as in an ascending epoch: the index grows with the length
    shards = [shard(batch, rank, 4, 2) for rank in range(4)]
    means = [part.mean() for micro_batches in shards for part in micro_batches]
    assert max(means) - min(means) < 8


def test_a_million_utterances_are_planned_quickly():
    durations = np.random.default_rng(0).uniform(1, 17, 1_000_000)
    for epoch in (0, 1):
        start = time.process_time()
        epoch_batches(durations, **DEFAULTS, epoch=epoch)
        assert time.process_time() - start < 3  # 0.4 on an idle core; a loop over them takes more


@pytest.mark.parametrize(
    ("durations", "options", "message"),
    [
        ([], {}, "no utterances"),
        ([1.0, np.nan], {}, "utterance 1 lasts nan seconds"),
        ([1.0, 2.0, np.inf], {}, "utterance 2 lasts inf"),
        ([0.0], {}, "utterance 0 lasts 0.0"),
        ([1.0, -1.0], {}, "utterance 1 lasts -1.0"),
        ([1.0], {"batch_seconds": 0.0}, r"data\.batch_seconds=0\.0"),
        ([1.0], {"batch_seconds": np.nan}, r"data\.batch_seconds=nan"),
        ([1.0], {"max_utterances": 0}, r"data\.max_utterances=0"),
        ([1.0], {"sortagrad_epochs": -1}, r"data\.sortagrad_epochs=-1"),
        ([1.0], {"seed": -1}, "seed=-1"),
    ],
)
def test_mistakes(durations, options, message):
    with pytest.raises(ValueError, match=message):
        epoch_batches(np.array(durations), **{**DEFAULTS, **options}, epoch=1)


@pytest.mark.parametrize(("rank", "world_size", "accumulate"), [(2, 2, 1), (-1, 2, 1), (0, 1, 0)])
def test_shard_mistakes(rank, world_size, accumulate):
    with pytest.raises(ValueError, match=r"rank|data\.accumulate=0"):
        shard(np.arange(4), rank, world_size, accumulate)
