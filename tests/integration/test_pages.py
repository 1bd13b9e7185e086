"""Pages in a real browser, from file://: they sort, filter, play, fit a phone, fetch nothing."""

import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from evaluations import EVIL, write_evaluation
from support import command

from asr.reporting.comparison_page import comparison_page
from asr.reporting.page import write_whole
from asr.reporting.report_page import Chapter, report_page
from asr.scoring.comparison import compare
from asr.scoring.evaluation import open_sources, read_by_test_set, read_group

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser

# Reference, and what two runs heard: errors 0-2, 3-0, 1-1, 0-0, 1-2.
TEXTS = [
    ("one two three", "one two three", "one too tree"),
    (f"four five {EVIL}", "for fife sicks", f"four five {EVIL}"),
    ("seven", "heaven", "eleven"),
    ("eight", "eight", "eight"),
    ("nine ten", "nine then", "mine den"),
]
IDS = ["u10", "u2", f"u3{EVIL}", "u4", "u5"]


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: "sync_api.Browser", path: Path, title: str) -> Iterator["sync_api.Page"]:
    """A page; at the end it must have asked for nothing and said nothing."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    yield page
    assert page.title() == title, "a script of the data ran"
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert said == []
    page.close()


def until(page: "sync_api.Page", expression: str) -> None:
    """Playwright's own waiting evaluates texts in the page, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not in ten seconds: {expression}")


@pytest.fixture
def comparison(browser: "sync_api.Browser", tmp_path: Path) -> Iterator["sync_api.Page"]:
    """The page of two runs."""
    names = ["a", f"b{EVIL.replace('/', '')}"]
    for side, name in enumerate(names, 1):
        texts = [(row[0], row[side]) for row in TEXTS]
        write_evaluation(tmp_path / name, texts, ids=IDS, speakers=["x", "y", "x", EVIL, None])
    sources = open_sources([tmp_path / name for name in names])
    found = compare(read_group(sources, ("mine/test", "greedy")), samples=200, seed=0)
    write_whole(tmp_path / "page.html", comparison_page([found]))
    with opened(browser, tmp_path / "page.html", f"{names[1]} against a") as page:
        yield page


def column(page: "sync_api.Page", number: int) -> list[str]:
    """The cells of the visible utterances."""
    rows = page.locator(".utterances tbody tr:visible")
    return [
        text.split("\n")[0] for text in rows.locator(f"td:nth-child({number})").all_inner_texts()
    ]


def test_utterances_are_sorted(comparison: "sync_api.Page") -> None:
    comparison.get_by_role("combobox").select_option("")
    assert column(comparison, 5) == ["-3", "+2", "+1", "0", "0"], "the largest difference first"
    head = comparison.locator(".utterances thead th")
    head.nth(4).get_by_role("button").click()
    assert column(comparison, 5) == ["+2", "+1", "0", "0", "-3"]
    assert head.nth(4).get_attribute("aria-sort") == "descending"
    head.nth(4).get_by_role("button").click()
    assert column(comparison, 5) == ["-3", "0", "0", "+1", "+2"]
    head.nth(0).get_by_role("button").click()
    assert column(comparison, 1) == sorted(IDS)
    assert head.nth(4).get_attribute("aria-sort") is None


def test_utterances_are_filtered(comparison: "sync_api.Page") -> None:
    count = comparison.locator(".filter output")
    assert count.inner_text() == "3 of 5"
    comparison.get_by_role("combobox").select_option("better")
    assert column(comparison, 1) == ["u2"]
    comparison.get_by_role("combobox").select_option("worse")
    assert column(comparison, 1) == ["u10", "u5"]
    comparison.get_by_role("combobox").select_option("")
    assert count.inner_text() == "5 of 5"
    comparison.get_by_role("searchbox").fill("ELEVEN")
    assert column(comparison, 1) == [IDS[2]]
    comparison.get_by_role("searchbox").fill("nothing like it")
    assert count.inner_text() == "0 of 5"


def test_errors_are_marked(comparison: "sync_api.Page") -> None:
    row = comparison.locator(".utterances tr", has_text="u10")
    assert row.locator("mark").all_inner_texts() == ["too", "tree"]
    colour = "e => getComputedStyle(e).color"
    assert row.locator("mark").first.evaluate(colour) != row.locator("td").first.evaluate(colour)
    words = comparison.locator("details tbody tr", has_text="three")
    assert words.locator("td").all_inner_texts() == ["three", "1", "1", "0"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(comparison: "sync_api.Page", scheme: str) -> None:
    comparison.set_viewport_size({"width": 360, "height": 700})
    comparison.emulate_media(color_scheme=scheme)
    assert comparison.evaluate("document.documentElement.scrollWidth") <= 360
    paper = comparison.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
    assert comparison.locator(".utterances tbody tr:visible").first.bounding_box()["width"] <= 360


@pytest.fixture(scope="module")
def report_file(evaluated: Path) -> Path:
    done = command("report", str(evaluated), "threads=1", "exhibits=6")
    assert done.returncode == 0, done.stderr
    return evaluated / "report.html"


@pytest.fixture
def report(browser: "sync_api.Browser", report_file: Path) -> Iterator["sync_api.Page"]:
    with opened(browser, report_file, "Report of begun") as page:
        yield page


def test_a_report_is_sorted_and_filtered(report: "sync_api.Page") -> None:
    head = report.locator(".utterances thead th")
    head.get_by_role("button", name="seconds").click()
    seconds = [float(text) for text in column(report, 3)]
    assert len(seconds) == 16 and seconds == sorted(seconds, reverse=True)
    head.get_by_role("button", name="utterance").click()
    ids = column(report, 1)
    assert ids == sorted(ids, key=str.lower)
    report.get_by_role("searchbox").fill("onerror")
    assert column(report, 1) == [f"id{EVIL}"]
    report.get_by_role("searchbox").fill("")
    report.get_by_role("combobox").select_option("exhibit")
    assert len(column(report, 1)) == 6
    assert report.locator(".filter output").inner_text() == "6 of 16"


def test_a_report_plays(report: "sync_api.Page") -> None:
    report.get_by_role("combobox").select_option("exhibit")
    report.locator(".utterances thead").get_by_role("button", name="seconds").click()
    row = report.locator(".utterances tbody tr").filter(has_not_text="onerror").first
    row.get_by_role("button", name="listen").click()
    audio = report.locator("audio")
    until(report, "document.querySelector('audio').currentTime > 0.2")
    assert report.evaluate("document.querySelector('.exhibit img').naturalWidth") > 50
    # A word plays where it lies, and stops at its end.
    word = report.locator(".exhibit .lane").first.get_by_role("button").first
    start, stop = map(float, re.findall(r"\d+\.\d+", str(word.get_attribute("title")))[:2])
    word.click()
    until(report, "document.querySelector('audio').paused")
    assert start < audio.evaluate("a => a.currentTime") < stop + 0.3
    assert not audio.evaluate("a => a.ended")
    lane, strip = (report.locator(s).first.bounding_box() for s in (".lane", ".picture"))
    seconds = audio.evaluate("a => a.duration")
    assert word.bounding_box()["x"] == pytest.approx(
        strip["x"] + strip["width"] * start / seconds, abs=2
    )
    assert lane["width"] == strip["width"]
    row.get_by_role("button", name="listen").click()
    assert audio.count() == 0


def test_a_text_that_cannot_be_aligned_is_shown_as_text(report: "sync_api.Page") -> None:
    report.get_by_role("searchbox").fill("onerror")
    report.locator(".listen").click()
    assert "the alphabet does not hold" in report.locator(".exhibit").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_fits_a_phone(report: "sync_api.Page", scheme: str) -> None:
    report.set_viewport_size({"width": 360, "height": 700})
    report.emulate_media(color_scheme=scheme)
    report.get_by_role("combobox").select_option("exhibit")
    report.locator(".listen").first.click()
    assert report.locator(".exhibit img").bounding_box()["height"] > 100
    assert report.evaluate("document.documentElement.scrollWidth") <= 360
    # What is wider scrolls in a box of its own: nothing of the page is cut off.
    beyond = """[...document.querySelectorAll("main *")].filter((node) =>
        !node.closest(".scroll, svg, pre, .lanes") && node.getBoundingClientRect().right > 360)"""
    assert report.evaluate(f"{beyond}.map((node) => node.outerHTML.slice(0, 80))") == []


def test_thousands_are_drawn_as_they_come_in_sight(
    browser: "sync_api.Browser", tmp_path: Path
) -> None:
    texts = [(f"word{i} and more", "word and more") for i in range(3000)]
    write_evaluation(tmp_path / "a", texts, durations=[1 + i / 10 for i in range(3000)])
    ((evaluation,),) = read_by_test_set(open_sources([tmp_path / "a"]), None, None)
    unknown = [math.nan] * len(texts)
    chapter = Chapter(compare([evaluation], samples=9, seed=0), unknown, unknown, unknown)
    write_whole(tmp_path / "page.html", report_page("many", [chapter], limit=20))
    with opened(browser, tmp_path / "page.html", "many") as page:
        rows = page.locator(".utterances tbody tr")
        assert 0 < rows.count() < 300
        page.get_by_role("searchbox").fill("word2999 ")
        assert column(page, 1) == ["u2999"]
        page.get_by_role("searchbox").fill("word")
        few = rows.count()
        rows.last.scroll_into_view_if_needed()
        until(page, f"document.querySelectorAll('.utterances tbody tr').length > {few}")
        page.get_by_role("button", name="seconds").click()
        assert column(page, 1)[0] == "u2999"
