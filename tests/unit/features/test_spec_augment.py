"""SpecAugment: widths within their limits, and masks that the batch cannot change."""

import pytest
import torch

from asr.core.padded import Padded
from asr.features.spec_augment import SpecAugment

OPTIONS = {
    "frequency_masks": 2,
    "frequency_width": 9,
    "time_masks": 2,
    "time_width": 15,
    "time_share": 0.1,
    "time_masks_per_frame": None,
}


def ones(*lengths: int, features: int = 40) -> Padded:
    values = torch.ones(len(lengths), max(lengths), features)
    return Padded(values, torch.tensor(lengths)).zeroed()


def runs(masked: torch.Tensor) -> list[int]:
    """Lengths of the runs of True."""
    text = "".join("x" if m else " " for m in masked.tolist())
    return [len(run) for run in text.split()]


def test_masks_stay_within_their_widths_and_reach_them() -> None:
    seeds = torch.arange(400)
    module = SpecAugment(**OPTIONS | {"time_masks": 1, "frequency_masks": 1})
    for length, widest in ((40, 4), (120, 12), (300, 15)):
        values = module(ones(*[length] * 400), seeds).values
        frames = [sum(runs((v == 0).all(dim=1))) for v in values]
        bands = [sum(runs((v == 0).all(dim=0))) for v in values]
        assert set(frames) == set(range(widest + 1))
        assert set(bands) == set(range(10))
        assert abs(sum(frames) / 400 - widest / 2) < 1  # uniform
        starts = [(v == 0).all(dim=1).int().argmax().item() for v in values]
        assert max(starts) > 0.9 * (length - widest) and min(s for s in starts if s) < length / 10


def test_counts_of_masks() -> None:
    module = SpecAugment(**OPTIONS | {"time_masks": 3})
    values = module(ones(*[300] * 200), torch.arange(200)).values
    assert max(len(runs((v == 0).all(dim=1))) for v in values) == 3
    assert max(len(runs((v == 0).all(dim=0))) for v in values) == 2


def test_adaptive_masks_grow_with_the_utterance_and_stay_within_their_share() -> None:
    adaptive = {"time_masks": 20, "time_width": 1000, "time_share": 0.04}
    module = SpecAugment(**OPTIONS | adaptive | {"time_masks_per_frame": 0.04})
    for length in (20, 25, 120, 499, 500, 1200):
        values = module(ones(*[length] * 200), torch.arange(200)).values
        masked = (values == 0).all(dim=2)  # (B, T)
        number, width = min(20, length // 25), length // 25
        assert masked.sum(dim=1).max() <= number * width
        counts = [len(runs(m)) for m in masked]
        assert max(counts) <= number
        if number:
            # Widths are uniform from 0 to `width`; overlaps take a little of what they add up to.
            expected = 1 - (1 - width / 2 / length) ** number
            assert masked.float().mean() == pytest.approx(expected, rel=0.15)


def test_the_number_of_adaptive_masks_is_the_utterances_own() -> None:
    module = SpecAugment(**OPTIONS | {"time_masks": 20, "time_masks_per_frame": 0.04})
    seeds = torch.tensor([3, 4])
    together, alone = module(ones(600, 90), seeds), module(ones(90), seeds[1:])
    assert torch.equal(together.values[1, :90], alone.values[0])


def test_draws_of_a_fixed_number_are_what_they_were() -> None:
    """Recorded when there were no adaptive masks: a run that goes on gets the same."""
    values = SpecAugment(**OPTIONS)(ones(200, 90), torch.tensor([7, 8])).values
    one, other = values[0], values[1, :90]
    frames = [(v == 0).all(dim=1).nonzero().flatten().tolist() for v in (one, other)]
    bands = [(v == 0).all(dim=0).nonzero().flatten().tolist() for v in (one, other)]
    assert frames == [[*range(12, 19), *range(94, 101)], [*range(16, 24), *range(67, 76)]]
    assert bands == [[17, 18, *range(34, 40)], [*range(3, 16)]]


def test_only_masked_cells_change_and_lengths_stay() -> None:
    features = Padded(torch.randn(4, 90, 40), torch.tensor([90, 60, 1, 0])).zeroed()
    masked = SpecAugment(**OPTIONS)(features, torch.arange(4))
    changed = masked.values != features.values
    assert changed.any() and (masked.values[changed] == 0).all()
    assert torch.equal(masked.lengths, features.lengths)


def test_masks_depend_on_the_utterances_own_seed_and_length_only() -> None:
    module = SpecAugment(**OPTIONS)
    batch = module(ones(300, 200, 100), torch.tensor([7, 8, 2**62]))
    again = module(ones(200, 50, 100), torch.tensor([8, 9, 2**62]))
    assert torch.equal(batch.values[1, :200], again.values[0])
    assert torch.equal(batch.values[2, :100], again.values[2, :100])
    other = module(ones(200), torch.tensor([9]))
    assert not torch.equal(other.values[0], again.values[0])


def test_nothing_happens_outside_training() -> None:
    module, features = SpecAugment(**OPTIONS).eval(), ones(50, 30)
    assert module(features, None) is features
    assert module(features, torch.arange(2)) is features


def test_training_needs_seeds_only_where_masks_are_drawn() -> None:
    features = ones(50, 30)
    with pytest.raises(ValueError, match="needs each utterance's seed"):
        SpecAugment(**OPTIONS)(features, None)
    assert (
        SpecAugment(**OPTIONS | {"frequency_masks": 0, "time_masks": 0})(features, None) is features
    )


@pytest.mark.parametrize("option", ["frequency_masks", "time_masks"])
def test_one_kind_alone(option: str) -> None:
    values = SpecAugment(**OPTIONS | {option: 0})(ones(*[300] * 9), torch.arange(9)).values
    whole = (values == 0).all(dim=2 if option == "frequency_masks" else 1)
    other = (values == 0).all(dim=1 if option == "frequency_masks" else 2)
    assert whole.any() and not other.any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"time_masks": -1}, r"spec_augment\.time_masks=-1 must be >= 0"),
        ({"frequency_width": -2}, r"spec_augment\.frequency_width=-2 must be >= 0"),
        ({"time_share": 1.5}, r"spec_augment\.time_share=1\.5 must be from 0 to 1"),
        ({"time_masks_per_frame": 4.0}, r"time_masks_per_frame=4\.0 must be from 0 to 1"),
    ],
)
def test_options_out_of_range(options: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SpecAugment(**OPTIONS | options)
