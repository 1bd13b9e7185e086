"""A comparison on the terminal and as markdown: aligned, coloured, and harmless."""

import io
from pathlib import Path

import pytest
from evaluations import write_evaluation
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from asr.reporting.comparison_rows import p_value
from asr.reporting.comparison_text import (
    alignment_lines,
    check_formats,
    markdown,
    output_path,
    show,
)
from asr.scoring.comparison import Comparison, Draws, Pair, System, compare
from asr.scoring.error_rate import word_errors
from asr.scoring.evaluation import Evaluation, Heard, open_sources, read_group
from asr.scoring.word_alignment import align_words


def pair(reference: str, one: str, other: str) -> Pair:
    systems = []
    for name, heard in (("a", one), ("bee", other)):
        scored = Heard("u", None, 1.0, reference, heard, word_errors(reference, heard))
        evaluation = Evaluation(name, Path(name), "mine/test", "greedy", (scored,))
        systems.append(System(evaluation, (align_words(reference, heard),), Draws(100, 0)))
    return Pair(*systems)


def lines(reference: str, one: str, other: str, width: int = 80) -> list[str]:
    return [line.plain for line in alignment_lines(pair(reference, one, other), 0, width)]


def test_words_stand_under_each_other() -> None:
    assert lines("the cat sat", "the sat", "a cat cat sat") == [
        "reference  *** the cat sat",
        "a              the *** sat",
        "bee        a   cat cat sat",
    ]
    # Signs of two columns, and a width that holds two words only.
    assert lines("猫 sat on", "猫 on", "猫 sat on", width=20) == [
        "reference  猫 sat",
        "a          猫 ***",
        "bee        猫 sat",
        "reference  on",
        "a          on",
        "bee        on",
    ]


WORDS = st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=8).map(" ".join)


@settings(deadline=None)
@given(WORDS, WORDS, WORDS, st.integers(12, 60))
def test_every_word_is_shown_once_and_in_order(
    reference: str, one: str, other: str, width: int
) -> None:
    found = lines(reference, one, other, width)
    for row, text in enumerate((reference, one, other)):
        shown = " ".join(line[11:] for line in found[row::3]).split()
        assert [word for word in shown if word != "***"] == text.split()


def test_errors_are_coloured_and_right_words_are_not() -> None:
    _, one, other = alignment_lines(pair("x y z", "x q z w", "x y"), 0, 80)
    styles = {one.plain[s.start : s.end]: s.style for s in one.spans if s.style}
    assert styles == {"q": "red", "w": "yellow"}
    assert {other.plain[s.start : s.end]: s.style for s in other.spans if s.style} == {"***": "red"}


@pytest.fixture
def hostile(tmp_path: Path) -> Comparison:
    """Ids, speakers and texts that would steer a terminal or a page."""
    bad = "\x1b[2J|<b>`*[x](y)"
    texts = [(f"a {bad} c", "a c"), ("b", f"b {bad}")] * 2
    for name in ("a", "b|<i>"):
        write_evaluation(
            tmp_path / name,
            texts if name == "a" else [(r, r) for r, _ in texts],
            ids=[f"{i}{bad}" for i in range(4)],
            speakers=[bad, bad, None, None],
        )
    sources = open_sources([tmp_path / "a", tmp_path / "b|<i>"])
    return compare(read_group(sources, ("mine/test", "greedy")), samples=100, seed=0)


def printed(comparison: Comparison, **options) -> str:
    file = io.StringIO()
    show(
        comparison, Console(file=file, soft_wrap=True, highlight=False, markup=False, **options), 9
    )
    return file.getvalue()


def test_data_does_not_steer_a_terminal(hostile: Comparison) -> None:
    plain = printed(hostile)
    assert "\x1b" not in plain and "\N{REPLACEMENT CHARACTER}[2J" in plain
    coloured = printed(hostile, force_terminal=True, color_system="standard", _environ={})
    assert "\x1b[31m" in coloured and "\x1b[2J" not in coloured
    assert all(line == line.rstrip() for line in plain.splitlines())


def test_data_does_not_steer_markdown(hostile: Comparison) -> None:
    text = markdown([hostile], 9)
    outside = [line for line in text.splitlines() if not line.startswith("    ")]
    assert not any("<b>" in line or "`" in line.replace("\\`", "") for line in outside)
    tables = [line.replace("\\|", "") for line in outside if line.startswith("|")]
    assert {line.count("|") for line in tables} == {11, 4, 5}


def test_where_files_go(tmp_path: Path) -> None:
    for name in ("a.1", "b"):
        write_evaluation(tmp_path / name, [("a", "a")])
    sources = open_sources([tmp_path / "a.1", tmp_path / "b"])
    assert output_path(None, sources, ".html") == tmp_path / "b" / "against-a.1.html"
    assert output_path("x/y.2.html", sources, ".md") == Path("x/y.2.md")
    with pytest.raises(ValueError, match=r"is a folder; name a file"):
        output_path(str(tmp_path), sources, ".html")


def test_formats() -> None:
    assert check_formats(["html"]) == ["html"]
    for wrong in ([], ["pdf"]):
        with pytest.raises(ValueError, match="terminal, html, markdown"):
            check_formats(wrong)


def test_p_values_are_never_shown_as_0() -> None:
    assert [p_value(p) for p in (1.0, 0.00314, 5e-5, 3.2e-9, None)] == [
        "p = 1.0000", "p = 0.0031", "p = 0.0001", "p = 3e-09", "p not defined",
    ]  # fmt: skip
