"""The frame of every page: one file that needs no network, in light and dark, on phones too.

Pages are trees of elements, not strings, so that whatever comes from data is escaped by
construction; the page's policy lets no script run but its own.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

Node = Element | str


def element(tag: str, *children: Node, **attributes: str) -> Element:
    """An element with text and elements in it; `class_` and `data_kind` are spelt as in HTML."""
    own = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    node = Element(tag, own)
    for child in children:
        if isinstance(child, Element):
            node.append(child)
        elif len(node):
            node[-1].tail = (node[-1].tail or "") + child
        else:
            node.text = (node.text or "") + child
    return node


def table(
    head: Sequence[str], rows: Sequence[Sequence[Node] | Element], **attributes: str
) -> Element:
    """Rows of cells, or whole `tr` elements, under their heads; all but the first are numbers.

    With `class_="sortable"` a click on a head sorts by its column.
    """
    sortable = "sortable" in attributes.get("class_", "").split()
    heads = [element("button", name, type="button") if sortable else name for name in head]
    lines = (
        row if isinstance(row, Element) else element("tr", *(element("td", c) for c in row))
        for row in rows
    )
    return element(
        "table",
        element("thead", element("tr", *(element("th", cell, scope="col") for cell in heads))),
        element("tbody", *lines),
        **attributes,
    )


def data(name: str, content: Any) -> Element:
    """What the page's script reads: JSON, which no browser runs."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    # A script's text is not escaped as other text is: only a `<` could end it.
    return element("script", text.replace("<", "\\u003c"), type="application/json", id=name)


def page(title: str, *body: Node) -> str:
    """A whole HTML document."""
    style, script = (_own(name) for name in ("page.css", "page.js"))
    policy = (
        "default-src 'none'; img-src data:; media-src data:; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    main = element("main", element("h1", title), *body)
    document = element("html", head, element("body", main, element("script", script)), lang="en")
    return "<!DOCTYPE html>\n" + tostring(document, encoding="unicode", method="html") + "\n"


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _own(name: str) -> str:
    return (files("asr.reporting") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
