"""Beam search in every command that decodes, as a user calls it."""

import json
import re
from pathlib import Path

import pytest
from support import CONFIGS, command, metrics, tones_overrides

from asr.corpus.manifest import read_manifest

WER = re.compile(r"(\w+) +%WER ([\d.]+) \[")


@pytest.fixture(scope="module")
def trained(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has begun to learn the tones, and validated with beam search."""
    runs = tmp_path_factory.mktemp("runs")
    options = ["experiment=tones", "decoder=beam", "trainer.epochs=5", "run=beam"]
    done = command("train", *tones_overrides(tones, runs), *options)
    assert done.returncode == 0, done.stderr
    assert "validation/wer" in metrics(runs / "beam")[-1]
    return runs / "beam"


@pytest.fixture(scope="module")
def lm(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the test set: its words are made at random, so that no other text holds them."""
    path = tmp_path_factory.mktemp("lm") / "tones.arpa"
    done = command("lm", f"text={tones / 'test.jsonl'}", f"output={path}", "order=2")
    assert done.returncode == 0, done.stderr
    return path


def test_evaluate_shows_greedy_and_beam(
    trained: Path, tones: Path, lm: Path, tmp_path: Path
) -> None:
    arguments = [f"checkpoint={trained}", str(tones / "test.jsonl"), "threads=1"]
    options = ["decoder=beam", f"decoder.lm={lm}", "decoder.lexicon=lm", f"output={tmp_path}"]
    done = command("evaluate", *arguments, *options)
    assert done.returncode == 0, done.stderr
    rates = dict(WER.findall(done.stdout))
    assert rates.keys() == {"greedy", "beam"}
    assert float(rates["beam"]) <= float(rates["greedy"])
    assert "beam against greedy: " in done.stdout
    for name, folder in ("greedy", "tones-test"), ("beam", "tones-test-beam"):
        summary = json.loads((tmp_path / folder / "summary.json").read_text())
        assert summary["decoder"] == name
        assert 100 * summary["wer"] == pytest.approx(float(rates[name]), abs=0.005)
    words = {w for u in read_manifest(tones / "test.jsonl") for w in u.text.split()}
    lines = (tmp_path / "tones-test-beam" / "hypotheses.jsonl").read_text().splitlines()
    assert {w for line in lines for w in json.loads(line)["hypothesis"].split()} <= words


def test_a_decoder_may_be_a_file(trained: Path, tones: Path, tmp_path: Path) -> None:
    own = tmp_path / "my run" / "decoder" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text((CONFIGS / "decoder" / "beam.yaml").read_text())
    audio = read_manifest(tones / "test.jsonl")[0].audio
    arguments = [f"checkpoint={trained}", audio, "threads=1"]
    heard = command("transcribe", *arguments, f"decoder={own}", "decoder.beam_size=7")
    assert heard.returncode == 0, heard.stderr
    assert heard.stdout == command("transcribe", *arguments, "decoder=beam").stdout
    for wrong, message in [
        (own.with_name("none.yaml"), "there is no such file"),
        (CONFIGS / "train.yaml", "lies in a folder called decoder/"),
        (own.rename(own.with_name("greedy.yaml")), "is a decoder of the program"),
    ]:
        done = command("transcribe", *arguments, f"decoder={wrong}")
        assert done.returncode == 1 and message in done.stderr


def test_transcribed_words_have_times(trained: Path, tones: Path, lm: Path) -> None:
    audio = read_manifest(tones / "test.jsonl")[0].audio
    options = ["decoder=beam", f"decoder.lm={lm}", "format=[json]", "threads=1"]
    done = command("transcribe", f"checkpoint={trained}", audio, *options)
    assert done.returncode == 0, done.stderr
    words = json.loads(done.stdout)["words"]
    assert words and all(0 <= w["start"] < w["end"] for w in words)


def test_posteriors_of_another_framework(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "decoding"
    (tmp_path / "tokens.txt").write_text("\n".join(["-", "|", "'", *map(chr, range(97, 123))]))
    done = command(
        "decode", str(folder / "log_probs.npz"), "space='|'", f"tokens={tmp_path / 'tokens.txt'}",
        "posteriors.kind=log_probs", "posteriors.layout=btv", "posteriors.blank=first",
        f"references={folder / 'references.txt'}", "decoder=beam", "decoder.lexicon=lm",
        f"decoder.lm={folder / 'lm_3gram.arpa.gz'}", "decoder.beam_size=20",
        "decoder.beam_threshold=8", "decoder.word_score=1", "decoder.nbest=3",
        f"output={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "hypotheses.jsonl").read_text().splitlines()[0])
    scores = [score for _, score in row["nbest"]]
    assert 2 <= len(scores) <= 3 and scores == sorted(scores, reverse=True)
    assert len({text for text, _ in row["nbest"]}) == len(scores)
    assert row["nbest"][0] == [row["hypothesis"], row["score"]]
    assert float(re.search(r"%WER ([\d.]+) \[ \d+ / 3786", done.stderr)[1]) < 2.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["decoder=beam", "decoder.lm=none.arpa"], "none.arpa: no such language model"),
        (["decoder=beam", "decoder.beam_size=0"], "decoder.beam_size=0 must be a whole number"),
        (["decoder=beem"], "Did you mean beam?"),
        (["decoder.lm=x"], "It is an option of decoder=beam."),
        (["decoder=beam", "decoder.beam_sise=9"], "Did you mean decoder.beam_size?"),
    ],
)
def test_mistakes_get_one_clear_message(
    trained: Path, tones: Path, options: list[str], message: str
) -> None:
    done = command("evaluate", f"checkpoint={trained}", str(tones / "test.jsonl"), *options)
    assert done.returncode == 1 and message in done.stderr
    assert "Traceback" not in done.stderr
