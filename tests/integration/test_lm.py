"""python -m asr.lm, as a user runs it."""

import re
from pathlib import Path

import pytest
from support import command

from asr.language_model.arpa import read_arpa

TEXT = "the cat sat on the mat\nthe dog sat on the cat\na dog and a cat\n"


def test_a_small_text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "test.txt").write_text("The cat, on a zebra.\n")
    out = tmp_path / "new" / "lm.arpa.gz"
    done = command(
        "lm", f"text={tmp_path / 'text.txt'}", "order=2", f"output={out}",
        f"perplexity=[{tmp_path / 'test.txt'}]",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3 sentences, 20 tokens" in done.stdout
    assert re.search(r"^ +2 +\d+ +0 +0 +\d+ +0\.5000 +1\.0000 +1\.5000$", done.stdout, re.M)
    assert "note: the 2-grams' discounts are those of discount_fallback" in done.stdout
    line = re.search(r"test\.txt: perplexity ([\d.]+) without .* \(1 of 6 tokens", done.stdout)
    assert line and 1 < float(line[1]) < 20
    assert "<unk>" in read_arpa(out).vocabulary
    again = command("lm", f"arpa={out}", f"perplexity={tmp_path / 'test.txt'}")
    assert f"perplexity {line[1]} without" in again.stdout, again.stderr


def test_characters_and_pruning(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 3)
    out = tmp_path / "lm.arpa"
    done = command(
        "lm", f"text=[{tmp_path / 'text.txt'}]", "order=4", "unit=character", f"output={out}",
        "prune=[0,0,3]", "entropy_threshold=1e-4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\u2581" in read_arpa(out).vocabulary


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "give one of text=FILE, published=NAME and arpa=FILE"),
        (["text=a.txt", "arpa=b"], "give one of text=FILE"),
        (["a.txt"], "give one of text=FILE"),
        (["text=nowhere.txt"], "nowhere.txt: no such text"),
        (["published=nothing"], "published=nothing is unknown: choose librispeech-3gram"),
        (["arpa=nowhere", "perplexity=README.md"], "nowhere: no such language model"),
        (["arpa=README.md", "perplexity=nowhere"], "nowhere: no such text"),
        (["text=README.md", "orde=2"], "Did you mean order?"),
        (["text=README.md", "unit=word", "order=200"], "the longest sentence"),
    ],
)
def test_mistakes(typed: list[str], message: str) -> None:
    done = command("lm", *typed)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if not line.startswith("compiled ")]
    assert said[0].startswith("error: ") and message in "\n".join(said)
    assert "Traceback" not in done.stderr


def test_lmplz_text(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "decoding"
    done = command(
        "lm", f"text={folder / 'lm_train.txt.gz'}", f"output={tmp_path / 'lm.arpa.gz'}",
        f"perplexity={folder / 'lm_test.txt'}",
    )  # fmt: skip
    assert "perplexity 129.60 without unknown words, 133.91 with (20 of 5,284" in done.stdout


def test_what_is_read_is_not_replaced(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    done = command("lm", f"text={text}", "order=2", f"output={text}")
    assert done.returncode == 1 and "would replace what is read" in done.stderr
    assert text.read_text() == TEXT
    done = command("lm", f"arpa={text}")
    assert done.returncode == 1 and "not an ARPA file" in done.stderr
