"""The plan of an epoch as it is defined, with lists: slow, and what the program must agree with."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from asr.data.dataset import Draw

WEIGHTS, STRETCH, ORDER = 11, 12, 0xBA7C4E50  # streams of randomness, part of what a seed means


def slow_draws(
    count: int, augments: Mapping[str, Any], seed: int, epoch: int, weights: Any
) -> list[Draw]:
    indices = list(range(count))
    if weights is not None:
        chances = np.random.default_rng([seed, epoch, WEIGHTS]).random(count)
        indices = [i for i in indices for _ in range(math.floor(weights[i] + chances[i]))]
    columns = [
        augment.stretch(len(indices), np.random.default_rng([seed, epoch, STRETCH, i])).tolist()
        for i, augment in enumerate(augments.values())
    ]
    return [
        Draw(index, epoch, slot, tuple(column[slot] for column in columns))
        for slot, index in enumerate(indices)
    ]


def slow_batches(
    durations: list[float],
    batch_seconds: float,
    max_utterances: int,
    epoch: int,
    seed: int,
    sortagrad_epochs: int,
) -> list[list[int]]:
    places = range(len(durations))
    if epoch < sortagrad_epochs:
        return slow_cut(
            sorted(places, key=lambda i: durations[i]), durations, batch_seconds, max_utterances
        )
    rng = np.random.default_rng([seed, epoch, ORDER])
    logs = np.log(durations).tolist()
    shortest = min(logs)
    batches: dict[int, float] = {}
    for log, duration in zip(logs, durations, strict=True):
        share = max(duration / batch_seconds, 1 / max_utterances)
        which = int((log - shortest) / 0.01)
        batches[which] = batches.get(which, 0.0) + share
    widths = [min(0.1, max(0.01, 0.02 / batches[int((log - shortest) / 0.01)])) for log in logs]
    moves = rng.uniform(-1, 1, len(logs)).tolist()
    strayed = [log + width * move for log, width, move in zip(logs, widths, moves, strict=True)]
    cut = slow_cut(
        sorted(places, key=lambda i: strayed[i]), durations, batch_seconds, max_utterances
    )
    return [cut[i] for i in rng.permutation(len(cut))]


def slow_cut(
    order: list[int], durations: list[float], batch_seconds: float, max_utterances: int
) -> list[list[int]]:
    batches: list[list[int]] = []
    for i in order:
        batch = [*batches[-1], i] if batches else []
        seconds = len(batch) * max((durations[j] for j in batch), default=0.0)
        if batch and len(batch) <= max_utterances and seconds <= batch_seconds:
            batches[-1] = batch
        else:
            batches.append([i])
    return batches


def slow_plan(
    draws: list[Draw],
    durations: list[float],
    accumulate: int,
    rank: int,
    world_size: int,
    **options: Any,
) -> list[list[list[Draw]]]:
    """The micro-batches of one rank, by update; durations: of each utterance."""
    seconds = [math.prod(draw.stretches) * durations[draw.index] for draw in draws]
    return [
        [
            [draws[slot] for slot in batch[i :: min(accumulate, len(batch))][rank::world_size]]
            for i in range(min(accumulate, len(batch)))
        ]
        for batch in slow_batches(seconds, **options)
    ]
