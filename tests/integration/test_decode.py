"""Posteriors of a Keras model with a softmax output: the same loss, the same greedy text."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import REPOSITORY, command


@pytest.fixture
def keras_model(tmp_path: Path) -> dict:
    """What `make parity` recorded, as the file that its user would have."""
    record = json.loads((REPOSITORY / "tests" / "golden" / "parity.json").read_text())["model"]
    utterances = record["utterances"]
    frames = max(len(u["posteriors"]) for u in utterances)
    padded = np.zeros((len(utterances), frames, len(record["symbols"])), dtype=np.float32)
    for row, utterance in zip(padded, utterances, strict=True):
        row[: len(utterance["posteriors"])] = utterance["posteriors"]
    with h5py.File(tmp_path / "softmax.h5", "w") as file:
        file["softmax"] = padded
        file["lengths"] = np.array([len(u["posteriors"]) for u in utterances])
    (tmp_path / "tokens.txt").write_text("".join(f"{s}\n" for s in record["symbols"]))
    (tmp_path / "texts.txt").write_text("".join(f"{u['text']}\n" for u in utterances))
    return record


def test_keras_posteriors(keras_model: dict, tmp_path: Path) -> None:
    done = command(
        "decode", str(tmp_path / "softmax.h5"), f"tokens={tmp_path / 'tokens.txt'}",
        "posteriors.array=softmax", "posteriors.lengths=lengths", "posteriors.layout=btv",
        "posteriors.kind=probabilities", "posteriors.blank=last", "posteriors.epsilon=1e-7",
        f"references={tmp_path / 'texts.txt'}", f"output={tmp_path / 'out'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [
        json.loads(line)
        for line in (tmp_path / "out" / "hypotheses.jsonl").read_text().splitlines()
    ]
    for row, utterance in zip(rows, keras_model["utterances"], strict=True):
        assert row["hypothesis"] == utterance["greedy"]
        assert row["loss"] == pytest.approx(utterance["ctc_batch_cost"], abs=1e-4)
    printed = [line.split("\t")[1] for line in done.stdout.splitlines()]
    assert printed == [u["greedy"] for u in keras_model["utterances"]]
    assert re.search(r"%WER [\d.]+ \[ \d+ / \d+, ", done.stderr)


def test_the_decoders_benchmark(shared_data: Path, tmp_path: Path) -> None:
    letters = ["-", "|", "'", *"abcdefghijklmnopqrstuvwxyz"]
    (tmp_path / "tokens.txt").write_text("\n".join(letters) + "\n")
    done = command(
        "decode", str(shared_data / "decoding" / "log_probs.npz"), "space='|'",
        f"tokens={tmp_path / 'tokens.txt'}", "posteriors.kind=log_probs", "posteriors.layout=btv",
        "posteriors.blank=first", f"references={shared_data / 'decoding' / 'references.txt'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "%WER 59.88 [ 2267 / 3786" in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("posteriors.kind=logits", "lies in [0, 1] and sums to one"),
        ("posteriors.kind=null", "declare what"),
        ("posteriors.layout=tbv", "lengths"),
        ("posteriors.lengths=null", "if it is padding, give posteriors.lengths"),
        ("posteriors.blank=null", "declare which of the 6"),
        ("tokens=null", "tokens=FILE is needed"),
        ("references=/gone.txt", "references=/gone.txt"),
        ("batch_size=0", "batch_size=0"),
    ],
)
def test_nothing_is_guessed(keras_model: dict, tmp_path: Path, change: str, message: str) -> None:
    done = command(
        "decode", str(tmp_path / "softmax.h5"), f"tokens={tmp_path / 'tokens.txt'}",
        "posteriors.array=softmax", "posteriors.lengths=lengths", "posteriors.layout=btv",
        "posteriors.kind=probabilities", "posteriors.blank=last",
        f"references={tmp_path / 'texts.txt'}", change,
    )  # fmt: skip
    assert done.returncode == 1 and message in done.stderr, done.stderr
