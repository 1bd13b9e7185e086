"""A manifest that is indexed is the one that is read; the index follows the file."""

import itertools
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asr.corpus.line_index as index_file
import asr.corpus.manifest as manifest_file
from asr.corpus.manifest import Manifest, Utterance, read_manifest

NUMBERS = itertools.count()
GOOD = {"audio_filepath": "a.wav", "duration": 1.5, "text": "yes"}
LINES = st.lists(
    st.builds(
        lambda duration, text, end: json.dumps(GOOD | {"duration": duration, "text": text}) + end,
        st.floats(0.001, 100), st.text("ab é\u2028", max_size=30), st.sampled_from(["\n", "\r\n"]),
    ) | st.sampled_from(["\n", " \r\n", "\x0b\n"]),
    min_size=1, max_size=12,
)  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_file, "_INDEXED_BYTES", -1)
    monkeypatch.setattr(index_file, "_PIECE_BYTES", 150)  # so that there are several


def outcome(path: Path, indexed: bool) -> Any:
    manifest_file._INDEXED_BYTES = -1 if indexed else 1 << 24
    try:
        manifest = read_manifest(path)
    except ValueError as error:
        return str(error)
    everything = list(manifest)
    assert [manifest[i] for i in range(-len(manifest), len(manifest))] == 2 * everything
    with pytest.raises(IndexError):
        manifest[len(manifest)]
    return everything, manifest.durations.tolist(), manifest.digests.tolist(), manifest.name


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(lines=LINES, mark=st.booleans(), end=st.booleans(), bad=st.none() | st.integers(0, 11))
def test_what_is_indexed_is_what_is_read(
    lines: list[str], mark: bool, end: bool, bad: int | None, tmp_path: Path
) -> None:
    if bad is not None:
        lines.insert(bad, '{"duration": 1}\n')
    text = "".join(lines)
    path = tmp_path / f"{next(NUMBERS)}.jsonl"
    path.write_text(("\ufeff" if mark else "") + (text if end else text.rstrip("\r\n")), newline="")
    assert outcome(path, True) == outcome(path, False)


def written(path: Path, *texts: str) -> Path:
    path.write_text("".join(json.dumps(GOOD | {"text": text}) + "\n" for text in texts))
    return path


def test_an_indexed_file_is_not_read_again_but_a_line_that_has_changed_is_an_error(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "m.jsonl", "one", "two", "six")
    before = path.stat()
    assert [u.text for u in read_manifest(path)] == ["one", "two", "six"]
    content = path.read_text()
    path.write_text(content.replace("two", "ten").replace('"six"}', '"six"]'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    manifest = read_manifest(path)
    assert manifest[0].text == "one" and len(manifest) == 3
    with pytest.raises(ValueError, match=r"m\.jsonl: it was changed while it was in use"):
        manifest[1]
    with pytest.raises(ValueError, match=r"m\.jsonl:3: not a JSON object"):
        manifest[2]


def test_the_index_follows_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", "one")
    assert len(read_manifest(path)) == 1
    assert [u.text for u in read_manifest(written(path, "two", "three"))] == ["two", "three"]


@pytest.mark.parametrize("damage", [b"", b"asr-kept-1\n", b"asr-kept-1\n{}\n", b"other"])
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    path = written(tmp_path / "m.jsonl", "one", "two")
    read_manifest(path)
    index = path.with_name("m.jsonl.index")
    content = index.read_bytes()
    for broken in (damage, content[:-1], content[: len(content) // 2]):
        index.unlink()
        index.write_bytes(broken)
        assert [u.text for u in read_manifest(path)] == ["one", "two"]
        assert index.read_bytes() == content


def test_where_nothing_can_be_kept_it_is_said_once_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "m.jsonl", "one", "two")
    (tmp_path / "m.jsonl.index/full").mkdir(parents=True)  # in the way, for root too
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert len(read_manifest(path)) == 2 and not caplog.messages
    assert len(list((tmp_path / "cache/asr").iterdir())) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    assert len(read_manifest(path)) == 2
    assert len(caplog.messages) == 1 and "made anew each time" in caplog.messages[0]
    assert {p.name for p in tmp_path.iterdir()} == {"cache", "m.jsonl", "m.jsonl.index"}


def test_a_fence_holds_when_a_line_is_read_too(tmp_path: Path) -> None:
    for folder in ("allowed", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.wav").touch()
    path = written(tmp_path / "allowed/m.jsonl", "one", "two")
    assert len(read_manifest(path, root=tmp_path / "allowed")) == 2
    with pytest.raises(ValueError, match=r"m\.jsonl:1: .*lies outside"):
        read_manifest(path, root=tmp_path / "other")
    (tmp_path / "allowed/a.wav").unlink()
    (tmp_path / "allowed/a.wav").symlink_to("../other/a.wav")
    manifest = read_manifest(path, root=tmp_path / "allowed")
    with pytest.raises(ValueError, match=r"m\.jsonl:2: .*lies outside"):
        manifest[1]


@given(st.lists(st.integers(0, 7), max_size=4), st.data())
def test_parts_and_sums_are_those_of_lists(sizes: list[int], data: st.DataObject) -> None:
    lists = [
        [Utterance(f"{i}-{j}", "a.wav", 1.0 + i + j / 8, "a") for j in range(size)]
        for i, size in enumerate([*sizes, 3])
    ]
    joined = Manifest.join([Manifest(part, f"m{i}") for i, part in enumerate(lists)])
    plain = [u for part in lists for u in part]
    for _ in range(3):
        assert list(joined) == plain == [joined[i] for i in range(len(plain))]
        assert joined.durations.tolist() == [u.duration for u in plain]
        assert joined.digests.tolist() == [u.digest for u in plain]
        assert not plain or joined[-1] == plain[-1]
        part = data.draw(st.slices(len(plain)))
        joined, plain = joined[part], plain[part]


def test_a_manifest_can_be_sent_to_another_process(tmp_path: Path) -> None:
    manifest = read_manifest(written(tmp_path / "m.jsonl", "one", "two"))[1:]
    again = pickle.loads(pickle.dumps(manifest))  # as where processes are not forked
    assert list(again) == list(manifest) and again.name == manifest.name
