"""What browsers record is decoded right, in bounded memory, and only that."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import recorded
from sounds import delay, power, talk

from asr.core.audio import audio_info, load_waveform
from asr.web.browser_audio import readable

KINDS = [("webm", "libopus"), ("mp4", "aac")]
RECORDED = {kind: recorded(talk(24000), *kind) for kind in KINDS}


@pytest.mark.parametrize(("form", "codec"), KINDS)
def test_a_recording_is_decoded_to_what_was_spoken(form: str, codec: str, tmp_path: Path) -> None:
    spoken = talk(48000 * 3)
    path = tmp_path / "recording"
    path.write_bytes(recorded(spoken, form, codec))
    heard = load_waveform(readable(path, max_seconds=10), 48000)
    assert len(heard) == pytest.approx(len(spoken), abs=0.05 * 48000)
    late = delay(heard, spoken)
    assert abs(late) <= 0.03 * 48000
    size = min(len(heard) - max(late, 0), len(spoken) - max(-late, 0))
    error = heard[max(late, 0) :][:size] - spoken[max(-late, 0) :][:size]
    assert power(error) < 0.25 * power(spoken)


def test_opus_is_what_libsndfile_decodes(tmp_path: Path) -> None:
    """The same packets in Ogg, which libsndfile and libopus read."""
    webm, ogg = tmp_path / "a.webm", tmp_path / "a.ogg"
    webm.write_bytes(RECORDED["webm", "libopus"])
    with av.open(str(webm)) as source, av.open(str(ogg), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    ours, theirs = load_waveform(readable(webm, 10), 48000), load_waveform(ogg, 48000)
    size = min(len(ours), len(theirs))
    late = delay(ours[:size], theirs[:size])
    assert late == 0 and abs(len(ours) - len(theirs)) <= 960
    assert np.abs(ours[:size] - theirs[:size]).max() < 2e-3


@pytest.mark.parametrize("kind", KINDS)
def test_tags_that_are_no_text_are_no_matter(kind: tuple[str, str], tmp_path: Path) -> None:
    path, odd = tmp_path / "a", tmp_path / "odd"
    path.write_bytes(RECORDED[kind])
    odd.write_bytes(RECORDED[kind].replace(b"Lavf", b"\xee\xff\xee\xff"))
    assert path.read_bytes() != odd.read_bytes()
    heard = [load_waveform(readable(p, 10), 48000) for p in (path, odd)]
    np.testing.assert_array_equal(*heard)


def test_channels_are_averaged(tmp_path: Path) -> None:
    one, other = talk(48000, seed=1), talk(48000, seed=2)
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as media:
        stream = media.add_stream("pcm_s16le", rate=48000, layout="stereo")
        both = np.rint(np.stack([one, other], axis=1) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(both, "s16", "stereo")
        frame.sample_rate = 48000
        media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    path = tmp_path / "two.mka"
    path.write_bytes(file.getvalue())
    heard = load_waveform(readable(path, 10), 48000)
    assert np.abs(heard - (one + other) / 2).max() < 1e-4


def test_what_libsndfile_reads_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"  # by its name alone
    soundfile.write(path, talk(16000), 16000, format="WAV")
    assert readable(path, 10) == path
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["wav", *RECORDED])
def test_what_is_too_long_is_not_decoded(kind: str | tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "long"
    silence = np.zeros(48000 * 20, np.float32)
    if kind == "wav":
        soundfile.write(path, silence, 48000, format="WAV")
    else:
        path.write_bytes(recorded(silence, *kind))
    with pytest.raises(ValueError, match=r"at most 5 s .*max_audio_seconds.*in parts"):
        readable(path, max_seconds=5)
    for decoded in tmp_path.glob("*.decoded.wav"):
        assert audio_info(decoded).duration <= 5


def test_what_no_browser_records_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(recorded(talk(48000), "matroska", "ac3"))
    with pytest.raises(ValueError, match=r"coded as ac3; read are aac, "):
        readable(path, 10)
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, talk(16000), 16000)
    for text in (f"#EXTM3U\n#EXTINF:1,\n{secret}\n", f"ffconcat version 1.0\nfile {secret}\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match="not audio that can be read: it looks like text"):
            readable(path, 10)
    with av.open(str(path), "w", format="matroska") as media:
        stream = media.add_stream("mjpeg", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        media.mux(stream.encode(av.VideoFrame(32, 32, "yuvj420p")))
        media.mux(stream.encode(None))
    with pytest.raises(ValueError, match="it holds no sound"):
        readable(path, 10)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(list(RECORDED)),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=8),
    head=st.booleans(),
)
def test_damage_is_one_error_or_less_sound(
    tmp_path_factory: pytest.TempPathFactory,
    kind: tuple[str, str],
    cut: float,
    flips: list[tuple[float, int]],
    head: bool,
) -> None:
    content = bytearray(RECORDED[kind][: max(16, round(cut * len(RECORDED[kind])))])
    for place, mask in flips:
        content[int(place * (min(len(content), 600) if head else len(content)))] ^= mask
    path = tmp_path_factory.mktemp("damaged") / "a"
    path.write_bytes(content)
    try:
        found = readable(path, max_seconds=4)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert len(load_waveform(found, 16000)) <= 4.01 * 16000
