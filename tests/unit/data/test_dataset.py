"""What an epoch holds, and that each utterance's randomness is its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.augment.babble import Babble
from asr.augment.noise import Noise
from asr.augment.speed import Speed
from asr.corpus.manifest import Manifest, Utterance
from asr.data.batch import Batch, Example
from asr.data.dataset import SpeechDataset
from asr.data.loader import TrainingData, evaluation_plan, load_batches
from asr.tokenizer.char import Char

RATE = 16000


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    utterances = []
    for i in range(12):
        seconds = 0.2 + 0.05 * i
        samples = np.random.default_rng(i).normal(0, 0.1, round(seconds * RATE))
        soundfile.write(tmp_path / f"{i}.wav", samples, RATE, subtype="FLOAT")
        utterances.append(Utterance(f"u{i}", str(tmp_path / f"{i}.wav"), seconds, "ab a"[: i % 4]))
    return Manifest(utterances, "test")


def dataset(manifest: Manifest, **options: object) -> SpeechDataset:
    return SpeechDataset(manifest, Char(["a", "b", " "]), RATE, **options)  # type: ignore[arg-type]


def augments() -> dict[str, object]:
    noise = Noise(probability=1.0, snr_low_db=5.0, snr_high_db=10.0)
    return {"speed": Speed(factors=[0.9, 1.0, 1.1]), "noise": noise}


def data(source: SpeechDataset, **options: object) -> TrainingData:
    defaults = {"batch_seconds": 2.0, "max_utterances": 4, "sortagrad_epochs": 1}
    defaults |= {"accumulate": 1, "workers": 0, "worker_timeout": 60}
    return TrainingData(source, None, **(defaults | options))  # type: ignore[arg-type]


def test_durations_are_those_of_the_audio_that_is_read(manifest: Manifest) -> None:
    source = dataset(manifest, augments=augments())
    draws = source.draws(epoch=3)
    assert {round(d.stretches[0], 3) for d in draws} == {0.909, 1.0, 1.111}
    for draw, seconds in zip(draws, source.durations(draws), strict=True):
        assert len(source[draw].waveform) == pytest.approx(seconds * RATE, abs=1)


def test_an_utterance_sounds_the_same_whoever_reads_it(manifest: Manifest) -> None:
    source = dataset(manifest, augments=augments(), seed=5)
    plan = data(source).plan(2)
    again = data(dataset(manifest, augments=augments(), seed=5), workers=2).plan(2)
    assert list(plan) == list(again)
    alone = [batch for update in data(source).updates(plan) for batch in update]
    workers = [batch for update in data(source, workers=2).updates(plan) for batch in update]
    for one, other in zip(alone, workers, strict=True):
        assert one.ids == other.ids and torch.equal(one.seeds, other.seeds)
        assert torch.equal(one.waveforms.values, other.waveforms.values)
    # ... and differently in another epoch, or under another seed.
    draw = source.draws(0)[7]
    first = source[draw]
    noisy = dataset(manifest, augments={"noise": augments()["noise"]})  # of one length always
    one, other_epoch = (noisy[noisy.draws(epoch)[7]].waveform for epoch in (0, 1))
    assert one.shape == other_epoch.shape and not torch.equal(one, other_epoch)
    other_seed = dataset(manifest, augments=augments(), seed=6)
    assert other_seed[other_seed.draws(0)[7]].seed != first.seed


def test_a_plan_can_be_entered_anywhere(manifest: Manifest) -> None:
    training = data(dataset(manifest))
    plan = training.plan(1)
    assert len(plan) > 3
    whole = [[b.ids for b in update] for update in training.updates(plan)]
    assert [[b.ids for b in update] for update in training.updates(plan, 2)] == whole[2:]


def test_the_first_epoch_ascends_and_later_ones_do_not(manifest: Manifest) -> None:
    training = data(dataset(manifest))

    def longest(epoch: int) -> list[int]:
        updates = training.updates(training.plan(epoch))
        return [int(b.waveforms.lengths.max()) for update in updates for b in update]

    assert longest(0) == sorted(longest(0))
    assert any(longest(e) != sorted(longest(e)) for e in (1, 2, 3))


def test_weights_say_how_often(manifest: Manifest) -> None:
    source = dataset(manifest)
    weights = np.array([2.0, 0.0, 0.5] + [1.0] * 9)
    counts = np.zeros(12)
    for epoch in range(200):
        epoch_counts = np.bincount([d.index for d in source.draws(epoch, weights)], minlength=12)
        assert epoch_counts[0] == 2 and epoch_counts[1] == 0
        assert (epoch_counts[3:] == 1).all() and epoch_counts[2] in (0, 1)
        counts += epoch_counts
    assert 70 < counts[2] < 130
    assert list(source.draws(4, weights)) == list(source.draws(4, weights))


def test_a_slot_drawn_twice_is_augmented_twice(manifest: Manifest) -> None:
    source = dataset(manifest, augments={"noise": augments()["noise"]})
    one, two = source.draws(0, np.full(12, 2.0))[:2]
    assert one.index == two.index
    assert not torch.equal(source[one].waveform, source[two].waveform)


def babble() -> dict[str, Babble]:
    options = {"talkers_low": 3, "talkers_high": 3, "level_range_db": 0.0}
    return {"babble": Babble(probability=1.0, snr_low_db=0, snr_high_db=0, **options)}


def test_babble_is_of_all_other_utterances_and_never_of_itself(tmp_path: Path) -> None:
    """Each utterance is told by its level, the same all along."""
    utterances = []
    for i in range(6):
        path, count = tmp_path / f"{i}.wav", 800 + i
        soundfile.write(path, np.full(count, 0.5 / 2**i), RATE, subtype="FLOAT")
        utterances.append(Utterance(f"u{i}", str(path), count / RATE, ""))
    source = dataset(Manifest(utterances, "levels"))
    for index in range(6):
        pieces = [source._other(index, 400, np.random.default_rng(s)) for s in range(100)]
        assert all(len(piece) == 400 and np.ptp(piece) == 0 for piece in pieces)
        counts = np.bincount([round(np.log2(0.5 / piece[0])) for piece in pieces], minlength=6)
        assert counts[index] == 0 and (np.delete(counts, index) > 5).all()


def test_babble_sounds_the_same_in_any_order(manifest: Manifest) -> None:
    source = dataset(manifest, augments=babble(), seed=3)
    draws = source.draws(1)
    forth = {d.slot: source[d].waveform for d in draws}
    again = dataset(manifest, augments=babble(), seed=3)
    for draw in reversed(draws):
        assert torch.equal(again[draw].waveform, forth[draw.slot])
        clean = dataset(manifest)[replace(draw, stretches=())].waveform
        added = again[draw].waveform - clean
        assert float(added.square().mean() / clean.square().mean()) == pytest.approx(1, rel=1e-3)


def test_babble_passes_over_what_cannot_be_read(manifest: Manifest, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.wav").write_bytes(b"")
    source = dataset(manifest, augments=babble())
    found = [source[draw] for draw in source.draws(0)]
    assert [isinstance(each, Example) for each in found] == [False] * 3 + [True] * 9
    only = dataset(Manifest([manifest[5]], "one"), augments=babble())
    assert "babble needs other utterances" in str(only[only.draws(0)[0]])


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(
    manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "3.wav").write_bytes(b"")
    source = dataset(manifest)
    for workers in (0, 1):
        with pytest.raises(ValueError, match=r"utterance u3: .*3\.wav") as caught:
            list(load_batches(source, evaluation_plan(source, 10, 4), workers))
        assert "Traceback" not in str(caught.value)


def test_loss_is_optional_where_a_symbol_is_unknown(manifest: Manifest) -> None:
    odd = Manifest([*manifest, Utterance("odd", manifest[0].audio, 0.2, "abc")])
    draw = dataset(odd).draws(0)[-1]
    assert "'c'" in str(dataset(odd)[draw])
    example = dataset(odd, loss_optional=True)[draw]
    assert isinstance(example, Example) and len(example.tokens) == 0 and example.text == "abc"


def test_evaluation_reads_each_utterance_once(manifest: Manifest) -> None:
    source = dataset(manifest)
    batches = list(load_batches(source, evaluation_plan(source, 1.5, 5), 0))
    assert all(isinstance(b, Batch) for b in batches)
    assert sorted(i for b in batches for i in b.ids) == sorted(u.id for u in manifest)
