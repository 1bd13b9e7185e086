"""The Dockerfile, as far as it can be checked without a Docker."""

import json
import re
import runpy
import subprocess
import tomllib
from fnmatch import fnmatch

import pytest
from support import REPOSITORY

TEXT = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
JOINED = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE))
STEPS = [line.split(maxsplit=1) for line in JOINED.splitlines() if line.strip()]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def steps(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def test_it_is_made_of_known_instructions_and_begins_with_a_base() -> None:
    known = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in STEPS} == known
    assert next(name for name, _ in STEPS if name != "ARG") == "FROM"


def test_what_is_copied_is_there_and_is_sent() -> None:
    rules = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert rules[0] == "*"
    copied = [source for step in steps("COPY") for source in step.split()[:-1]]
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied)
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        done = subprocess.run(
            ["git", "ls-files", "--error-unmatch", source],
            cwd=REPOSITORY, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{source} is not in git"


def test_what_it_names_is_declared() -> None:
    declared = dict(step.split("=") for step in steps("ARG"))
    used = set(re.findall(r"\$\{(\w+)\}", JOINED))
    assert used == declared.keys()
    assert declared["TORCH"] == "cpu"
    low = re.fullmatch(r">=3\.(\d+)", PROJECT["requires-python"])[1]
    assert declared["PYTHON"].startswith("3.") and int(declared["PYTHON"][2:]) >= int(low)
    # A build of torch for GPUs is named by the CUDA that the pins are of.
    pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    major, minor = re.search(r"^cuda-toolkit==(\d+)\.(\d+)", pins, re.MULTILINE).groups()
    assert f"TORCH=cu{major}{minor}" in TEXT


def test_pins_are_kept_and_what_the_project_needs_to_install_is_there() -> None:
    (install,) = [step for step in steps("RUN") if "pip install" in step]
    assert "-c constraints.txt" in install and install.endswith("-e .")
    before = TEXT[: TEXT.index("RUN mkdir asr")]
    for file in (PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml"):
        assert file in before, f"{file} is read when the project is installed"


def test_it_starts_the_program_without_privileges(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(steps("ENTRYPOINT")[0]) == ["python", "-m"]
    (module,) = json.loads(steps("CMD")[0])
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert "asr.train" in capsys.readouterr().out
    assert steps("USER") == ["1000"]
    assert not any(fnmatch(step, "*sudo*") for step in steps("RUN"))


def test_it_says_that_it_was_not_built() -> None:
    """To be taken out, with the words, by whoever builds it."""
    assert "NOT BUILT YET" in TEXT
