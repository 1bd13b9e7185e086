"""Whatever the documentation tells people to type is understood by the program as it is."""

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from documented import Typed, blocks, commands, documented
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from support import CONFIGS, REPOSITORY

from asr.wiring.command import own_choices, quote_inputs

DOCUMENTED = documented()
COMMANDS = {p.stem for p in CONFIGS.glob("*.yaml")} & {
    p.stem for p in (REPOSITORY / "asr").glob("[a-z]*.py")
}


def of_program(wanted: Callable[[str], bool]) -> pytest.MarkDecorator:
    names = [name for name, typed in DOCUMENTED.items() if wanted(typed.program)]
    # A fifth of a second each: the README's in every run of the tests, all others with the slow.
    cases = [
        pytest.param(name, marks=[] if name.startswith("README") else pytest.mark.slow, id=name)
        for name in names
    ]
    return pytest.mark.parametrize("name", cases)


def each_of_a_sweep(overrides: Iterable[str]) -> list[list[str]]:
    """The overrides of each run of `-m`. Launchers are plugins that nobody needs to have."""
    lists: list[list[str]] = [[]]
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element()
        if key.startswith(("hydra/launcher", "hydra.launcher")):
            continue
        swept = override.is_sweep_override()
        values = (
            override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
        )
        values = list(values)
        lists = [[*before, f"{key}={value}"] for before in lists for value in values]
    return lists


def check(
    command: str, arguments: tuple[str, ...], compose_config: Callable[..., DictConfig]
) -> None:
    assert command in COMMANDS
    for argument in arguments:  # a file of a user's own, as asr.tune writes it
        group, _, value = argument.partition("=")
        if value.endswith(".yaml") and (CONFIGS / group).is_dir():
            Path(value).parent.mkdir(parents=True)
            Path(value).write_text((CONFIGS / group / "beam.yaml").read_text(encoding="utf-8"))
    words = own_choices(quote_inputs(list(arguments)))
    flags = [word for word in words if word.startswith("-")]
    if "--help" in flags:
        return
    overrides = words[len(flags) :]
    if "--cfg" in flags:
        assert overrides.pop(0) == "job"
    for one in each_of_a_sweep(overrides) if "-m" in flags else [overrides]:
        config = compose_config(command, *one)
        assert OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


@of_program(lambda program: program.startswith("asr."))
def test_a_command_composes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    compose_config: Callable[..., DictConfig],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    program, arguments = DOCUMENTED[name]
    check(program.removeprefix("asr."), arguments, compose_config)


@of_program("sbatch".__eq__)
def test_a_slurm_job_composes(name: str, compose_config: Callable[..., DictConfig]) -> None:
    arguments = DOCUMENTED[name].arguments
    script = next(i for i, a in enumerate(arguments) if not a.startswith("-"))
    assert (REPOSITORY / arguments[script]).is_file()
    check("train", arguments[script + 1 :], compose_config)


@of_program("make".__eq__)
def test_make_knows_the_target(name: str) -> None:
    done = subprocess.run(
        ["make", "-n", *DOCUMENTED[name].arguments],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@of_program(lambda program: program.endswith(".py"))
def test_a_script_is_there(name: str) -> None:
    script = DOCUMENTED[name].program
    assert (REPOSITORY / script).is_file()


def test_commands_are_found_as_they_are_typed() -> None:
    text = """\
Prose, python -m asr.train nothing=1.

```
python -m asr.prepare corpus=an4 && .venv/bin/python -m asr.train experiment=an4 \\
    'data.test=[a b.jsonl]'                      # it's a remark
torchrun --nproc-per-node=8 -m asr.evaluate ... run=x || exit 1
sbatch --nodes=4 scripts/train.sbatch run=x
make eval run=x
  make said the program
```
"""
    assert list(commands("\n".join(block.text for block in blocks(text)))) == [
        Typed("asr.prepare", ("corpus=an4",)),
        Typed("asr.train", ("experiment=an4", "data.test=[a b.jsonl]")),
        Typed("asr.evaluate", ("run=x",)),
        Typed("sbatch", ("--nodes=4", "scripts/train.sbatch", "run=x")),
        Typed("make", ("eval", "run=x")),
    ]
    pages = {name.split(":")[0] for name in DOCUMENTED}
    assert {"README.md", "docs/clusters.md", "docs/first_model.ipynb"} <= pages
    assert {"asr/train.py", "experiment/an4.yaml"} <= pages


@pytest.mark.parametrize("typed", ["trainer.epoch=3", "model.size=3", "modle=conformer"])
def test_a_renamed_option_would_be_noticed(
    typed: str, compose_config: Callable[..., DictConfig]
) -> None:
    with pytest.raises(Exception, match=typed.split("=")[0].split(".")[-1]):
        check("train", (typed,), compose_config)
