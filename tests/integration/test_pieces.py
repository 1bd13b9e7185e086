"""Pieces of words from end to end: train, evaluate with words in the beam, transcribe, align."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from support import command, metrics, tones_overrides

from asr.core.checkpoint import load_checkpoint
from asr.corpus.manifest import read_manifest
from asr.training.assemble import assemble

PIECES = ["experiment=tones", "tokenizer=bpe", "tokenizer.vocab_size=24", "trainer.epochs=8"]


@pytest.fixture(scope="module")
def trained(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt the tones in pieces, most of two letters."""
    runs = tmp_path_factory.mktemp("runs")
    done = command("train", *tones_overrides(tones, runs), *PIECES, "run=pieces")
    assert done.returncode == 0, done.stderr
    return runs / "pieces"


def test_a_checkpoint_is_all_that_is_needed(trained: Path, tones: Path, tmp_path: Path) -> None:
    """Greedily and by a language model of words, and the loss is that of the characters, too."""
    checkpoint = shutil.copy(trained / "best.pt", tmp_path / "alone.pt")
    test, arpa = tones / "test.jsonl", tmp_path / "words.arpa"
    assert command("lm", f"text={test}", f"output={arpa}", "order=2").returncode == 0
    options = ["threads=1", "decoder=beam", f"decoder.lm={arpa}", f"output={tmp_path}"]
    done = command("evaluate", f"checkpoint={checkpoint}", str(test), *options)
    assert done.returncode == 0, done.stderr
    greedy, beam = (
        json.loads((tmp_path / folder / "summary.json").read_text())
        for folder in ("tones-test", "tones-test-beam")
    )
    assert beam["wer"] <= greedy["wer"] <= 0.6
    tokenizer = load_checkpoint(checkpoint)["tokenizer"]
    assert len(tokenizer["pieces"]) == 23 and "▁" in tokenizer["pieces"]
    texts = [u.text for u in read_manifest(tones / "dev.jsonl")]
    validation = [m for m in metrics(trained) if "validation/loss" in m][-1]
    ratio = validation["validation/loss"] / validation["validation/loss_per_character"]
    tokens = sum(map(len, texts)) / ratio
    assert tokens == pytest.approx(round(tokens), abs=1e-6)
    assert 0.4 * sum(map(len, texts)) < tokens < sum(map(len, texts))


@pytest.mark.parametrize("name", ["transcribe", "align"])
def test_words_of_pieces_have_times(trained: Path, tones: Path, name: str, tmp_path: Path) -> None:
    utterance = max(read_manifest(tones / "test.jsonl"), key=lambda u: len(u.text.split()))
    options = {
        "transcribe": ["decoder=beam", "format=[json]"],
        "align": [f"words={utterance.text}", "format=[json]", f"output={tmp_path}"],
    }[name]
    done = command(name, f"checkpoint={trained}", utterance.audio, "threads=1", *options)
    assert done.returncode == 0, done.stderr
    output = done.stdout if name == "transcribe" else next(tmp_path.glob("*.json")).read_text()
    found = json.loads(output)
    assert [word["text"] for word in found["words"]] == found["text"].split()
    assert name == "transcribe" or found["text"] == utterance.text
    for word in found["words"]:
        assert word["text"] == "".join(t["text"] for t in word["tokens"]).removeprefix("▁")
    times = [t for w in found["words"] for t in (w["start"], w["end"])]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= utterance.duration + 1e-9
    assert all(word["start"] < word["end"] for word in found["words"])
    assert found["words"][1]["start"] > 0.16  # two letters of 80 ms are said before it


def test_fine_tuning_keeps_the_pieces_unless_others_are_asked_for(
    trained: Path, tones: Path, tmp_path: Path, compose_config: Callable[..., DictConfig]
) -> None:
    said: list[str] = []

    def begin(*options: str) -> list[str]:
        overrides = [*tones_overrides(tones, tmp_path), *PIECES, f"init_from={trained}", *options]
        config = compose_config("train", *overrides)
        trainer = assemble(config, f"run{len(said)}", torch.device("cpu"), said.append)
        return list(trainer.recognizer.tokenizer.symbols)

    kept = load_checkpoint(trained / "best.pt")["tokenizer"]["pieces"]
    few = f"data.train=[{tones / 'dev.jsonl'}]"
    assert begin(few) == ["<blank>", *kept]
    assert any("all weights, and its alphabet of 23" in line for line in said)
    assert len(begin("tokenizer.vocab_size=20")) == 20
    assert any(re.search("head, which starts anew, because.*20.*24", line) for line in said)
    with pytest.raises(ValueError, match="vocab_size=4000 is more than the training transcripts"):
        begin("tokenizer.vocab_size=4000")
    assert not math.isnan(metrics(trained)[-1]["validation/loss_per_character"])
