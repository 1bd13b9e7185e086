"""From audio files to a word error rate, as a user does it: train, evaluate, transcribe."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import command, metrics, small_model, tones_overrides, variants
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asr.core.checkpoint import load_checkpoint, save_checkpoint
from asr.corpus.manifest import read_manifest

TEXT = re.compile(r"%WER (\S+) \[ (\d+) / (\d+), (\d+) ins, (\d+) del, (\d+) sub \]")


@pytest.fixture(scope="module")
def trained(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt the tones."""
    runs = tmp_path_factory.mktemp("runs")
    options = [*tones_overrides(tones, runs), "trainer.num_examples=1"]
    done = command("train", *options, "experiment=tones", "run=stair")
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    return runs / "stair"


def test_a_small_model_learns_the_tones(trained: Path, tones: Path) -> None:
    done = command("evaluate", f"checkpoint={trained}", str(tones / "test.jsonl"), "threads=1")
    assert done.returncode == 0, done.stderr
    wer, errors, words, insertions, deletions, substitutions = map(
        float, TEXT.search(done.stdout).groups()
    )
    assert wer <= 10
    assert errors == insertions + deletions + substitutions
    lines = (trained / "evaluation" / "tones-test" / "hypotheses.jsonl").read_text().splitlines()
    heard = [json.loads(line) for line in lines]
    test = read_manifest(tones / "test.jsonl")
    assert [h["id"] for h in heard] == [u.id for u in test]
    assert [h["reference"] for h in heard] == [u.text for u in test]
    assert words == sum(len(u.text.split()) for u in test)
    summary = json.loads((trained / "evaluation" / "tones-test" / "summary.json").read_text())
    assert 100 * summary["wer"] == pytest.approx(wer, abs=0.005)
    low, high = summary["wer_interval_95"]
    assert low <= summary["wer"] <= high
    done = command("compare", str(trained), str(trained), "format=[terminal]")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f" {errors:.0f} / {words:.0f} ") == 2, "as evaluate counted them"
    assert "0.00 points" in done.stdout and "p = 1.0000" in done.stdout


def test_a_run_begins_with_examples_and_goes_on_without(trained: Path, tones: Path) -> None:
    options = [*tones_overrides(tones, trained.parent), "trainer.num_examples=1"]
    assert command("train", *options, "experiment=tones", "run=stair").returncode == 0
    events = EventAccumulator(str(trained), size_guidance={"scalars": 0, "images": 0, "audio": 0})
    events.Reload()
    for tag in ("examples/1 as recorded", "examples/1 augmented"):
        assert [e.step for e in events.Audio(tag)] == [0]
    assert [e.step for e in events.Images("examples")] == [0]
    steps = [line["step"] for line in metrics(trained) if "train/loss" in line]
    assert [e.step for e in events.Scalars("train/loss")] == steps and len(steps) > 10


def test_the_batch_size_changes_no_hypothesis(trained: Path, tones: Path, tmp_path: Path) -> None:
    found = []
    for size in (1, 7, 64):
        out = tmp_path / str(size)
        arguments = [f"max_utterances={size}", f"output={out}", "threads=1"]
        done = command("evaluate", f"checkpoint={trained}", str(tones / "test.jsonl"), *arguments)
        assert done.returncode == 0, done.stderr
        lines = (out / "tones-test" / "hypotheses.jsonl").read_text().splitlines()
        found.append([json.loads(line)["hypothesis"] for line in lines])
    assert found[0] == found[1] == found[2]


def test_transcribing_hears_what_evaluating_heard(
    trained: Path, tones: Path, tmp_path: Path
) -> None:
    utterance = read_manifest(tones / "test.jsonl")[0]
    samples, rate = soundfile.read(utterance.audio)
    awkward = tmp_path / "it's, [a] file=1.flac"
    soundfile.write(awkward, np.stack([samples, samples], axis=1), rate)
    done = command("transcribe", f"checkpoint={trained}", "threads=1", "--", str(awkward))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == utterance.text
    bad = tmp_path / "bad.wav"
    bad.write_text("this is no audio")
    done = command(
        "transcribe", f"checkpoint={trained}", "threads=1", f"output={tmp_path / 'out'}",
        "--", str(bad), str(awkward),
    )  # fmt: skip
    assert done.returncode == 1 and "bad.wav" in done.stderr and "1 of 2" in done.stderr
    assert (tmp_path / "out" / f"{awkward.name}.txt").read_text().strip() == utterance.text


def test_references_outside_the_alphabet_are_scored(
    trained: Path, tones: Path, tmp_path: Path
) -> None:
    first = json.loads((tones / "test.jsonl").read_text().splitlines()[0])
    first["audio_filepath"] = str(tones / first["audio_filepath"])
    manifest = tmp_path / "odd.jsonl"
    manifest.write_text(json.dumps(first | {"text": first["text"] + " ñandú"}))
    done = command("evaluate", f"checkpoint={trained}", str(manifest), "threads=1")
    assert done.returncode == 0, done.stderr
    assert int(TEXT.search(done.stdout).group(3)) == len(first["text"].split()) + 1
    assert "1 references hold characters outside the alphabet" in done.stdout


def test_a_checkpoint_cannot_name_a_target_of_its_own(trained: Path, tmp_path: Path) -> None:
    content = load_checkpoint(trained / "best.pt")
    content["config"]["model"] = {"_target_": "torch.hub.load", "repo_or_dir": "evil/evil"}
    save_checkpoint(tmp_path / "evil.pt", content)
    done = command("transcribe", f"checkpoint={tmp_path / 'evil.pt'}", str(trained / "best.pt"))
    assert done.returncode == 1
    assert "torch.hub.load" in done.stderr and "not imported" in done.stderr


def test_a_changed_feature_is_noticed(trained: Path, tones: Path, tmp_path: Path) -> None:
    content = load_checkpoint(trained / "best.pt")
    content["feature_fingerprint"] = content["feature_fingerprint"] + 0.5
    save_checkpoint(tmp_path / "changed.pt", content)
    done = command(
        "evaluate", f"checkpoint={tmp_path / 'changed.pt'}", str(tones / "test.jsonl"), "threads=1"
    )
    assert done.returncode == 0 and "warning" in done.stdout and "reference signal" in done.stdout


@pytest.mark.parametrize("model", variants("model"))
def test_every_model_trains_validates_and_is_loaded_again(
    model: str, tones: Path, tmp_path: Path
) -> None:
    few = f"data.train=[{tones / 'dev.jsonl'}]"
    options = [few, *small_model(model), "trainer.epochs=1", "run=x"]
    done = command("train", *tones_overrides(tones, tmp_path), *options)
    assert done.returncode == 0, done.stderr
    done = command("evaluate", "run=x", f"runs={tmp_path}", str(tones / "dev.jsonl"), "threads=1")
    assert done.returncode == 0, done.stderr
    assert TEXT.search(done.stdout)
