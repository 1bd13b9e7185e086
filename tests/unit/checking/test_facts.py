"""What manifests are called, and how many threads read them."""

from pathlib import Path

import pytest

from asr.checking.facts import digest, short_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/train.jsonl", "a/dev.jsonl"], ["train", "dev"]),
        (["a/train.jsonl", "b/train.jsonl"], ["a-train", "b-train"]),
        (["a/x/train.jsonl", "b/x/train.jsonl", "c/dev.jsonl"], ["x-train", "x-train-2", "c-dev"]),
    ],
)
def test_names_are_short_and_different(paths: list[str], names: list[str]) -> None:
    assert short_names(list(map(Path, paths))) == names


def test_digests_differ_and_are_never_zero() -> None:
    texts = ["", " ", "a", "b", "\ud800"]  # the last is what a broken file name becomes
    assert len({digest(text) for text in texts} - {0}) == len(texts)
