"""Names of uploads become names of files that mean nothing else to anybody."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr.core.shard import container
from asr.web.reception import harmless


@settings(max_examples=50)
@given(st.text(max_size=80))
@example("../../etc/passwd")
@example("a\\b\\c.wav")
@example("corpus.tar#512+1024")
@example("..")
@example("x" * 300 + ".wav")
@example("-rf")
@example("\ud800.wav")
def test_a_name_is_one_plain_part_of_a_path(name: str) -> None:
    safe = harmless(name)
    assert safe == harmless(safe)
    assert 0 < len(safe.encode()) <= 240
    assert re.fullmatch(r"[\w.() -]+", safe) and safe not in (".", "..") and safe[0] not in "-."
    assert container(safe) == safe


@pytest.mark.parametrize("name", ["speech.wav", "My talk (2).m4a", "größe.flac", "話.webm"])
def test_a_good_name_is_kept(name: str) -> None:
    assert harmless(f"C:\\music\\{name}") == name
