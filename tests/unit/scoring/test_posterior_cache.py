"""Cached log-probabilities: those of the recogniser, computed once, and never those of others."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import DictConfig
from torch import Tensor

from asr.core.audio import load_waveform
from asr.core.padded import Padded
from asr.corpus.manifest import Manifest, Utterance
from asr.data.dataset import SpeechDataset
from asr.recognizer.recognizer import Recognizer
from asr.scoring.posterior_cache import cached_log_probs
from asr.tokenizer.char import Char
from asr.wiring.recognizer import build_recognizer

LENGTHS = [9000, 16000, 4000, 12000]  # samples


@pytest.fixture(scope="module")
def recognizer(compose_config: Callable[..., DictConfig]) -> Recognizer:
    torch.manual_seed(1)
    config = compose_config("train", "model=deepspeech2_tiny", "spec_augment=none")
    return build_recognizer(config, Char(" abc")).eval()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "best.pt").write_bytes(b"weights")
    rng = np.random.default_rng(1)
    utterances = []
    for i, length in enumerate(LENGTHS):
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(0, 0.1, length), 16000)
        audio = str(tmp_path / f"{i}.wav")
        utterances.append(Utterance(f"u{i}", audio, length / 16000, "ab ñ"))
    return Manifest(utterances, "mine/dev")


class Cache:
    """The cache of a manifest, and how many utterances were computed in its last use."""

    def __init__(self, recognizer: Recognizer, folder: Path) -> None:
        self.recognizer, self.folder = recognizer, folder
        self.batches: list[int] = []

    def __call__(self, manifest: Manifest, **options: float) -> list[Tensor]:
        self.batches = []
        dataset = SpeechDataset(manifest, self.recognizer.tokenizer, 16000, loss_optional=True)
        return cached_log_probs(
            self.recognizer, dataset, self.folder / "best.pt", self.folder / "posteriors",
            **{"batch_seconds": 2, "max_utterances": 2, "workers": 0} | options,
            progress=self.batches.append,
        )  # fmt: skip

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / "posteriors").iterdir())


@pytest.fixture
def cache(recognizer: Recognizer, tmp_path: Path) -> Cache:
    return Cache(recognizer, tmp_path)


def test_they_are_the_recognizers_own(
    cache: Cache, manifest: Manifest, recognizer: Recognizer
) -> None:
    for _ in range(2):
        found = cache(manifest)
        assert sum(cache.batches) == len(manifest)
        for utterance, values in zip(manifest, found, strict=True):
            waveform = torch.from_numpy(load_waveform(utterance.audio, 16000))
            with torch.inference_mode():
                alone = recognizer(Padded.stack([waveform]))
            assert values.dtype == torch.float32
            assert values.shape == alone.values[0].shape
            torch.testing.assert_close(values, alone.values[0], atol=1e-4, rtol=0)


def test_the_second_time_they_are_read(cache: Cache, manifest: Manifest) -> None:
    first = cache(manifest)
    assert len(cache.batches) > 1
    [file] = cache.files
    assert file.name.startswith("mine-dev-")
    written = file.stat().st_mtime_ns
    second = cache(manifest, max_utterances=1)
    assert cache.batches == [len(manifest)]
    assert cache.files == [file] and file.stat().st_mtime_ns == written
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_texts_do_not_matter_but_audio_and_weights_do(
    cache: Cache, manifest: Manifest, tmp_path: Path
) -> None:
    cache(manifest)

    def is_read(changed: Manifest) -> bool:
        cache(changed)
        return cache.batches == [len(changed)]

    assert is_read(Manifest([replace(u, text="c", id="x" + u.id) for u in manifest], "mine/dev"))
    # Another manifest of the same name, in another order or with other stretches.
    assert not is_read(Manifest(list(manifest)[::-1], "mine/dev"))
    assert not is_read(Manifest([replace(u, duration=0.2) for u in manifest], "mine/dev"))
    assert not is_read(Manifest([replace(u, offset=0.01) for u in manifest], "mine/dev"))
    assert is_read(manifest)
    os.utime(manifest[0].audio, (1, 1))
    assert not is_read(manifest)
    (tmp_path / "best.pt").write_bytes(b"other weights")
    assert not is_read(manifest)
    assert is_read(manifest)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "text", "short"])
def test_a_damaged_file_is_computed_anew(cache: Cache, manifest: Manifest, damage: str) -> None:
    first = cache(manifest)
    [file] = cache.files
    content = bytearray(file.read_bytes())
    if damage == "short":  # sound, but not of this manifest
        np.savez(file, values=np.zeros((7, 5), np.float32), lengths=np.array([3, 4]))
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes({"cut": content[:-400], "empty": b"", "text": b"no archive"}[damage])
    second = cache(manifest)
    assert len(cache.batches) > 1
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    cache(manifest)
    assert cache.batches == [len(manifest)]


def test_nothing_is_left_of_what_failed(cache: Cache, manifest: Manifest) -> None:
    Path(manifest[1].audio).write_text("no audio")
    with pytest.raises(ValueError, match="utterance u1"):
        cache(manifest)
    Path(manifest[1].audio).unlink()
    with pytest.raises(ValueError, match="utterance u1"):
        cache(manifest)
    assert not (cache.folder / "posteriors").exists()
