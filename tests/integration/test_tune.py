"""From a checkpoint to a tuned decoder, as a user does it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from support import command, tones_overrides

from asr.corpus.manifest import read_manifest
from asr.data.dataset import SpeechDataset
from asr.scoring.score import Report, score
from asr.training.assemble import assemble
from asr.tune import main
from asr.wiring.build import build
from asr.wiring.recognizer import open_recognizer

WER = re.compile(r"^(\w+) +%WER (\S+) \[ (\d+) / (\d+)", re.MULTILINE)


@pytest.fixture(scope="module")
def trained(
    tones: Path, tmp_path_factory: pytest.TempPathFactory, compose_config: Callable[..., DictConfig]
) -> Path:
    """A checkpoint that knows the tones a little."""
    runs = tmp_path_factory.mktemp("runs")
    options = [*tones_overrides(tones, runs), "experiment=tones", "trainer.epochs=1"]
    config = compose_config("train", *options)
    assert assemble(config, "x", torch.device("cpu"), say=lambda line: None).fit() == 0
    return runs / "x" / "best.pt"


@pytest.fixture
def run(trained: Path, tones: Path, tmp_path: Path) -> Path:
    """A run of one's own, and beside it a language model that knows the words well."""
    words = sorted({w for u in read_manifest(tones / "dev.jsonl") for w in u.text.split()})
    weights = {"<s>": -99, "<unk>": -6, "</s>": -1} | dict.fromkeys(words, -2)
    lines = [f"\\data\\\nngram 1={len(weights)}\n\n\\1-grams:"]
    lines += [f"{weight}\t{word}\t0" for word, weight in weights.items()]
    (tmp_path / "words.arpa").write_text("\n".join([*lines, "", "\\end\\", ""]))
    (tmp_path / "x").mkdir()
    shutil.copy(trained, tmp_path / "x")
    return tmp_path / "x"


@pytest.fixture
def tune(run: Path, compose_config: Callable[..., DictConfig]) -> Callable[..., None]:
    """tune(*options): a search on a run, in this process."""

    def tuned(*options: str) -> None:
        options = (f"checkpoint={run}", "device=cpu", "trials=12", *options)
        if "decoder=greedy" not in options:
            options = (f"decoder.lm={run.with_name('words.arpa')}", *options)
        main(compose_config("tune", *options))

    return tuned


def evaluate(
    run: Path, decoder: Path, manifest: Path, compose_config: Callable[..., DictConfig]
) -> Report:
    config = compose_config("evaluate", f"checkpoint={run}")
    recognizer, *_ = open_recognizer(config, torch.device("cpu"))
    reports = score(
        recognizer, {"tuned": build(OmegaConf.load(decoder), recognizer.tokenizer)},
        SpeechDataset(read_manifest(manifest), recognizer.tokenizer, 16000),
        device=torch.device("cpu"), batch_seconds=30, max_utterances=8, workers=0,
    )  # fmt: skip
    return reports["tuned"]


def test_a_search_leaves_a_decoder_that_evaluates_as_it_says(
    tune: Callable[..., None], run: Path, tones: Path, tmp_path: Path,
    compose_config: Callable[..., DictConfig], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    tune("decoder.lm=words.arpa", "search.beam_size=[2,40]")  # on the run's own development set
    said = {name: int(errors) for name, _, errors, _ in WER.findall(capsys.readouterr().out)}
    assert said["tuned"] < said["greedy"] and said["tuned"] <= said["untuned"]
    folder = run / "decoder"
    trials = [json.loads(line) for line in (folder / "tuned.jsonl").read_text().splitlines()]
    assert len(trials) == 12
    assert trials[0]["options"] == {
        "lm_weight": 0.5, "word_score": None, "beam_size": 100, "beam_threshold": 20,
    }  # fmt: skip
    assert trials[0]["errors"] == said["untuned"]
    assert min(trial["errors"] for trial in trials) == said["tuned"]
    assert (folder / "tuned.png").stat().st_size > 10_000
    monkeypatch.chdir("/")
    report = evaluate(run, folder / "tuned.yaml", tones / "dev.jsonl", compose_config)
    assert report.words.errors == said["tuned"]


def test_again_it_reads_what_it_computed_and_finds_the_same(
    tune: Callable[..., None], run: Path, tones: Path, tmp_path: Path
) -> None:
    tune()
    [cache] = (run / "posteriors").iterdir()
    written = cache.stat().st_mtime_ns
    first = (run / "decoder" / "tuned.jsonl").read_text()
    tune(f"output={tmp_path}/decoder/again.yaml", f"manifest=[{tones / 'dev.jsonl'}]")
    assert [cache] == list((run / "posteriors").iterdir())
    assert cache.stat().st_mtime_ns == written
    assert (tmp_path / "decoder" / "again.jsonl").read_text() == first
    tune("seed=2")
    assert (run / "decoder" / "tuned.jsonl").read_text() != first


def test_test_sets_are_refused_unless_forced(
    tune: Callable[..., None], run: Path, tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = tones / "test.jsonl"
    done = command("tune", f"checkpoint={run}", str(test))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "test set" in done.stderr and "force=true" in done.stderr
    assert not (run / "posteriors").exists() and not (run / "decoder").exists()
    tune(f"inputs=[{test}]", "force=true", "trials=1")
    assert "warning" in capsys.readouterr().out
    assert "/test," in (run / "decoder" / "tuned.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["decoder.lm=null"], "decoder.lm=FILE"),
        (["decoder=greedy"], "decoder=greedy has no such number"),
        (["search.beam_size=[0,10]"], "beam_size=0"),
        (["output=tuned.yaml"], "a folder called decoder"),
        (["trials=0"], "trials=0"),
    ],
)
def test_mistakes(options: list[str], message: str, tune: Callable[..., None], run: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        tune(*options)
    assert not (run / "decoder").exists()
