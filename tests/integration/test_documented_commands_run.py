"""Documented commands that need neither network nor minutes are run, on files of their names.

A small model of the tones stands for every run, the tones for every corpus. What trains, downloads,
needs a cluster, or names what a reader has to name, is composed only, by the contract tests.
"""

import gzip
import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
from documented import Typed, documented
from support import CONFIGS, command, tones_overrides

from asr.corpus.manifest import read_manifest

pytestmark = pytest.mark.slow
PROGRAMS = {"check", "compare", "decode", "evaluate", "align", "lm", "pack", "transcribe", "tune"}
ELSEWHERE = re.compile(
    r"(^|[=\[:,\s])[/~]|published=|engine=ray|--help|--cfg|^-m$"
    r"|=FILE$|[=/]$|decoder=sure|hotwords="  # placeholders, halves, words that tones lack
)
SYMBOLS = ["<b>", "|", *"abcdefgh"]


def runs_here(typed: Typed) -> bool:
    arguments = typed.arguments
    complete = typed.program == "asr.check" or len(arguments) > 0
    return (
        typed.program.removeprefix("asr.") in PROGRAMS
        and complete
        and not any(ELSEWHERE.search(argument) for argument in arguments)
        # A line that leaves something to the reader: `asr.decode softmax.npy tokens=tokens.txt ...`
        and (typed.program != "asr.decode" or any("posteriors.kind" in a for a in arguments))
    )


CASES = {name: typed for name, typed in documented().items() if runs_here(typed)}


@pytest.fixture(scope="module")
def desk(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpora, a model of language, and a run that was evaluated."""
    desk = tmp_path_factory.mktemp("desk")
    for corpus in ("an4", "mine", "spoken"):
        for split in ("train", "dev", "test"):
            provide_manifest(desk / "data" / corpus / f"{split}.jsonl", tones)
    options = [*tones_overrides(tones, desk / "runs"), "experiment=tones", "run=learnt"]
    test = f"data.test=[{desk}/data/an4/test.jsonl]"
    for done in (
        command("train", *options, test, "trainer.epochs=3"),
        command("evaluate", f"checkpoint={desk}/runs/learnt", "threads=1", "decoder=beam"),
        command("lm", f"text={desk}/data/mine/train.jsonl", f"output={desk}/lm.arpa"),
    ):
        assert done.returncode == 0, done.stderr
    return desk


def provide_manifest(path: Path, tones: Path) -> None:
    split = next((s for s in ("train", "dev") if s in path.stem), "test")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (tones / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    for entry in entries:
        entry["audio_filepath"] = str(tones / entry["audio_filepath"])
    path.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")


def provide(word: str, here: Path, desk: Path, tones: Path) -> None:
    """Make what a word of a command names, by its suffix."""
    path, first = here / word, read_manifest(tones / "test.jsonl")[0]
    if path.exists() or (path.suffix and not path.suffix[1:].isalnum()):
        return
    text = "".join(f"{u.text}\n" for u in read_manifest(tones / "train.jsonl"))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        provide_manifest(path, tones)
    elif path.suffix in (".wav", ".mp3", ".flac"):
        soundfile.write(path, *soundfile.read(first.audio))
    elif path.name == "tokens.txt":
        path.write_text("\n".join(SYMBOLS) + "\n")
    elif path.name == "texts.txt":
        path.write_text("abc\n" * 3)
    elif path.suffix == ".txt":
        path.write_text(first.text if path.stem == "talk" else text)
    elif path.suffix == ".arpa":
        shutil.copy(desk / "lm.arpa", path)
    elif path.name.endswith(".arpa.gz"):
        path.write_bytes(gzip.compress((desk / "lm.arpa").read_bytes()))
    elif path.name.endswith(".txt.gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".yaml" and path.parent.name == "decoder":
        shutil.copy(CONFIGS / "decoder" / "beam.yaml", path)
    elif path.suffix == ".pt":
        shutil.copy(desk / "runs" / "learnt" / "best.pt", path)
    elif path.suffix in (".npy", ".npz", ".h5"):
        provide_posteriors(path)


def provide_posteriors(path: Path) -> None:
    """(3, 20, V) probabilities; (20, 3, V) logits with lengths; (20, V) log-probabilities."""
    logits = np.random.default_rng(1).normal(0, 3, (3, 20, len(SYMBOLS)))
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    if path.suffix == ".npy":
        np.save(path, probabilities)
    elif path.suffix == ".npz":
        np.savez(path, logits=logits.transpose(1, 0, 2), lengths=np.array([20, 7, 12]))
    else:
        with h5py.File(path, "w") as file:
            file["log_probs"] = np.log(probabilities[0])


@pytest.mark.parametrize("name", CASES)
def test_a_documented_command_runs(
    name: str, desk: Path, tones: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    program, arguments = CASES[name]
    shutil.copytree(desk / "data", tmp_path / "data")
    line = " ".join(arguments)
    for run in {*re.findall(r"\brun=([\w-]+)", line), *re.findall(r"\bruns/([\w-]+)", line), "any"}:
        shutil.copytree(desk / "runs" / "learnt", tmp_path / "runs" / run)
    for folder in ("a folder", "my recordings"):
        provide(f"{folder}/a.wav", tmp_path, desk, tones)
        (tmp_path / folder / "a.txt").write_text(read_manifest(tones / "test.jsonl")[0].text)
    for argument in arguments:
        key, _, value = argument.rpartition("=")
        if key not in ("output", "write"):
            for word in re.split(r"[\[\],]", value):
                provide(word, tmp_path, desk, tones)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    try:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code, capsys.readouterr().err
