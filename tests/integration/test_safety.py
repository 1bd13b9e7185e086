"""What a stranger's checkpoint may not do, whichever command reads it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import command, tones_overrides

from asr.core.checkpoint import load_checkpoint, save_checkpoint
from asr.training.trainer import Trainer
from asr.wiring.build import build
from asr.wiring.recognizer import load_recognizer

EPOCH = ("trainer.epochs=1", "model=deepspeech2_tiny")
Node = dict[str, Any]
PIECES = "asr.tokenizer.sentencepiece.SentencePiece"


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder after one epoch."""
    runs = tmp_path_factory.mktemp("runs")
    done = command("train", *tones_overrides(tones, runs), *EPOCH, "run=good")
    assert done.returncode == 0, done.stderr
    return runs / "good"


# Each makes a part of a configuration from the good one and from a call that leaves a mark.
ATTACKS: dict[str, Callable[[Node, Node], Any]] = {
    "the target": lambda good, evil: evil,
    "in an argument": lambda good, evil: good | {"dropout": evil},
    "in a list": lambda good, evil: good | {"more": [1, [evil]]},
    "in a tuple": lambda good, evil: good | {"more": (1, (evil,))},
    "in a positional argument": lambda good, evil: good | {"_args_": [evil]},
    "in a positional tuple": lambda good, evil: good | {"_args_": (evil,)},
    "of another's mapping": lambda good, evil: good | {"more": {1: {None: evil}}},
    "partial": lambda good, evil: evil | {"_partial_": True},
    "not recursive": lambda good, evil: good | {"_recursive_": False, "more": evil},
    "an interpolated target": lambda good, evil: (
        good | {"_target_": "${to}", "to": evil["_target_"]}
    ),
    "a created node": lambda good, evil: good | {"more": f"${{oc.create:{_flow(evil)}}}"},
    "a decoded node": lambda good, evil: good | {"more": f'${{oc.decode:"{_flow(evil)}"}}'},
    "an interpolated key": lambda good, evil: good | {"${oc.env:HOME}": 1},
    "a method by its name": lambda good, evil: {
        "_target_": "hydra.utils.get_method",
        "path": evil["_target_"],
    },
    "a call of the method": lambda good, evil: {
        "_target_": "hydra.utils.call",
        "_args_": [evil],
        "_recursive_": False,
    },
    "instantiate itself": lambda good, evil: {
        "_target_": "hydra.utils.instantiate",
        "config": evil,
        "_recursive_": False,
    },
    "a list of targets": lambda good, evil: good | {"_target_": [evil["_target_"]]},
    "a mapping as target": lambda good, evil: good | {"_target_": {"_target_": evil["_target_"]}},
    "a number as target": lambda good, evil: good | {"_target_": 5},
    "no target": lambda good, evil: good | {"_target_": None},
    "a part of another kind": lambda good, evil: {
        "_target_": "asr.decoder.beam.Beam",
        "lm": evil["fname"],
    },
    "torch.hub.load": lambda good, evil: {"_target_": "torch.hub.load", "repo_or_dir": "a/b"},
    "os.system": lambda good, evil: {"_target_": "os.system", "command": f"touch {evil['fname']}"},
    "eval": lambda good, evil: {"_target_": "builtins.eval", "_args_": ["open('x', 'w')"]},
    "torch.load": lambda good, evil: {"_target_": "torch.load", "f": evil["fname"]},
    "to learn in C++": lambda good, evil: {
        "_target_": "asr.tokenizer.sentencepiece.SentencePiece.train",
        "texts": ["a b"],
        **{"kind": "bpe", "vocab_size": 4, "max_piece": 2, "max_texts": 9},
    },
    "a list": lambda good, evil: [evil],
    "nothing": lambda good, evil: None,
    "a tensor": lambda good, evil: good | {"more": torch.zeros(1)},
}


def _flow(node: Node) -> str:
    """A node in the grammar of an interpolation."""
    return f"{{_target_: {node['_target_']}, fname: '{node['fname']}', X: [1]}}"


def evil(mark: Path) -> Node:
    """A call that nothing but our own check keeps Hydra from making."""
    return {"_target_": "numpy.savetxt", "fname": str(mark), "X": [1]}


@pytest.mark.parametrize("part", ["features", "spec_augment", "model", "tokenizer"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_checkpoint_builds_only_what_is_shipped(
    run: Path, tmp_path: Path, attack: str, part: str
) -> None:
    """By what evaluate, transcribe, align and init_from call."""
    content = load_checkpoint(run / "best.pt")
    mark = tmp_path / "mark"
    place = content if part == "tokenizer" else content["config"]
    place[part] = ATTACKS[attack](place[part], evil(mark))
    if place[part] is None and part == "tokenizer":
        place[part] = {}
    path = tmp_path / "evil.pt"
    save_checkpoint(path, content)
    says = "Beam' is not part of" if attack == "a part of another kind" else ""
    with pytest.raises(ValueError, match=rf"evil\.pt: .*{says}"):
        load_recognizer(load_checkpoint(path), path)
    assert {p.name for p in tmp_path.iterdir()} == {"evil.pt"}


def test_the_attack_would_succeed_if_it_were_let(tmp_path: Path) -> None:
    build(evil(tmp_path / "mark"), trusted=["numpy.savetxt"])
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("attack", ["the target", "in a tuple", "a created node"])
def test_a_run_goes_on_only_with_a_tokenizer_that_is_shipped(
    run: Path, tmp_path: Path, new_trainer: Callable[..., Trainer], attack: str
) -> None:
    shutil.copytree(run, tmp_path / "good")
    for path in (tmp_path / "good").glob("last*.pt"):
        content = load_checkpoint(path)
        content["tokenizer"] = ATTACKS[attack](content["tokenizer"], evil(tmp_path / "mark"))
        save_checkpoint(path, content)
    with pytest.raises(ValueError, match=r"not imported|an interpolation"):
        new_trainer("good", *EPOCH)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["evaluate", "transcribe", "train", "train on"])
def test_no_command_runs_a_stranger_s_code(
    run: Path, tones: Path, tmp_path: Path, name: str
) -> None:
    mark = tmp_path / "mark"
    shutil.copytree(run, tmp_path / "good")
    for path in (tmp_path / "good").glob("*.pt"):
        content = load_checkpoint(path)
        tuple_in_it = ATTACKS["in a tuple"](content["tokenizer"], evil(mark))
        save_checkpoint(path, content | {"tokenizer": tuple_in_it})
    best = tmp_path / "good" / "best.pt"
    done = {
        "evaluate": lambda: command("evaluate", f"checkpoint={best}", str(tones / "dev.jsonl")),
        "transcribe": lambda: command("transcribe", f"checkpoint={best}", str(best)),
        "train": lambda: command(
            "train", *tones_overrides(tones, tmp_path), *EPOCH, "run=new", f"init_from={best}"
        ),
        "train on": lambda: command(
            "train", *tones_overrides(tones, tmp_path), *EPOCH, "run=good", "trainer.epochs=2"
        ),
    }[name]()
    assert done.returncode == 1
    assert "numpy.savetxt" in done.stderr and "not imported" in done.stderr
    assert "Traceback" not in done.stderr
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": {}}, "do not fit the model"),
        ({"weights": {"a": 1}}, "do not fit the model"),
        ({"weights": {1: torch.zeros(1)}}, "do not fit the model"),
        ({"feature_fingerprint": torch.zeros(2)}, "do not fit the model"),
        ({"config": {}}, "no recogniser that can be built"),
        ({"tokenizer": {}}, "no recogniser that can be built"),
        ({"tokenizer": {"_target_": "asr.tokenizer.char.Char", "characters": 5}}, "can be built"),
        ({"tokenizer": {"_target_": PIECES, "kind": "bpe", "pieces": 5, "scores": 5}}, "be built"),
        (
            {"tokenizer": {"_target_": PIECES, "kind": "bpe", "pieces": ["a"], "scores": [1e38]}},
            "can be built: the score of 'a', 1e.38, is not a number within",
        ),
    ],
)
def test_a_checkpoint_that_lacks_something_is_one_clear_error(
    run: Path, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = tmp_path / "evil.pt"
    save_checkpoint(path, load_checkpoint(run / "best.pt") | change)
    with pytest.raises(ValueError, match=rf"evil\.pt: .*({says})"):
        load_recognizer(load_checkpoint(path), path)


def test_each_promise_names_a_test_that_is_there(repository: Path) -> None:
    text = (repository / "SECURITY.md").read_text(encoding="utf-8")
    promises = text.partition("## What is promised")[2].partition("## What is not")[0]
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", text)
    assert len(named) >= 20
    for path, name in named:
        assert f"def {name}(" in (repository / path).read_text(encoding="utf-8"), name
    for promise in promises.split("\n\n**")[1:]:
        assert "(`tests/" in promise, promise
