"""Write docs/options.md: every option with its meaning, unit and default, read from configs/.

python scripts/options.py docs/options.md         # `make docs`; a test holds that it is up to date

A meaning is the comment behind an option, and stands nowhere else. Of choices that build the same
thing (`model=conformer`, `conformer_tiny`) one comment is enough.
"""

import ast
import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
HEAD = """\
# Every option

Written by `make docs` from the comments in `configs/`, where each option has its one home: change
it there. `python -m asr.train --cfg job` shows what a command line comes to.

An option of a command is set as `name=value`; one of a group, such as the model, as
`group.name=value` behind `group=choice`. `null` means none, or what the meaning says. Seconds,
decibels and other units stand in names or meanings. Lists and mappings want quotation marks:
`'augment=[speed,noise]'`.
"""
CORPUS = """
Each corpus has a `name`, the folder of its manifests under `data/`, and the manifests `train`,
`dev` and `test` that `data.train`, `data.dev` and `data.test` stand for unless they are set.
"""


class Option(NamedTuple):
    """name: dotted, inside its file. meaning: "" if the file does not say."""

    name: str
    default: str
    meaning: str


def options(path: Path) -> list[Option]:
    """The options of a file, in its order."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    corpus = path.parent.name == "corpus"
    hidden = {"defaults", "inputs"} | ({"name", "train", "dev", "test"} if corpus else set())

    def comment(mark: yaml.Mark) -> str:
        return lines[mark.line][mark.column :].partition("#")[2].strip()

    def above(mark: yaml.Mark) -> str:
        first = mark.line
        while lines[first - 1].lstrip().startswith("#"):
            first -= 1
        return " ".join(line.strip(" #") for line in lines[first : mark.line])

    def walk(node: yaml.MappingNode, prefix: str) -> Iterator[Option]:
        for key, value in node.value:
            name = prefix + key.value
            source = text[value.start_mark.index : value.end_mark.index]
            handed_on = corpus and "${corpus." in source  # from above to the class
            if name in hidden or key.value == "_target_" or (handed_on and "#" not in source):
                continue
            if getattr(value, "flow_style", None) is not False:  # a scalar, or in brackets
                yield Option(name, " ".join(source.split()), comment(value.end_mark))
            elif isinstance(value, yaml.SequenceNode):
                items = "; ".join(
                    f"`{item.value}`" + (f": {said}" if (said := comment(item.end_mark)) else "")
                    for item in value.value
                )
                flow = ", ".join(item.value for item in value.value)
                yield Option(name, f"[{flow}]", f"{above(key.start_mark)} {items}".strip())
            elif "#" not in source:  # a mapping that is one value
                plain = yaml.safe_load(" " * value.start_mark.column + source)
                flow = yaml.safe_dump(plain, default_flow_style=True, width=1000).strip()
                yield Option(name, flow, comment(key.end_mark))
            else:
                if said := comment(key.end_mark):
                    yield Option(name, "", said)
                yield from walk(value, f"{name}.")

    root = yaml.compose(text)
    return list(walk(root, "")) if root is not None else []


def headline(path: Path) -> str:
    """What a file's first comment says it is for, up to its commands."""
    head = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# ") or line.startswith("#   "):
            break
        head += [line.removeprefix("# ")] * (not line.startswith("# @"))
    return " ".join(head)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    cells = [head, ["---"] * len(head), *rows]
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in cells]
    return "".join(f"| {line} |\n" for line in lines)


def code(text: str) -> str:
    """As code, if there is any."""
    return f"`{text}`" if text else ""


def command_section(path: Path) -> str:
    """One command: the groups that it chooses from, and its own options."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["defaults"]
    chosen = [(g, c) for e in entries if isinstance(e, dict) for g, c in e.items()]
    groups = ", ".join(f"[`{g}`](#{g})" for g, _ in chosen if (CONFIGS / g).is_dir())
    own = options(path)
    rows = [
        [code(o.name), code(o.default), m] for o, m in zip(own, meanings(path, own), strict=True)
    ]
    source = (CONFIGS.parent / "asr" / f"{path.stem}.py").read_text(encoding="utf-8")
    purpose = str(ast.get_docstring(ast.parse(source))).splitlines()[0].partition(": ")[2]
    return (
        f"### asr.{path.stem}\n\n{html.escape(purpose, quote=False)}\n\n"
        + (f"Groups: {groups}.\n\n" if groups else "")
        + table(["option", "default", "meaning"], rows)
    )


def group_section(folder: Path) -> str:
    """One group: its choices, and for each class the options of the choices that build it."""
    files = sorted(folder.glob("*.yaml"))
    said = [[code(f"{folder.name}={p.stem}"), headline(p)] for p in files]
    parts = [f"### {folder.name}\n", table(["choice", "what it is"], said)]
    if folder.name == "corpus":
        parts.append(CORPUS.lstrip("\n"))
    alike: dict[str, list[Path]] = {}
    for path in files if folder.name != "experiment" else []:
        alike.setdefault(builds(path), []).append(path)
    parts += [text for paths in alike.values() if (text := alike_table(folder.name, paths))]
    return "\n".join(parts)


def builds(path: Path) -> str:
    """The class that a choice builds; what is based on another choice builds that one's."""
    text = path.read_text(encoding="utf-8")
    if base := re.search(r"^defaults: \[(\w+)\]", text, re.MULTILINE):
        return builds(path.with_name(f"{base[1]}.yaml"))
    found = re.search(r"_target_: (\S+)", text)
    return found[1] if found else path.stem


def alike_table(group: str, paths: list[Path]) -> str:
    """Options of choices that build the same, a column of defaults for each."""
    names: dict[str, dict[str, Option]] = {}
    for path in paths:
        for option in options(path):
            names.setdefault(option.name, {})[path.stem] = option
    told = [
        next((o for o in by_choice.values() if o.meaning), next(iter(by_choice.values())))
        for by_choice in names.values()
    ]
    rows = [
        [
            code(f"{group}.{o.name}"),
            *(code(c[p.stem].default) if p.stem in c else "" for p in paths),
            m,
        ]
        for c, o, m in zip(names.values(), told, meanings(paths[0], told), strict=True)
    ]
    return table(["option", *(p.stem for p in paths), "meaning"], rows) if rows else ""


def meanings(path: Path, found: list[Option]) -> list[str]:
    """What options mean.

    Raises:
        ValueError: the file does not say of all; a comment behind an option mends it.
    """
    if silent := [option.name for option in found if not option.meaning]:
        raise ValueError(f"{path}: without a comment that says its meaning: {', '.join(silent)}")
    return [html.escape(option.meaning, quote=False) for option in found]


def page() -> str:
    """All of docs/options.md."""
    commands = sorted(p for p in CONFIGS.glob("*.yaml") if p.stem != "command")
    groups = sorted(p for p in CONFIGS.iterdir() if p.is_dir() and any(p.glob("*.yaml")))
    return "\n".join(
        [
            HEAD,
            "## Commands\n",
            *map(command_section, commands),
            "## Groups\n",
            *map(group_section, groups),
        ]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
