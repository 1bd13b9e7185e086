"""Packing as a user does it, and training from shards: the same batches, bit for bit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import command

from asr.augment.noise import Noise
from asr.augment.speed import Speed
from asr.core.audio import audio_info
from asr.corpus.manifest import read_manifest
from asr.corpus.packing import pack
from asr.data.batch import Batch
from asr.data.dataset import SpeechDataset
from asr.data.loader import TrainingData
from asr.tokenizer.char import Char


@pytest.fixture(scope="module")
def speech(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of real flac, opus, mp3 and headerless recordings, whole and in parts."""
    lines: list[dict[str, Any]] = []
    for suffix, raw in (("flac", None), ("opus", None), ("mp3", None), ("raw", "s16be:16000:1")):
        folder = shared_data / ("an4" if raw else "LibriSpeech")
        for path in sorted(folder.rglob(f"*.{suffix}"))[::17][:4]:
            seconds = audio_info(path, raw).duration
            line = {"audio_filepath": str(path), "duration": seconds, "text": "ab", "raw": raw}
            third = line | {"duration": seconds / 3, "offset": seconds / 7}
            lines += [line, third] if len(lines) % 3 == 0 else [line]
    path = tmp_path_factory.mktemp("speech") / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def batches(manifest: Path, epoch: int, workers: int) -> Iterator[Batch]:
    dataset = SpeechDataset(
        read_manifest(manifest), Char(["a", "b"]), 16000, seed=3,
        augments={
            "speed": Speed(factors=[0.9, 1.0, 1.1]),
            "noise": Noise(probability=0.5, snr_low_db=5.0, snr_high_db=20.0),
        },
    )  # fmt: skip
    data = TrainingData(
        dataset, None, batch_seconds=60, max_utterances=8, sortagrad_epochs=1, accumulate=1,
        workers=workers, worker_timeout=60,
    )  # fmt: skip
    for update in data.updates(data.plan(epoch)):
        yield from update


def test_batches_from_shards_are_those_from_files(speech: Path, tmp_path: Path) -> None:
    packed = pack(
        read_manifest(speech), "train", tmp_path, shard_bytes=400_000, skip=False, workers=2
    )
    assert len(packed.shards) > 2 and packed.num_files == 16 < packed.num_utterances
    for epoch, workers in ((0, 2), (1, 0)):
        pairs = zip(batches(speech, epoch, 0), batches(packed.path, epoch, workers), strict=True)
        for one, other in pairs:
            assert one.ids == other.ids and one.texts == other.texts
            assert not one.unreadable and torch.equal(one.seeds, other.seeds)
            assert torch.equal(one.waveforms.values, other.waveforms.values)
            assert torch.equal(one.waveforms.lengths, other.waveforms.lengths)


def test_a_cut_shard_names_itself_and_the_utterance(speech: Path, tmp_path: Path) -> None:
    packed = pack(
        read_manifest(speech), "train", tmp_path, shard_bytes=10**9, skip=False, workers=1
    )
    shard = packed.shards[0]
    with shard.open("r+b") as file:
        file.truncate(shard.stat().st_size // 2)
    whole, cut = batches(speech, 0, 0), batches(packed.path, 0, 0)
    reasons = [reason for batch in cut for _, reason in batch.unreadable]
    names = {u.id for u in read_manifest(speech)}
    assert len(reasons) > 5 and len(list(whole)) > 0
    for reason in reasons:
        assert reason.split(": ")[0].removeprefix("utterance ") in names
        assert f"{shard}#" in reason and "cut short" in reason


def test_the_command(speech: Path, tmp_path: Path) -> None:
    lines = speech.read_text().splitlines(keepends=True)
    gone = [line.replace(".flac", ".gone") if i == 2 else line for i, line in enumerate(lines)]
    manifest = tmp_path / "dev.jsonl"
    manifest.write_text("".join(gone))
    given = (f"manifest={manifest}", f"output={tmp_path / 'packed'}", "shard_megabytes=0.5")
    failed = command("pack", *given)
    assert failed.returncode == 1 and "gone: no such file" in failed.stderr
    assert "skip_unreadable=true" in failed.stderr and not (tmp_path / "packed").exists()
    done = command("pack", *given, "skip_unreadable=true")
    assert done.returncode == 0 and done.stderr == ""
    assert "1 audio files could not be read, and were left out" in done.stdout
    num_shards = len(list((tmp_path / "packed").glob("dev-*.tar")))
    assert num_shards > 1 and f"in 15 files, {num_shards} shards" in done.stdout
