"""Pages in a real browser, from file://: they sort, filter, fit a phone, and fetch nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from evaluations import write_evaluation

from asr.reporting.comparison_page import comparison_page
from asr.reporting.page import write_whole
from asr.scoring.comparison import compare
from asr.scoring.evaluation import open_sources, read_group

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser

EVIL = "<img/src=x/onerror=document.title='run'><script>document.title='run'</script>"
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


@pytest.fixture
def comparison(browser: "sync_api.Browser", tmp_path: Path) -> Iterator["sync_api.Page"]:
    """The page of two runs, opened; afterwards it must have asked for nothing and said nothing."""
    names = ["a", f"b{EVIL.replace('/', '')}"]
    for side, name in enumerate(names, 1):
        texts = [(row[0], row[side]) for row in TEXTS]
        write_evaluation(tmp_path / name, texts, ids=IDS, speakers=["x", "y", "x", EVIL, None])
    sources = open_sources([tmp_path / name for name in names])
    found = compare(read_group(sources, ("mine/test", "greedy")), samples=200, seed=0)
    write_whole(tmp_path / "page.html", comparison_page([found]))
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    yield page
    assert page.title() == f"{names[1]} against a", "a script of the data ran"
    assert asked == [(tmp_path / "page.html").as_uri()] and said == []
    page.close()


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
