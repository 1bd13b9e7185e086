"""What every command shares: inputs without `=`, Hydra's start, and errors for people.

A command is a function of one composed config. `run_command` gives it Hydra's command line:

    python -m asr.transcribe checkpoint=runs/x 'my file.mp3' -- a=b.wav

Arguments without `=` are inputs; they are quoted into `inputs=[...]` before Hydra sees them, so
that spaces, commas and brackets in file names work. After `--` everything is an input.
"""

import difflib
import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from asr.wiring.help import help_text
from asr.wiring.schema import register_schemas

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def run_command(name: str, function: Callable[[DictConfig], None]) -> None:
    """Compose `configs/<name>.yaml` with the command line and run `function` on it.

    Exits with 0, with 1 and one clear message after a user's error, or as `function` exits.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach the except clauses below
    try:
        sys.argv[1:] = own_choices(quote_inputs(sys.argv[1:]))
    except ValueError as error:
        _fail(str(error))
    if {"-h", "--help"} & set(sys.argv[1:]):
        about = sys.modules[function.__module__].__doc__ or ""
        sys.stdout.write(help_text(CONFIGS, name, about))
        return
    register_schemas()

    # Inside the job, so that Hydra does not put a line of its own before ours.
    @functools.wraps(function)
    def job(config: DictConfig) -> None:
        try:
            function(config)
        except ValueError as error:
            _fail(str(error))
        except OSError as error:  # a full disk, a folder that is not ours
            _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
        except KeyboardInterrupt:
            sys.exit(130)

    try:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(job)()
    except (HydraException, OmegaConfBaseException) as error:
        _fail(_explain(error, name))


def quote_inputs(arguments: list[str]) -> list[str]:
    """Gather the arguments that are neither `key=value` nor flags into one `inputs=[...]`.

    Flags come first, because Hydra's parser takes overrides in one piece only. The `~` of
    `key=~/folder`, which a shell leaves alone and Hydra's grammar lacks, becomes the home folder.
    """
    inputs, flags, overrides, only_inputs, takes_value = [], [], [], False, False
    for argument in arguments:
        if takes_value:
            flags.append(argument)
            takes_value = False
        elif only_inputs or not (argument.startswith(("-", "~")) or "=" in argument):
            inputs.append(argument)
        elif argument == "--":
            only_inputs = True
        elif argument.startswith("-"):
            flags.append(argument)
            takes_value = argument in _FLAGS_WITH_VALUE
        else:
            overrides.append(_at_home(argument))
    if inputs:
        overrides.append("inputs=[" + ",".join(map(_quote, inputs)) + "]")
    return flags + overrides


def own_choices(arguments: list[str]) -> list[str]:
    """Let a group's choice be a file: `decoder=runs/x/decoder/tuned.yaml`, as `asr.tune` writes.

    Hydra finds it by its search path, so that it lies in a folder named as the group.

    Raises:
        ValueError: there is no such file, or it lies in another folder.
    """
    roots, own = [], []
    for argument in arguments:
        group, _, value = argument.lstrip("+").partition("=")
        path = Path(value)
        if path.suffix != ".yaml" or not (CONFIGS / group).is_dir():
            own.append(argument)
            continue
        if not path.is_file():
            raise ValueError(f"{argument}: there is no such file")
        if path.resolve().parent.name != group:
            raise ValueError(f"{argument}: a {group} of your own lies in a folder called {group}/")
        if (CONFIGS / group / path.name).exists():
            raise ValueError(
                f"{argument}: {path.stem} is a {group} of the program; rename the file"
            )
        roots.append(_quote(f"file://{path.resolve().parents[1]}"))
        own.append(f"{group}={path.stem}")
    return [*own, f"hydra.searchpath=[{','.join(roots)}]"] if roots else own


_FLAGS_WITH_VALUE = {
    *("-c", "--cfg", "-p", "--package", "-cn", "--config-name"),
    *("-cp", "--config-path", "-cd", "--config-dir", "-i", "--info"),
}


def _at_home(override: str) -> str:
    key, _, value = override.partition("=")
    return f"{key}={Path(value).expanduser()}" if value.startswith("~/") else override


def _quote(text: str) -> str:
    # Hydra's grammar: inside single quotes a quote is escaped by a backslash, and backslashes
    # double only before a quote; `${` would start an interpolation.
    text = re.sub(r"(\\*)'", lambda m: m.group(1) * 2 + r"\'", text)
    text = re.sub(r"(\\+)$", lambda m: m.group(1) * 2, text)
    return "'" + text.replace("${", r"\${") + "'"


def _explain(error: Exception, name: str) -> str:
    """One message: what is wrong and what was probably meant."""
    lines = [str(error).split("\nConfig search path:")[0].strip()]
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is not error:
        lines.append(str(cause).split("\n")[0])
    option = re.match(r"Could not override '(\w+)\.(\w+)'", lines[0])
    if option and (CONFIGS / option.group(1)).is_dir():
        lines = [lines[0].split("\n")[0], *_of_another_choice(*option.groups())]
    elif typed := re.search(r"(?<=full_key: )\S+", str(cause)):
        lines += _did_you_mean(typed.group(), _known_keys(name))
    elif typed := re.search(r"Could not find '(\w+)/(\S+)'", lines[0]):
        options = {path.stem for path in (CONFIGS / typed.group(1)).glob("*.yaml")}
        lines += _did_you_mean(typed.group(2), options)
    lines.append(f"`python -m asr.{name} --cfg job` shows every option.")
    return "\n".join(lines)


def _did_you_mean(typed: str, known: set[str]) -> list[str]:
    def leaf(key: str) -> str:
        return key.rsplit(".", 1)[-1]

    leaves = difflib.get_close_matches(leaf(typed), {leaf(k) for k in known}, cutoff=0.7)
    close = [k for k in known if leaf(k) in leaves]
    close.sort(key=lambda k: -difflib.SequenceMatcher(None, typed, k).ratio())
    return ["Did you mean " + " or ".join(close[:3]) + "?"] if close else []


def _of_another_choice(group: str, option: str) -> list[str]:
    """Which choices of a group have an option of this name, or a like one."""
    texts = {p.stem: p.read_text(encoding="utf-8") for p in (CONFIGS / group).glob("*.yaml")}
    options = {stem: re.findall(r"^(\w+):", text, re.MULTILINE) for stem, text in texts.items()}
    if having := [f"{group}={stem}" for stem, own in options.items() if option in own]:
        return [f"It is an option of {' and '.join(sorted(having))}."]
    return _did_you_mean(
        f"{group}.{option}", {f"{group}.{o}" for own in options.values() for o in own}
    )


def _known_keys(name: str) -> set[str]:
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose(name)
    except HydraException:
        return set()
    keys: set[str] = set()

    def walk(node: DictConfig, prefix: str) -> None:
        for key in map(str, node):
            keys.add(f"{prefix}{key}")
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
                walk(child, f"{prefix}{key}.")

    walk(config, "")
    return keys


def _fail(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(1)
