"""The embedded corpus: said in full, in styles of its own, the same each time."""

import dataclasses
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf
from support import CONFIGS

from asr.core.audio import load_waveform
from asr.corpus.spoken import SPLITS, Spoken, Style, render, speak, styles

OPTIONS: dict[str, Any] = {
    **{"num_train": 3, "num_dev": 2, "num_test": 2},
    **{"noise_snr_db": (20.0, 40.0), "seed": 1, "num_workers": 1},
}
STYLE = Style("en-GB", 1.0, 1.0)


def samples(corpus: Spoken, split: str, folder: Path) -> list[bytes]:
    return [Path(u.audio).read_bytes() for u in corpus.utterances(split, folder)]


def test_the_same_seed_gives_the_same_samples_from_any_processes(tmp_path: Path) -> None:
    one = samples(Spoken(**OPTIONS), "dev", tmp_path / "a")
    other = samples(Spoken(**OPTIONS | {"num_workers": 2}), "dev", tmp_path / "b")
    assert one == other
    assert one != samples(Spoken(**OPTIONS | {"seed": 2}), "dev", tmp_path / "c")


def test_what_is_complete_is_not_made_again(tmp_path: Path) -> None:
    corpus = Spoken(**OPTIONS)
    first = [Path(u.audio) for u in corpus.utterances("dev", tmp_path)]
    made = [path.stat().st_mtime_ns for path in first]
    list(corpus.utterances("dev", tmp_path))
    assert [path.stat().st_mtime_ns for path in first] == made
    first[0].unlink()
    list(corpus.utterances("dev", tmp_path))
    assert first[0].is_file()
    (tmp_path / "audio/dev/complete.json").write_text("{")  # a run that was killed
    list(corpus.utterances("dev", tmp_path))
    assert json.loads((tmp_path / "audio/dev/complete.json").read_text())
    list(Spoken(**OPTIONS | {"num_dev": 1}).utterances("dev", tmp_path))
    assert len(list((tmp_path / "audio/dev").glob("*.flac"))) == 1


def test_more_training_sentences_move_no_others(tmp_path: Path) -> None:
    few, many = Spoken(**OPTIONS), Spoken(**OPTIONS | {"num_train": 50})
    for split in ("dev", "test"):
        assert few.readings(split, tmp_path) == many.readings(split, tmp_path)


def test_splits_share_neither_sentences_nor_styles(tmp_path: Path) -> None:
    source = OmegaConf.to_container(OmegaConf.load(CONFIGS / "corpus/spoken.yaml").source)
    assert isinstance(source, dict) and source.pop("_target_")
    corpus = Spoken(**source)
    said = {s: corpus.readings(s, tmp_path) for s in SPLITS}
    for a, b in combinations(SPLITS, 2):
        assert not {r.sentence for r in said[a]} & {r.sentence for r in said[b]}
        assert not {r.style for r in said[a]} & {r.style for r in said[b]}
        assert not {r.seed for r in said[a]} & {r.seed for r in said[b]}
    words = {s: {w for r in said[s] for w in r.sentence.split()} for s in SPLITS}
    assert words["dev"] | words["test"] <= words["train"], "a word that training never hears"
    for split in SPLITS:
        assert {r.style for r in said[split]} == set(styles(split))
    assert len(styles("train")) >= 24
    assert {style.voice for style in styles("test")} == {"en-GB", "en-US"}


def active_seconds(sentence: str) -> float:
    loud = np.flatnonzero(np.abs(speak(sentence, STYLE)) > 0.01)
    return float(loud[-1] - loud[0]) / 16000


def test_every_letter_is_said() -> None:
    seconds = [active_seconds("Q" + " W" * n) for n in range(5)]
    assert min(np.diff(seconds)) > 0.5  # w alone takes that long
    # "a" is the article and "A" the letter, which is a diphthong and longer.
    assert active_seconds("A") > 0.15 + active_seconds("a cat") - active_seconds("cat")


def test_speed_and_pitch_are_those_of_the_style() -> None:
    sentence = "the weather in london is cold today"
    slow, fast = (speak(sentence, STYLE._replace(speed=s)) for s in (0.8, 1.25))
    assert 1.3 < len(slow) / len(fast) < 1.7  # pauses do not shrink with the words
    low, high = (speak(sentence, STYLE._replace(pitch=p)) for p in (0.8, 1.25))
    assert pitch_of(high) / pitch_of(low) == pytest.approx(1.25 / 0.8, rel=0.15)


def pitch_of(speech: np.ndarray) -> float:
    """Median over loud frames of the autocorrelation's peak, in Hz."""
    frames = [speech[i : i + 1024] for i in range(0, len(speech) - 1024, 512)]
    loud = [f - f.mean() for f in frames if np.sqrt(np.mean(f**2)) > 0.05]
    lags = [int(np.argmax(np.correlate(f, f, "full")[1023 + 40 : 1023 + 230])) + 40 for f in loud]
    return float(16000 / np.median(lags))


@pytest.mark.parametrize("snr_db", [20.0, 40.0])
def test_render_adds_pauses_noise_and_level(snr_db: float) -> None:
    speech = speak("please open the door", STYLE)
    peaks = set()
    for seed in range(10):
        noisy = render(speech, (snr_db, snr_db), np.random.default_rng([seed]))
        clean = render(speech, (200.0, 200.0), np.random.default_rng([seed]))
        share = (noisy @ clean) / (clean @ clean)
        noise = noisy - share * clean
        power = share**2 * (clean @ clean) / len(speech)
        assert 10 * np.log10(power / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.5)
        assert 0.04 <= (len(noisy) - len(speech)) / 16000 <= 0.6
        peaks.add(round(20 * np.log10(np.abs(noisy).max())))
    assert min(peaks) >= -20 and max(peaks) <= -1 and len(peaks) > 4


def test_the_files_are_flac_at_16_khz(tmp_path: Path) -> None:
    utterance = next(Spoken(**OPTIONS).utterances("test", tmp_path))
    info = soundfile.info(utterance.audio)
    assert (info.format, info.samplerate, info.channels) == ("FLAC", 16000, 1)
    assert 1 < len(load_waveform(utterance.audio, 16000)) / 16000 < 10
    assert utterance.speaker in {style.name for style in styles("test")}
    assert dataclasses.replace(utterance, duration=0.0) == utterance


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"num_dev": 0}, "corpus.num_dev=0 must be at least 1"),
        ({"noise_snr_db": (40, 20)}, r"noise_snr_db=\[40, 20\] must be \[lowest, highest\]"),
        ({"num_workers": -1}, "corpus.num_workers=-1"),
    ],
)
def test_mistakes(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Spoken(**OPTIONS | option)
