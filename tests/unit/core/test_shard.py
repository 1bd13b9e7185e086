"""Pieces of tar shards: their bytes and sounds are those of the files, and damage is named."""

import io
import os
import tarfile
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.core.audio import audio_info, load_waveform, stream_waveform
from asr.core.shard import container, open_piece

RATE = 16000
KINDS = {
    "wav": ("WAV", "PCM_16", 1),
    "flac": ("FLAC", "PCM_24", 2),
    "ogg": ("OGG", "VORBIS", 1),
    "opus": ("OGG", "OPUS", 1),
    "mp3": ("MP3", "MPEG_LAYER_III", 2),
    "raw": ("RAW", "PCM_16", 1),
}


def sound(seed: int, seconds: float = 1.5, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (round(seconds * RATE), channels))


def tar_of(path: Path, files: list[Path], form: int = tarfile.USTAR_FORMAT) -> list[str]:
    """Write a tar as others do, and name its members' pieces."""
    with tarfile.open(path, "w", format=form) as tar:
        for file in files:
            tar.add(
                file, arcname=f"{'long/' * 60 if form != tarfile.USTAR_FORMAT else ''}{file.name}"
            )
    with tarfile.open(path) as tar:
        return [f"{path}#{m.offset_data}+{m.size}" for m in tar]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_piece_sounds_as_the_file(tmp_path: Path, form: int) -> None:
    files = []
    for i, (kind, (container_form, subtype, channels)) in enumerate(KINDS.items()):
        files.append(tmp_path / f"{i}.{kind}")
        samples = sound(i, 18 if kind == "mp3" else 1.5, channels)  # two blocks
        soundfile.write(files[-1], samples, RATE, format=container_form, subtype=subtype)
    pieces = tar_of(tmp_path / "a#1+1.tar", files, form)
    for file, piece in zip(files, pieces, strict=True):
        raw = "s16le:16000:1" if file.suffix == ".raw" else None
        assert audio_info(piece, raw) == audio_info(file, raw)
        for rate, options in ((RATE, {}), (RATE, {"offset": 0.3, "duration": 0.7}), (8000, {})):
            expected = load_waveform(file, rate, raw=raw, **options)
            np.testing.assert_array_equal(load_waveform(piece, rate, raw=raw, **options), expected)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=3),
    steps=st.lists(st.tuples(st.integers(-2500, 2500), st.integers(0, 2), st.integers(0, 1500))),
)
def test_a_piece_is_a_file_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], steps: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("shard")
    contents = [np.random.default_rng(size).bytes(size) for size in sizes]
    for i, content in enumerate(contents):
        (folder / str(i)).write_bytes(content)
    pieces = tar_of(folder / "a.tar", [folder / str(i) for i in range(len(sizes))])
    for name, content in zip(pieces, contents, strict=True):
        piece, oracle = open_piece(name), io.BytesIO(content)
        assert piece is not None
        for offset, whence, count in steps:
            place = max(0, offset + (0, oracle.tell(), len(content))[whence])
            assert piece.seek(offset, whence) == oracle.seek(place)
            assert piece.read(count) == oracle.read(count)
            assert piece.tell() == oracle.tell()


@pytest.fixture
def piece(tmp_path: Path) -> str:
    """A wav of 1.5 s in a shard, between two others."""
    for i in range(3):
        soundfile.write(tmp_path / f"{i}.wav", sound(i), RATE)
    return tar_of(tmp_path / "a.tar", [tmp_path / f"{i}.wav" for i in range(3)])[1]


def test_only_pieces_of_tars_are_pieces(piece: str) -> None:
    for name in ("a.wav", "a.tar", "a.tar#1", "a.tar#1+x", "a.wav#1+1", "a.tar#-1+1", "#1+1"):
        assert container(name) == name and open_piece(name) is None
    assert container(piece) == piece.partition("#")[0]


def test_what_is_wrong_with_a_shard_is_said(tmp_path: Path, piece: str) -> None:
    path, _, place = piece.partition("#")
    start, length = map(int, place.split("+"))

    def says(name: str, *words: str) -> None:
        for read in (audio_info, lambda name: load_waveform(name, RATE)):
            with pytest.raises(ValueError) as error:
                read(name)
            assert all(word in str(error.value) for word in (name.partition("#")[0], *words))

    assert len(load_waveform(piece, RATE)) == 1.5 * RATE
    no_member = "no member of"
    for begin, count in (
        (start + 512, length), (start - 1, length), (0, length), (start, 0), (start, length - 1),
    ):  # fmt: skip
        says(f"{path}#{begin}+{count}", no_member, "of another packing")
    says(f"{path}#{start}+{10**17}", "cut short", "copy it again")
    says(f"{tmp_path}/gone.tar#512+9", "no such file")
    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / "folder.tar").mkdir()
    for name in ("pipe", "folder"):
        says(f"{tmp_path}/{name}.tar#512+9", "a regular file")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(Path(path).read_bytes()[: start + length - 1])
    says(f"{cut}#{place}", place, "the shard is cut short")
    damaged = bytearray(Path(path).read_bytes())
    damaged[start : start + 4] = b"RIFX"
    (tmp_path / "damaged.tar").write_bytes(damaged)
    says(f"{tmp_path}/damaged.tar#{place}", place, "not audio", f"subfile,,start,{start},end,")


def test_what_the_disk_says_in_the_midst_of_a_piece(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", sound(0, 40), RATE)
    (name,) = tar_of(tmp_path / "a.tar", [tmp_path / "long.wav"])
    pieces = stream_waveform(name, RATE)
    next(pieces)
    (descriptor,) = (
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if entry.is_symlink() and str(entry.readlink()) == str(tmp_path / "a.tar")
    )
    folder = os.open(tmp_path, os.O_RDONLY)
    os.dup2(folder, descriptor)  # a descriptor that cannot be read
    os.close(folder)
    with pytest.raises(ValueError, match=r"a\.tar#512\+\d+: Is a directory"):
        list(pieces)


def test_shards_are_shared_by_threads_and_closed_in_time(tmp_path: Path, piece: str) -> None:
    expected = load_waveform(tmp_path / "1.wav", RATE)
    with ThreadPool(8) as pool:
        for found in pool.map(lambda _: load_waveform(piece, RATE), range(200)):
            np.testing.assert_array_equal(found, expected)
    before = len(list(Path("/proc/self/fd").iterdir()))
    content = Path(piece.partition("#")[0]).read_bytes()
    for i in range(150):
        (tmp_path / f"{i}.tar").write_bytes(content)
        load_waveform(f"{tmp_path}/{i}.tar#{piece.partition('#')[2]}", RATE)
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 64
