"""Times: words are found where they were sung, and written so that others can read them."""

import json
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile
from support import command, tones_overrides

from asr.corpus.manifest import read_manifest
from asr.corpus.tones import SAMPLE_RATE


@pytest.fixture(scope="module")
def trained(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    done = command("train", *tones_overrides(tones, runs), "experiment=tones", "run=align")
    assert done.returncode == 0, done.stderr
    return runs / "align"


def loud(audio: str) -> np.ndarray:
    """(milliseconds,) whether a tone sounds; spaces are digital near-silence."""
    samples, _ = soundfile.read(audio)
    size = SAMPLE_RATE // 1000
    energy = np.square(samples[: len(samples) // size * size]).reshape(-1, size).mean(axis=1)
    smooth = np.convolve(energy, np.ones(30) / 30, mode="same")
    return smooth > 1e-3


def test_words_are_where_they_sound(trained: Path, tones: Path, tmp_path: Path) -> None:
    done = command(
        "align", f"checkpoint={trained}", str(tones / "test.jsonl"), "threads=1",
        f"output={tmp_path}", "format=[json,ctm,textgrid,srt,vtt,png]",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in (tmp_path / "words.ctm").read_text().splitlines()]
    for utterance in read_manifest(tones / "test.jsonl"):
        content = json.loads((tmp_path / f"{utterance.id}.json").read_text())
        assert content["text"] == utterance.text
        assert [row[4] for row in rows if row[0] == utterance.id] == utterance.text.split()
        sounding = loud(utterance.audio)
        for word in content["words"]:
            # A frame is 40 ms: by so much a word may begin too early or end too late.
            middle = range(int(1000 * word["start"]) + 40, int(1000 * word["end"]) - 40)
            assert sounding[middle].mean() > 0.8, (utterance.id, word)
            assert 0 <= word["start"] < word["end"] <= utterance.duration + 0.001
            assert 0 <= word["confidence"] <= 1
            assert [t["text"] for t in word["tokens"]] == list(word["text"])
        for one, other in zip(content["words"], content["words"][1:], strict=False):
            gap = range(int(1000 * one["end"]) + 30, int(1000 * other["start"]) - 30)
            assert not len(gap) or not sounding[gap].all()
        assert (tmp_path / f"{utterance.id}.png").read_bytes()[:4] == b"\x89PNG"


def test_long_audio_with_its_written_text(trained: Path, tones: Path, tmp_path: Path) -> None:
    utterances = list(read_manifest(tones / "test.jsonl"))[:6]
    parts = [soundfile.read(u.audio)[0] for u in utterances]
    starts = np.cumsum([0, *map(len, parts)]) / SAMPLE_RATE
    soundfile.write(tmp_path / "long.flac", np.concatenate(parts), SAMPLE_RATE)
    written = " ".join(u.text.upper().replace(" ", ", ", 1) + " -" for u in utterances)
    (tmp_path / "long.txt").write_text(written + "\n", encoding="utf-8")
    done = command(
        "align", f"checkpoint={trained}", str(tmp_path / "long.flac"), "threads=1",
        "max_seconds=2", f"output={tmp_path}", "format=[json,vtt]",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = json.loads((tmp_path / "long.flac.json").read_text())["words"]
    assert " ".join(w["text"] for w in words) == written
    place = 0
    for utterance, begins, ends in zip(utterances, starts[:-1], starts[1:], strict=True):
        own = words[place : place + len(utterance.text.split())]
        assert begins - 0.05 <= own[0]["start"] and own[-1]["end"] <= ends + 0.05
        place += len(own)
    cues = pysubs2.load(str(tmp_path / "long.flac.vtt"))
    assert " ".join(c.text.replace("\\N", " ") for c in cues) == written


def test_transcribing_gives_the_same_times_as_aligning(
    trained: Path, tones: Path, tmp_path: Path
) -> None:
    utterance = read_manifest(tones / "test.jsonl")[0]
    for name, extra in (("transcribe", []), ("align", [f"words={utterance.text}"])):
        done = command(
            name, f"checkpoint={trained}", utterance.audio, "threads=1", "format=[json]",
            f"output={tmp_path / name}", *extra,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    file = f"{Path(utterance.audio).name}.json"
    heard, known = (json.loads((tmp_path / n / file).read_text()) for n in ("transcribe", "align"))
    assert heard == known and heard["text"] == utterance.text


def test_what_cannot_be_aligned_is_told_so(trained: Path, tones: Path, tmp_path: Path) -> None:
    audio = read_manifest(tones / "test.jsonl")[0].audio
    first = json.loads((tones / "test.jsonl").read_text().splitlines()[0])
    first["audio_filepath"] = audio
    odd = tmp_path / "odd.jsonl"
    rows = [first | {"id": "odd", "text": "ñ"}, first | {"id": "long", "text": "abc " * 99}, first]
    odd.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = [f"checkpoint={trained}", "threads=1"]
    done = command("align", *base, str(odd))
    assert done.returncode == 1 and "2 could not be aligned" in done.stderr
    assert "odd: the alphabet does not hold 'ñ'" in done.stderr
    assert "long: too short for its text" in done.stderr
    assert len(done.stdout.splitlines()) == len(first["text"].split())
    for arguments, message in (
        ([audio], "no such file; name the text"),
        ([audio, "words=xyz"], "does not hold 'x'"),
        ([audio, f"words={'abcd' * 99}"], "is this its transcript?"),
        ([audio, "words=..."], "its text holds no words"),
        ([audio, "words=abc", "format=[srt,vtt]"], "name a folder with output="),
        ([audio, "words=abc", "format=[png]"], "name a folder with output="),
        ([], "name audio files, folders or manifests"),
    ):
        done = command("align", *base, *arguments)
        assert done.returncode == 1 and message in done.stderr, (arguments, done.stderr)
