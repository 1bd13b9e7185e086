"""Audio files: every format by its content, slices, channels, rates, and errors that help."""

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from asr.core.audio import AudioInfo, audio_info, load_waveform, stream_waveform
from asr.core.sniff import is_mp3

RATE = 16000
FORMATS = {
    "wav": ("WAV", "PCM_16", "wav"),
    "flac": ("FLAC", "PCM_16", "flac"),
    "ogg": ("OGG", "VORBIS", "vorbis"),
    "opus": ("OGG", "OPUS", "opus"),
    "mp3": ("MP3", "MPEG_LAYER_III", "mp3"),
}


def speechlike(seconds: float = 2.0, rate: int = RATE) -> NDArray[np.float32]:
    """A glide with harmonics, below 1 kHz: what lossy codecs and resamplers keep."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (150 * time + time**2)
    return (0.2 * sum(np.sin(k * phase) / k for k in (1, 2, 3, 5))).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32], rate: int = RATE, kind: str = "") -> Path:
    form, subtype, _ = FORMATS[kind or path.suffix[1:]]
    soundfile.write(path, samples, rate, format=form, subtype=subtype)
    return path


def similarity(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_under_any_name(tmp_path: Path, kind: str) -> None:
    samples = speechlike()
    for name in (f"a.{kind}", "a.wav", "a.flac", "a.mp3", "a.raw", "no-suffix"):
        path = write(tmp_path / name, samples, kind=kind)
        waveform = load_waveform(path, RATE)
        assert waveform.dtype == np.float32 and waveform.shape == samples.shape
        assert similarity(waveform, samples) > 0.99
        assert audio_info(path) == AudioInfo(2.0, RATE, 1, FORMATS[kind][2])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_slice_is_that_part_of_the_whole(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a.{kind}", speechlike())
    whole = load_waveform(path, RATE)
    part = load_waveform(path, RATE, offset=0.7, duration=0.5)
    np.testing.assert_allclose(part, whole[11200:19200], atol=2e-3)
    np.testing.assert_allclose(load_waveform(path, RATE, offset=1.9), whole[30400:], atol=2e-3)
    assert len(load_waveform(path, RATE, offset=1.9, duration=9)) == 1600


@pytest.mark.parametrize("kind", FORMATS)
def test_blocks_join_without_a_seam(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a.{kind}", speechlike(40))
    whole = soundfile.read(path, dtype="float32")[0]
    assert len(list(stream_waveform(path, RATE))) > 2
    np.testing.assert_allclose(load_waveform(path, RATE), whole, atol=1e-6)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = np.float32([0.5, -0.25, 0.125, 0.0])
    right = np.float32([0.25, 0.25, -0.125, 0.5])
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1))
    np.testing.assert_array_equal(load_waveform(path, RATE), [0.375, 0.0, 0.0, 0.25])
    assert audio_info(path).channels == 2


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_resampling_is_soxr_hq_in_one_piece(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "a.wav", speechlike(20, rate), rate)  # several blocks
    whole = load_waveform(path, rate)
    expected = soxr.resample(whole, rate, RATE, quality="HQ")
    waveform = load_waveform(path, RATE)
    assert len(waveform) == len(expected) == 20 * RATE
    np.testing.assert_allclose(waveform, expected, atol=1e-5)
    np.testing.assert_allclose(waveform[800:-800], speechlike(20)[800:-800], atol=2e-3)


@pytest.mark.parametrize(
    ("encoding", "dtype", "scale"),
    [
        ("s16be", ">i2", 2**15),
        ("s16le", "<i2", 2**15),
        ("s8", "i1", 2**7),
        ("f32le", "<f4", 1),
        ("f32be", ">f4", 1),
    ],
)
def test_headerless_samples(tmp_path: Path, encoding: str, dtype: str, scale: int) -> None:
    stereo = speechlike().reshape(-1, 2)
    stored = (stereo * (scale if scale == 1 else scale - 1)).astype(dtype)
    (tmp_path / "a.bin").write_bytes(stored.tobytes())
    raw = f"{encoding}:8000:2"
    waveform = load_waveform(tmp_path / "a.bin", 8000, raw=raw)
    np.testing.assert_allclose(waveform, (stored / scale).mean(axis=1), atol=1e-7)
    assert audio_info(tmp_path / "a.bin", raw)[:3] == (2.0, 8000, 2)


def test_unsigned_bytes_are_centred(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes([128, 192, 64, 0]))
    np.testing.assert_array_equal(
        load_waveform(tmp_path / "a", RATE, raw="u8:16000:1"), [0, 0.5, -0.5, -1]
    )


def test_a_wav_from_a_pipe_is_read(tmp_path: Path) -> None:
    content = bytearray(write(tmp_path / "a.wav", speechlike()).read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4  # what ffmpeg writes where it cannot seek
    (tmp_path / "b.wav").write_bytes(content)
    assert len(load_waveform(tmp_path / "b.wav", RATE)) == 2 * RATE


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty (0 bytes)"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"good morning\n", "looks like text (it starts with 'good morning"),
        ("ça va, ça va".encode()[:-2], "looks like text"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "M4A; convert it: ffmpeg -i "),
        (b"\x1aE\xdf\xa3\0\0\0\0\0\0", "WebM or Matroska; convert it: ffmpeg -i "),
        (b"PK\x03\x04\x14\0\0\0", "a zip archive; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
        (b"\x01\x00\x02\x00\xff\xfe" * 500, "if it is headerless, declare its samples"),
        (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", "a WAV that is damaged"),
    ],
)
def test_what_is_not_audio(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "it's a.wav"
    path.write_bytes(content)
    for read in (audio_info, lambda path: load_waveform(path, RATE)):
        with pytest.raises(ValueError) as error:
            read(path)
        assert str(error.value).startswith(str(path)) and says in str(error.value)


def test_headerless_samples_that_begin_like_an_mp3(tmp_path: Path) -> None:
    # Sample -5, then silence, then frames' sync words at random places: mpg123 would skip to them.
    samples = np.random.default_rng(0).integers(-6, 6, 20000).astype(">i2")
    samples[:4] = -5, -1100, 0, 0
    (tmp_path / "a.raw").write_bytes(samples.tobytes())
    with pytest.raises(ValueError, match="if it is headerless, declare its samples"):
        load_waveform(tmp_path / "a.raw", RATE)


def test_one_frame_makes_no_mp3() -> None:
    header = b"\xff\xfb\x90\x00"  # 128 kbit/s at 44.1 kHz: 417 bytes
    assert not is_mp3(header + bytes(1000))
    assert is_mp3(header + bytes(413) + header + bytes(1000))
    assert is_mp3(header + bytes(413))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_file(tmp_path: Path, kind: str) -> None:
    content = write(tmp_path / f"a.{kind}", speechlike()).read_bytes()
    (tmp_path / f"b.{kind}").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ValueError, match=rf"b\.{kind}: truncated.* again"):
        load_waveform(tmp_path / f"b.{kind}", RATE)


def test_truncated_headerless_samples(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"\0" * 1001)
    with pytest.raises(ValueError, match=r"a\.raw: truncated, or not s16be:16000:1: 1 bytes"):
        audio_info(tmp_path / "a.raw", "s16be:16000:1")


def test_unknown_lengths_are_refused_and_known_ones_kept(tmp_path: Path) -> None:
    flac = bytearray(write(tmp_path / "a.flac", speechlike()).read_bytes())
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)  # the count of samples in STREAMINFO: 0 is "unknown"
    noisy = np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)
    noisy *= np.repeat([1e-4, 0.3, 1e-3, 0.3, 1e-4], RATE)
    mp3 = write(tmp_path / "a.mp3", noisy).read_bytes()
    assert b"Xing" in mp3[:200] and len(load_waveform(tmp_path / "a.mp3", RATE)) == 5 * RATE
    without_xing = mp3[288:]
    tagged = b"ID3\x04\0\0\0\0\x20\0" + bytes(0x1000) + without_xing
    for number, content in enumerate((flac, without_xing, tagged)):
        (tmp_path / str(number)).write_bytes(content)
        with pytest.raises(ValueError, match=r"how long it is .* write it anew: ffmpeg -i"):
            audio_info(tmp_path / str(number))
    (tmp_path / "tagged").write_bytes(tagged[: 10 + 0x1000] + mp3)
    assert audio_info(tmp_path / "tagged").duration == 5.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -3e38])
def test_samples_that_are_not_finite(tmp_path: Path, value: float) -> None:
    samples = speechlike()
    samples[8000] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav: sample 8000 \(0\.500 s\) is not a finite"):
        load_waveform(tmp_path / "a.wav", RATE)
    assert len(load_waveform(tmp_path / "a.wav", RATE, duration=0.5)) == 8000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"offset": 2.0}, r"offset 2 s is beyond the end; the file has 2\.000 s"),
        ({"offset": -1.0}, r"offset=-1\.0 must be >= 0"),
        ({"offset": float("nan")}, r"offset=nan must be >= 0"),
        ({"duration": 0.0}, "0 s from 0 s hold no samples"),
        ({"duration": 1e-6, "offset": 1.0}, "hold no samples"),
        ({"raw": "s24xx:16000:1"}, "must be ENCODING:RATE:CHANNELS"),
        ({"raw": "s16le:16000"}, "must be ENCODING:RATE:CHANNELS"),
        ({"raw": "s16le:0:1"}, "must be ENCODING:RATE:CHANNELS"),
        ({"raw": "s16le:" + "9" * 5000 + ":1"}, "must be ENCODING:RATE:CHANNELS"),
        ({"raw": "s16le:16000:²"}, "must be ENCODING:RATE:CHANNELS"),
        ({"raw": "s16le:999:1"}, "1 channels at 999 Hz are claimed"),
        ({"raw": "s16le:16000:65"}, "65 channels at 16000 Hz are claimed"),
        ({"offset": 1e308}, r"offset 1e\+308 s is beyond the end"),
        ({"duration": float("nan")}, "nan s from 0 s hold no samples"),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, options: dict[str, float], says: str) -> None:
    path = write(tmp_path / "a.wav", speechlike())
    with pytest.raises(ValueError, match=rf"a\.wav: .*{says}"):
        load_waveform(path, RATE, **options)


def test_a_duration_may_reach_beyond_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", speechlike())
    for duration in (1e9, 1e308, float("inf")):
        assert len(load_waveform(path, RATE, offset=1.0, duration=duration)) == RATE


def test_other_refusals(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", speechlike())
    with pytest.raises(ValueError, match=r"16000 Hz but 8000 Hz .* ffmpeg -i \S+ -ar 8000"):
        load_waveform(path, 8000, resample=False)
    assert len(load_waveform(path, RATE, resample=False)) == 2 * RATE
    with pytest.raises(ValueError, match=r"missing\.wav: no such file"):
        audio_info(tmp_path / "missing.wav")
    with pytest.raises(ValueError, match="Is a directory"):
        load_waveform(tmp_path, RATE)
    with pytest.raises(ValueError, match=r"b\.wav: it holds no samples"):
        load_waveform(write(tmp_path / "b.wav", speechlike(0)), RATE)
    with pytest.raises(ValueError, match=r"c\.wav: too short to give one sample"):
        load_waveform(write(tmp_path / "c.wav", np.float32([0.1]), 48000), 8000)


def wav_header(channels: int = 1, rate: int = RATE, size: int = 2000) -> bytes:
    """Of 16-bit samples, whatever it claims."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, rate),
        *(rate * channels * 2 % 2**32, channels * 2 % 2**16, 16, b"data", size),
    )


@pytest.mark.parametrize(
    ("channels", "rate", "says"),
    [
        (64, RATE, None),
        (1, 1000, None),
        (100, RATE, "100 channels at 16000 Hz are claimed"),
        (1024, RATE, "1024 channels"),
        (65535, RATE, "WAV that is damaged"),
        (1, 1, "1 channels at 1 Hz are claimed"),
        (1, 2**31 - 1, "2147483647 Hz are claimed"),
        (1, 2**32 - 1, "WAV that is damaged"),
        (1, 0, "WAV that is damaged"),
    ],
)
def test_absurd_headers(tmp_path: Path, channels: int, rate: int, says: str | None) -> None:
    size = 500 * 2 * channels
    (tmp_path / "a.wav").write_bytes(wav_header(channels, rate, size) + bytes(size))
    if says is None:
        assert len(load_waveform(tmp_path / "a.wav", RATE)) == 500 * RATE // rate
        return
    for read in (audio_info, lambda path: load_waveform(path, RATE)):
        with pytest.raises(ValueError, match=rf"a\.wav: .*{says}"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize("duration", [None, 1e9])
def test_a_header_that_claims_ten_hours(tmp_path: Path, duration: float | None) -> None:
    ten_hours = 36000 * RATE
    wav = wav_header(size=2 * ten_hours) + bytes(2000)
    flac = bytearray(write(tmp_path / "a.flac", speechlike()).read_bytes())
    flac[22:26] = ten_hours.to_bytes(4)  # the count of samples in STREAMINFO
    (tmp_path / "b").write_bytes(wav)
    (tmp_path / "c").write_bytes(flac)
    with pytest.raises(ValueError, match="b: truncated"):
        load_waveform(tmp_path / "b", RATE, duration=duration)
    with pytest.raises(ValueError, match=r"c: 36000 s would be held in memory.* 3600 s"):
        load_waveform(tmp_path / "c", RATE, duration=duration)
    with pytest.raises(ValueError, match="c: truncated"):
        list(stream_waveform(tmp_path / "c", RATE, duration=duration))


@pytest.mark.parametrize("kind", ["flac", "ogg"])
def test_hours_of_silence_in_a_small_file(tmp_path: Path, kind: str) -> None:
    path, seconds = tmp_path / f"a.{kind}", 3660
    form, subtype, _ = FORMATS[kind]
    with soundfile.SoundFile(path, "w", 8000, 1, format=form, subtype=subtype) as file:
        for _ in range(seconds):  # libsndfile crashes on long blocks of Vorbis
            file.write(np.zeros(8000))
    assert path.stat().st_size < 1e6 < seconds * 8000 * 2 / 50
    with pytest.raises(ValueError, match=r"3660 s would be held in memory.* offset and duration"):
        load_waveform(path, 8000)
    tracemalloc.start()
    assert sum(map(len, stream_waveform(path, 8000))) == seconds * 8000
    assert len(load_waveform(path, 8000, offset=3600, duration=1e9)) == 60 * 8000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6


def test_a_wide_file_takes_little_memory(tmp_path: Path) -> None:
    size = 64 * 2 * 60 * RATE
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(wav_header(64, RATE, size))
        file.truncate(44 + size)
    tracemalloc.start()
    assert sum(map(len, stream_waveform(tmp_path / "a.wav", RATE))) == 60 * RATE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


@pytest.mark.parametrize("raw", [None, "s16le:16000:1"])
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path, raw: str | None) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="a pipe or a device; name a regular file"):
            load_waveform(path, RATE, raw=raw)


def test_a_slice_of_a_long_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    header = wav_header(2, RATE, 4 * 3600 * RATE)  # an hour of stereo, as a hole in the file
    with path.open("wb") as file:
        file.write(header)
        file.truncate(44 + 4 * 3600 * RATE)
    tracemalloc.start()
    load_waveform(path, 8000, offset=1800, duration=10)
    for piece in stream_waveform(path, RATE, offset=3000):
        assert not piece.any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6


def test_real_recordings_have_the_length_that_their_headers_say(shared_data: Path) -> None:
    paths = sorted((shared_data / "LibriSpeech").rglob("*.*"))
    paths = [p for p in paths if p.suffix in (".mp3", ".flac", ".opus")][::40]
    assert len({p.suffix for p in paths}) == 3
    for path in paths:
        assert len(load_waveform(path, RATE)) == round(audio_info(path).duration * RATE)


def test_real_headerless_recordings_are_never_taken_for_another_format(shared_data: Path) -> None:
    paths = sorted((shared_data / "an4").rglob("*.raw"))
    assert len(paths) == 1078
    for path in paths[::4]:
        with pytest.raises(ValueError, match="headerless"):
            audio_info(path)
        assert audio_info(path, "s16be:16000:1").duration > 0.3
