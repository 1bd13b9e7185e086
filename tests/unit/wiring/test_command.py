"""Inputs of any name reach a command whole."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from asr.wiring.command import quote_inputs

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), min_size=1, max_size=20)


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_inputs_arrive_as_they_were_typed(names: list[str]) -> None:
    (override,) = quote_inputs(["--", *names])
    value = OverridesParser.create().parse_override(override).value()
    parsed = OmegaConf.create({"inputs": [str(v) for v in value]})
    assert OmegaConf.to_container(parsed, resolve=True)["inputs"] == names


def test_options_and_flags_stay() -> None:
    arguments = ["run=x", "-m", "~augment.noise", "+a=1", "--cfg", "job", "my file.wav"]
    flags, overrides = ["-m", "--cfg", "job"], ["run=x", "~augment.noise", "+a=1"]
    assert quote_inputs(arguments) == [*flags, *overrides, "inputs=['my file.wav']"]


@pytest.mark.parametrize("arguments", [[], ["run=x"]])
def test_nothing_is_added_without_inputs(arguments: list[str]) -> None:
    assert quote_inputs(arguments) == arguments


def test_a_folder_below_home_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    typed = ["corpus.root=~/corpora", "~augment.noise", "text=a~/b", "--", "~/a.wav"]
    assert quote_inputs(typed) == [
        "corpus.root=/home/me/corpora", "~augment.noise", "text=a~/b", "inputs=['~/a.wav']",
    ]  # fmt: skip
