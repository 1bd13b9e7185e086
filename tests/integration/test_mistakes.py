"""Every mistake gets one clear message: what, where, and how to mend it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support import command, tones_overrides

# What is typed, and what the answer must hold. Each is one error, without a traceback.
TYPED = {
    "option": (["trainer.epoch=3"], ["trainer.epoch", "Did you mean trainer.epochs"]),
    "group": (["modle=wav2letter"], ["modle", "Did you mean model"]),
    "variant": (["model=deepspeach2"], ["deepspeach2", "Did you mean deepspeech2"]),
    "type": (["trainer.epochs=many"], ["trainer.epochs", "many", "Integer"]),
    "range": (["features.hop_seconds=-1"], ["features.hop_seconds", "-1"]),
    "device": (["device=gpu"], ["device=gpu", "auto, cpu, cuda or mps"]),
    "target": (["model._target_=os.system"], ["os.system", "trusted_targets"]),
    "input": (["file.wav"], ["file.wav", "key=value"]),
    "no manifest": (["data.train=[nowhere.jsonl]"], ["nowhere.jsonl", "asr.prepare"]),
    "no checkpoint": (["init_from=nowhere.pt"], ["nowhere.pt", "no such checkpoint"]),
}


@pytest.mark.parametrize("mistake", TYPED)
def test_what_is_typed_wrong(mistake: str, tones: Path, tmp_path: Path) -> None:
    typed, expected = TYPED[mistake]
    done = command("train", *tones_overrides(tones, tmp_path), *typed)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    for words in expected:
        assert words in done.stderr


def manifest_of(folder: Path, **fields: object) -> Path:
    samples = np.random.default_rng(1).normal(0, 0.1, 16000)
    soundfile.write(folder / "good.wav", samples, 16000)
    lines = [{"audio_filepath": "good.wav", "duration": 1.0, "text": "abc", "id": f"good{i}"}
             for i in range(4)]  # fmt: skip
    lines.append({"audio_filepath": "bad.wav", "duration": 1.0, "text": "ab", "id": "bad"} | fields)
    path = folder / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def train_on(manifest: Path, tones: Path, tmp_path: Path, *more: str) -> str:
    options = [*tones_overrides(tones, tmp_path), f"data.train=[{manifest}]", "experiment=tones"]
    done = command("train", *options, "trainer.epochs=1", *more)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_unreadable_file_is_named(tones: Path, tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path)
    (tmp_path / "bad.wav").write_text("<html>not found</html>")
    error = train_on(manifest, tones, tmp_path)
    assert "utterance bad" in error and "bad.wav" in error


def test_a_zero_length_file_is_named_also_by_workers(tones: Path, tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path)
    (tmp_path / "bad.wav").touch()
    error = train_on(manifest, tones, tmp_path, "data.workers=1")
    assert "utterance bad" in error and "bad.wav" in error and "empty" in error


def test_a_transcript_too_long_for_its_audio_is_named(tones: Path, tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, audio_filepath="good.wav", text="abc " * 30)
    error = train_on(manifest, tones, tmp_path)
    assert "bad" in error and "120 frames needed" in error and "too long" in error
    assert "data.max_infeasible" in error


def test_another_sample_rate_is_refused_where_resampling_is_off(
    tones: Path, tmp_path: Path
) -> None:
    manifest = manifest_of(tmp_path)
    soundfile.write(tmp_path / "bad.wav", np.zeros(8000), 8000)
    error = train_on(manifest, tones, tmp_path, "data.resample=false")
    assert "utterance bad" in error and "8000" in error and "16000" in error


def test_an_empty_manifest(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert "manifest is empty" in train_on(tmp_path / "empty.jsonl", tones, tmp_path)


def test_a_broken_line_of_a_manifest_has_a_number(tones: Path, tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, duration="soon")
    assert "mine.jsonl:5" in train_on(manifest, tones, tmp_path)


def test_a_checkpoint_of_another_kind(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    (tmp_path / "a.wav").touch()
    done = command("transcribe", f"checkpoint={tmp_path}/other.pt", "--", f"{tmp_path}/a.wav")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "other.pt" in done.stderr and "another kind" in done.stderr


def test_no_run_yet(tmp_path: Path) -> None:
    done = command("evaluate", f"runs={tmp_path}")
    assert done.returncode == 1 and "no checkpoint under" in done.stderr
    done = command("evaluate", f"runs={tmp_path}", "run=mine")
    assert done.returncode == 1 and "run=mine" in done.stderr


def test_a_folder_without_audio(tmp_path: Path) -> None:
    done = command("transcribe", str(tmp_path))
    assert done.returncode == 1 and "no audio in this folder" in done.stderr
