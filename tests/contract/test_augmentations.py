"""What every augmentation of configs/augment/ promises, at its own options."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf
from sounds import RATE, delay, rng, scene, talk
from support import CONFIGS, variants

from asr.augment.base import Augment
from asr.wiring.build import build

AUGMENTATIONS = variants("augment")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Audio that serves for noise and for rooms: what is loudest comes first, and decays."""
    path = tmp_path_factory.mktemp("audio")
    for seed in range(3):
        decay = np.exp(-np.arange(4000) / 400)
        sound = 0.05 * rng(seed).standard_normal(4000) * decay
        sound[100] = 0.9
        soundfile.write(path / f"{seed}.wav", sound, 8000 if seed else RATE)
    return path


def augmentation(name: str, folder: Path) -> Augment:
    node = OmegaConf.to_container(OmegaConf.load(CONFIGS / "augment" / f"{name}.yaml"))[name]
    own = {"probability": 1.0, "folder": str(folder)}
    augment = build(node | {k: v for k, v in own.items() if k in node})
    assert isinstance(augment, Augment)
    return augment


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_generator_alone_decides(name: str, folder: Path) -> None:
    augment = augmentation(name, folder)
    travelled = pickle.loads(pickle.dumps(augment))  # to a loader process
    stretches = [float(augment.stretch(3, rng(seed))[1]) for seed in range(8)]
    assert stretches == [float(travelled.stretch(3, rng(seed))[1]) for seed in range(8)]
    waveform = talk()
    waveform.flags.writeable = False
    forth = [augment(waveform, rng(s), scene(stretches[s])) for s in range(8)]
    back = [travelled(waveform, rng(s), scene(stretches[s])) for s in reversed(range(8))]
    for one, other in zip(forth, reversed(back), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({one.tobytes() for one in forth}) > 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("rate", [8000, RATE, 22050])
def test_lengths_are_what_the_plan_says(name: str, rate: int, folder: Path) -> None:
    augment = augmentation(name, folder)
    for samples in (1, 2, 161, 20011):
        stretch = float(augment.stretch(1, rng(samples))[0])
        changed = augment(talk(samples), rng(samples), scene(stretch, rate))
        assert changed.dtype == np.float32 and np.isfinite(changed).all()
        assert abs(len(changed) - samples * stretch) <= (0 if stretch == 1 else 1)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_words_stay_where_they_are(name: str, folder: Path) -> None:
    augment = augmentation(name, folder)
    for seed in range(10):
        assert abs(delay(augment(talk(seed=seed), rng(seed), scene()), talk(seed=seed))) <= 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_silence_remains_silence(name: str, folder: Path) -> None:
    augment, silence = augmentation(name, folder), np.zeros(800, np.float32)
    for seed in range(6):
        changed = augment(silence, rng(seed), scene())
        np.testing.assert_allclose(changed, silence, atol=1e-3)  # a codec hums
