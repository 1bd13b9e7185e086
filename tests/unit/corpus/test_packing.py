"""Packing into shards: nothing changes but where the audio lies."""

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.corpus.manifest import Utterance, read_manifest
from asr.corpus.packing import Packed, pack

RATE = 8000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A manifest of seven files; the fourth holds three utterances, the last has no header."""
    lines: list[dict[str, Any]] = []
    for i, suffix in enumerate(["wav", "flac", "ogg", "wav", "mp3", "flac", "bin"]):
        samples = np.random.default_rng(i).normal(0, 0.1, RATE + i)
        form = {"format": "RAW", "subtype": "PCM_16"} if suffix == "bin" else {}
        soundfile.write(tmp_path / f"file {i}.{suffix}", samples, RATE, **form)
        lines.append(
            {
                "audio_filepath": f"file {i}.{suffix}",
                "duration": len(samples) / RATE,
                "text": "é\x85",
            }
        )
    lines[6]["raw"] = "s16le:8000:1"
    lines[2] |= {"speaker": "s.1", "id": "an.id/with dots", "noise": {"snr": [1, None]}}
    third = 1 / 3 + 1e-9  # more digits than prepare writes
    lines[3] |= {"duration": third, "offset": 0.1234567891}
    lines.insert(1, lines[3] | {"offset": 0.0, "text": "ü"})
    lines.append(lines[4] | {"offset": third})
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def packed(source: Path, folder: Path, **options: Any) -> Packed:
    defaults: dict[str, Any] = {"shard_bytes": 40_000, "skip": False, "workers": 3}
    return pack(read_manifest(source), source.stem, folder, **(defaults | options))


def without_audio(path: Path) -> list[Utterance]:
    return [replace(u, audio="") for u in read_manifest(path)]


def test_the_manifest_is_the_same_but_for_the_audio(source: Path, tmp_path: Path) -> None:
    result = packed(source, tmp_path / "out")
    assert without_audio(result.path) == without_audio(source)
    assert [s.name for s in result.shards] == [f"train-{i:06d}.tar" for i in range(3)]
    assert result[1:3] == (9, 7) and result.unreadable == {}
    assert sum(s.stat().st_size for s in result.shards) - result.num_bytes < 3 * 11_000
    assert sorted(p.suffix for p in (tmp_path / "out").iterdir()) == [".jsonl"] + [".tar"] * 3


def test_others_read_the_shards(source: Path, tmp_path: Path) -> None:
    """As WebDataset does: members that share a key are a sample."""
    result = packed(source, tmp_path / "out")
    pieces = {u.audio for u in read_manifest(result.path)}
    originals = list(dict.fromkeys(u.audio for u in read_manifest(source)))
    samples: dict[str, dict[str, bytes]] = {}
    for shard in result.shards:
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                assert "." not in extension and (extension != "json" or key == list(samples)[-1])
                file = tar.extractfile(member)
                assert file is not None
                samples.setdefault(key, {})[extension] = file.read()
                if extension != "json":
                    assert f"{shard}#{member.offset_data}+{member.size}" in pieces
    assert len(samples) == len(pieces) == len(originals)
    for (key, sample), original in zip(samples.items(), originals, strict=True):
        about = json.loads(sample.pop("json"))
        ((extension, content),) = sample.items()
        assert content == Path(original).read_bytes()
        assert extension == Path(original).suffix[1:].replace("bin", "raw")
        utterances = about.get("utterances", [about])
        assert len(utterances) == (3 if "file 3" in original else 1)
        assert {u["audio_filepath"] for u in utterances} == {f"{key}.{extension}"}
    assert json.loads(json.dumps(about))["text"] == "é\x85"


def test_shards_are_no_larger_than_asked(source: Path, tmp_path: Path) -> None:
    packed(source, tmp_path / "one", shard_bytes=10**9)
    assert len(list((tmp_path / "one").glob("*.tar"))) == 1
    packed(source, tmp_path / "each", shard_bytes=1)
    assert len(list((tmp_path / "each").glob("*.tar"))) == 7
    for shard in packed(source, tmp_path / "some").shards:
        assert shard.stat().st_size <= 40_000 + 10_240  # tar's own padding


def test_what_cannot_be_read_is_named_or_left_out(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file 0.wav").unlink()
    (tmp_path / "file 3.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="2 of 7 audio files cannot") as error:
        packed(source, tmp_path / "out")
    assert "file 0.wav: no such file" in str(error.value) and not (tmp_path / "out").exists()
    result = packed(source, tmp_path / "out", skip=True)
    assert {Path(path).name for path, _ in result.unreadable} == {"file 0.wav", "file 3.wav"}
    assert result[1:3] == (5, 5) and len(read_manifest(result.path)) == 5
    for path in tmp_path.glob("file *"):
        path.unlink()
    with pytest.raises(ValueError, match="7 of 7 audio files cannot"):
        packed(source, tmp_path / "none", skip=True)


def test_an_interrupted_packing_goes_on(source: Path, tmp_path: Path) -> None:
    whole = packed(source, tmp_path / "whole")
    folder = tmp_path / "out"
    result = packed(source, folder)
    result.path.unlink()
    result.shards[1].rename(folder / "train-000001.tar.part")
    kept = result.shards[0].stat().st_mtime_ns
    packed(source, folder)
    assert result.shards[0].stat().st_mtime_ns == kept
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        p.name: p.read_bytes() for p in whole.path.parent.iterdir()
    }


def test_another_packing_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    result = packed(source, folder)
    before = {p: p.read_bytes() for p in result.shards}
    with pytest.raises(ValueError, match=r"train\.jsonl is there already"):
        packed(source, folder)
    result.path.unlink()
    for size in (1, 30_000, 10**9):
        with pytest.raises(ValueError, match=r"train-00000\d\.tar is of another packing"):
            packed(source, folder, shard_bytes=size)
    assert {p: p.read_bytes() for p in result.shards} == before
    result.shards[2].write_bytes(b"not a tar")
    with pytest.raises(ValueError, match=r"train-000002\.tar is of another packing"):
        packed(source, folder)


def test_splits_share_a_folder_and_shards_can_be_packed_again(source: Path, tmp_path: Path) -> None:
    first = packed(source, tmp_path / "out")
    other = source.rename(tmp_path / "dev.jsonl")
    second = packed(other, tmp_path / "out", shard_bytes=1)
    again = packed(first.path, tmp_path / "again", shard_bytes=1)
    assert without_audio(second.path) == without_audio(again.path)
    for one, two in zip(second.shards, again.shards, strict=True):
        with tarfile.open(one) as dev, tarfile.open(two) as train:
            assert [m.name for m in dev] == [m.name for m in train]
            for member in dev.getmembers():
                found = train.extractfile(member.name)
                kept = dev.extractfile(member)
                assert found is not None and kept is not None and found.read() == kept.read()


def test_a_packing_needs_room(source: Path, disk_of: Callable[[str], Path]) -> None:
    disk = disk_of("64k")
    with pytest.raises(ValueError, match="there is no room for"):
        packed(source, disk)
    assert not list(disk.iterdir())
