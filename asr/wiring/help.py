"""What `--help` prints: a command's purpose and examples, its groups, and every option.

All of it is read from where it stands already, the command's docstring and `configs/`, and
nothing is composed: Hydra's own help takes a second and shows neither meanings nor units.
"""

import re
from pathlib import Path

import yaml

_FLAGS = """\
flags (and Hydra's others, by --hydra-help):
  --cfg job       show the configuration that these arguments make, and stop
  -m              run once for each of several values, such as seed=1,2,3
"""


def help_text(configs: Path, name: str, about: str) -> str:
    """The help of a command.

    Args:
        configs: the folder of all configuration.
        name: of the command.
        about: its docstring.
    """
    text = (configs / f"{name}.yaml").read_text(encoding="utf-8")
    options = re.sub(r"\A(#.*\n)*defaults:\n( .*\n)*\n*", "", text)
    groups = "".join(
        f"  {group:<14}  {chosen:<14}  {' '.join(sorted(p.stem for p in folder.glob('*.yaml')))}\n"
        for group, chosen in _chosen(text)
        if (folder := configs / group).is_dir()
    )
    parts = [about, _FLAGS]
    if groups:
        head = f"  {'group':<14}  {'chosen':<14}  choices"
        parts.append(f"groups, as GROUP=CHOICE or GROUP.OPTION=VALUE:\n{head}\n{groups}")
    parts.append(f"options, as NAME=VALUE or NAME.NAME=VALUE:\n\n{options}")
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _chosen(text: str) -> list[tuple[str, str]]:
    """The groups of a defaults list and what each is set to."""
    entries = yaml.safe_load(text)["defaults"]
    pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    return [(g, "+".join(c) if isinstance(c, list) else c or "none") for g, c in pairs]
