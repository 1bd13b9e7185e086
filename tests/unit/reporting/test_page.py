"""The frame of pages: what comes from data stays text, and nothing is fetched."""

import base64
import hashlib
import re
import tomllib
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import REPOSITORY

from asr.reporting.page import element, page, table

HOSTILE = [
    "<script>alert(1)</script>", "</script><script>alert(1)//", "</title><img src=x onerror=1>",
    '" onmouseover="alert(1)', "' autofocus onfocus='alert(1)", "<!-- ", "]]>", "&lt;b&gt;", "&amp",
    "javascript:alert(1)", "\u202e<svg/onload=alert(1)>", "{{7*7}}", "</td></table><h1>",
]  # fmt: skip


class Reader(HTMLParser):
    """Tags, attributes and text as a browser would take them apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def shown(text: str) -> str:
    """A page that shows a text wherever pages show texts."""
    return page(
        text,
        element("p", "before ", element("b", text), text, title=text, data_kind=text),
        table([text, "n"], [[text, element("span", text)]], class_="sortable"),
    )


PLAIN = Reader(shown("plain"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_text(text: str) -> None:
    found = Reader(shown(text))
    assert found.tags == PLAIN.tags
    assert [name for name, _ in found.attributes] == [name for name, _ in PLAIN.attributes]
    assert "".join(found.texts).count(text) >= "".join(PLAIN.texts).count("plain")


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    found = Reader(shown(text))
    assert found.tags == PLAIN.tags
    assert ("title", text) in found.attributes and ("data-kind", text) in found.attributes
    assert text in "".join(found.texts)


def test_nothing_runs_but_the_pages_own_script() -> None:
    text = shown("plain")
    (policy,) = (v for k, v in PLAIN.attributes if k == "content" and "-src" in str(v))
    assert str(policy).startswith("default-src 'none';")
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in str(policy)
    assert not re.search(r"https?://|@import|url\(|<link|src=", text)


def test_the_pages_files_are_packaged() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["asr.reporting"]
    folder = REPOSITORY / "asr" / "reporting"
    packaged = {path for pattern in patterns for path in folder.glob(pattern)}
    assert packaged == {p for p in folder.iterdir() if p.is_file() and p.suffix != ".py"}
