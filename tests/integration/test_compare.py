"""asr.compare, as a user calls it, on evaluations that the program's own scoring wrote."""

import re
from pathlib import Path

import numpy as np
import pytest
from evaluations import write_evaluation
from support import command

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "<b>saw</b>", "some", "birds"]


def misheard(texts: list[str], rate: float, seed: int) -> list[tuple[str, str]]:
    """Each word is heard as another one at a rate."""
    rng = np.random.default_rng(seed)
    return [
        (t, " ".join(str(rng.choice(WORDS)) if rng.random() < rate else w for w in t.split()))
        for t in texts
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on 80 utterances of 8 speakers: b is better than a, c is not."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 12))) for _ in range(80)]
    speakers = [f"s{i % 8}" for i in range(80)]
    for seed, (name, rate) in enumerate({"a": 0.3, "b": 0.15, "c": 0.3}.items()):
        write_evaluation(folder / name, misheard(texts, rate, seed), speakers=speakers)
    write_evaluation(folder / "a", misheard(texts, 0.1, 5), speakers=speakers, decoder="beam")
    return folder


def test_two_runs(runs: Path, tmp_path: Path) -> None:
    output = tmp_path / "b over a.html"
    done = command(
        "compare", str(runs / "a"), str(runs / "b"), f"output='{output}'", "examples=3",
        "format=[terminal,html,markdown]",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (points,) = re.findall(r"difference +(\S+) points +fewer errors", done.stdout)
    rates = [float(x) for x in re.findall(r"^  [ab] +(\d+\.\d+)", done.stdout, re.MULTILINE)]
    assert float(points) == pytest.approx(rates[1] - rates[0], abs=0.011)
    assert "8 speakers drawn whole" in done.stdout
    assert all(float(p) < 0.05 for p in re.findall(r"p = (\S+)", done.stdout))
    assert f"not compared: {runs / 'b'}: no evaluation of mine/test by beam" in done.stdout
    assert "\x1b" not in done.stdout, "no colours where nobody would see them"
    assert (
        f"| difference | {points} points | fewer errors |" in output.with_suffix(".md").read_text()
    )
    page = output.read_text()
    assert f"{points} points" in page and "<b>" not in page and "&lt;b&gt;saw" in page


def test_all_against_the_first(runs: Path) -> None:
    done = command("compare", *(str(runs / name) for name in "abc"), "examples=0")
    assert done.returncode == 0, done.stderr
    assert "b against a" in done.stdout and "c against a" in done.stdout
    assert "c against b" not in done.stdout
    page = (runs / "c" / "against-a-b.html").read_text()
    assert "<h1>b, c against a</h1>" in page and page.count("</svg>") == 2


def test_an_evaluation_against_another_of_the_same_run(runs: Path) -> None:
    folders = [str(runs / "a" / "evaluation" / name) for name in ("mine-test", "mine-test-beam")]
    done = command("compare", *folders, "format=[terminal]")
    assert done.returncode == 0, done.stderr
    assert "mine/test, greedy against beam" in done.stdout
    assert not list(runs.glob("**/against-*beam*"))


def test_mistakes(runs: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ([str(tmp_path)], "python -m asr.evaluate checkpoint="),
        ([str(runs / "b"), "decoder=beam"], "asr.compare --cfg job"),
    ):
        done = command("compare", str(runs / "a"), *arguments)
        assert done.returncode == 1, arguments
        assert message in done.stderr and "Traceback" not in done.stderr
