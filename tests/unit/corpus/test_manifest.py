"""The manifest: what is read, and a line number for whatever cannot be."""

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import asr.corpus.manifest as manifest_file
from asr.corpus.manifest import Utterance, read_manifest, write_manifest

LINE = {"audio_filepath": "a.wav", "duration": 1.5, "text": "yes"}


@pytest.fixture(params=["read", "indexed"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All holds for small manifests and for those that are large enough to be indexed."""
    if request.param == "indexed":
        monkeypatch.setattr(manifest_file, "_INDEXED_BYTES", -1)


def write(folder: Path, *lines: str | bytes | dict[str, Any]) -> Path:
    path = folder / "m.jsonl"
    raw = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    path.write_bytes(b"".join((r.encode() if isinstance(r, str) else r) + b"\n" for r in raw))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    utterances = [
        Utterance("1", str(tmp_path / "a.wav"), 1.5, "ça va 😀"),
        Utterance("x", "/b.raw", 2, "", "s", 0.5, "s16be:16000:1", {"more": [1, {"k": None}]}),
    ]
    write_manifest(tmp_path / "m.jsonl", utterances)
    assert list(read_manifest(tmp_path / "m.jsonl")) == utterances


def test_what_other_programs_write(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        b"\xef\xbb\xbf" + json.dumps(LINE).encode() + b"\r",  # a mark of byte order, Windows ends
        "",
        LINE | {"id": 7, "speaker": 19, "offset": None},
        LINE | {"id": 0, "offset": 2, "text": "\U0001f600\u2028"},  # escaped as a surrogate pair
    )
    first, second, third = read_manifest(path)
    assert (first.id, first.speaker, first.audio) == ("a", None, str(tmp_path / "a.wav"))
    assert (second.id, second.speaker, second.offset) == ("7", "19", 0.0)
    assert (third.id, third.offset, third.text) == ("0", 2.0, "\U0001f600\u2028")


def text(**fields: Any) -> str:
    return json.dumps(LINE | fields)


def literal(key: str, value: str) -> str:
    """A value that json.dumps would not write."""
    return json.dumps(LINE | {key: "@"}).replace('"@"', value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not a JSON object"),
        ("[]", "not a JSON object but list"),
        ("NaN", "NaN is no finite number"),
        (b"\xff\xfe{\0}\0", "not UTF-8 text"),
        (b'{"audio_filepath": "\xff"}', "not UTF-8 text"),
        ("\0", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        (text(extra="@").replace('"@"', "[" * 100_000 + "]" * 100_000), "not a JSON object"),
        (text() + text(), "not a JSON object"),
        ('{"duration": 1, "text": "a"}', "the key 'audio_filepath' is missing"),
        (text()[:-1] + ', "text": "no"}', "the key 'text' stands in it twice"),
        (text(extra="@").replace('"@"', '{"k": 1, "k": 2}'), "the key 'k' stands in it twice"),
        (text(audio_filepath=None), "audio_filepath must be a string, not None"),
        (text(audio_filepath=""), "is no name of a file"),
        (text(audio_filepath="a\0b"), "is no name of a file"),
        (text(text=["x" * 9999]), r"text must be a string, not \['x+$"),
        (text(text="\ud800"), r"'\\ud800' is half a character"),
        (text(audio_filepath="\udcff.wav"), "half a character"),
        (text(more={"deep": ["\udfff"]}), "half a character"),
        (text(id="\ud83d"), "half a character"),
        (text(raw=5), "raw must be a string"),
        (text(id=[1]), r"id must be a string, not \[1\]"),
        (text(id=True), "id must be a string, not True"),
        (text(speaker={}), r"speaker must be a string, not \{\}"),
        (text(duration="1"), "duration must be a number of seconds"),
        (text(duration=True), "duration must be a number of seconds"),
        (text(duration=None), "duration must be a number of seconds"),
        (text(duration=-1), "duration must be a number of seconds"),
        (text(duration=0), "duration is 0 seconds"),
        (text(duration=1e9), "from 0 to 10,000,000, not 1000000000.0"),
        (text(offset=[1]), "offset must be a number of seconds"),
        (text(offset=10**400), "offset must be a number of seconds"),
        (literal("duration", "NaN"), "NaN is no finite number"),
        (literal("duration", "-Infinity"), "-Infinity is no finite number"),
        (literal("extra", "[-1e999]"), "-1e999 is no finite number"),
        (literal("extra", "Infinity"), "Infinity is no finite number"),
        (literal("duration", "1e999"), "1e999 is no finite number"),
        (literal("duration", "9" * 5000), "not a JSON object .*4300"),
        (literal("extra", "9" * 5000), "not a JSON object .*4300"),
        (text(text="x" * (1 << 20)), "longer than 1,048,576 bytes"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: str | bytes, says: str) -> None:
    path = write(tmp_path, LINE, line, LINE)
    with pytest.raises(ValueError, match=rf"m\.jsonl:2: .*{says}") as error:
        read_manifest(path)
    assert len(str(error.value)) < 500
    str(error.value).encode()  # it can be printed


def test_a_line_without_end_takes_little_memory(tmp_path: Path) -> None:
    with (tmp_path / "m.jsonl").open("wb") as file:
        file.truncate(1 << 33)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"m\.jsonl:1: longer than"):
        read_manifest(tmp_path / "m.jsonl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_many_keys_are_soon_done(tmp_path: Path) -> None:
    keys = ", ".join(f'"{i}": 0' for i in range(50_000))
    with pytest.raises(ValueError, match="the key '49999' stands in it twice"):
        read_manifest(write(tmp_path, "{" + keys + ', "49999": 1}'))


def test_there_is_no_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "no", tmp_path / "pipe", Path("/dev/zero"), Path("a\0b")):
        with pytest.raises(ValueError, match="no such manifest"):
            read_manifest(path)
    with pytest.raises(ValueError, match="the manifest is empty"):
        read_manifest(write(tmp_path, "", "  "))


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """allowed/ with a file, other/ beside it, and links between them."""
    for folder in ("allowed/sub", "other", "allowed-too"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.wav").touch()
    (tmp_path / "allowed/out").symlink_to(tmp_path / "other")
    (tmp_path / "allowed/out.wav").symlink_to("../other/a.wav")
    (tmp_path / "allowed/in.wav").symlink_to("sub/a.wav")
    (tmp_path / "allowed/out.tar").symlink_to("../other/a.wav")
    (tmp_path / "allowed/in.tar").symlink_to("sub/a.wav")
    (tmp_path / "allowed/loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("allowed")
    return tmp_path


@pytest.mark.parametrize(
    ("audio", "inside"),
    [
        ("sub/a.wav", True),
        ("sub/absent.wav", True),
        ("sub/../sub/a.wav", True),
        ("../allowed/sub/a.wav", True),
        ("in.wav", True),
        ("{}/link/sub/a.wav", True),
        ("../other/a.wav", False),
        ("sub/../../other/a.wav", False),
        ("out/a.wav", False),
        ("out.wav", False),
        ("out/../allowed/../other/a.wav", False),
        ("../allowed-too/a.wav", False),
        ("{}/other/a.wav", False),
        ("/etc/passwd", False),
        ("/proc/self/root/etc/passwd", False),
        ("..", False),
        ("sub/a.tar#512+9", True),
        ("in.tar#512+9", True),
        ("out.tar#512+9", False),
        ("out/a.tar#512+9", False),
        ("../other/a.tar#512+9", False),
    ],
)
def test_audio_lies_where_the_user_allows(places: Path, audio: str, inside: bool) -> None:
    line = LINE | {"audio_filepath": audio.format(places)}
    path = write(places / "allowed", LINE | {"audio_filepath": "sub/a.wav"}, line)
    assert len(read_manifest(path)) == 2, "any place is allowed unless a root is named"
    for root in (places / "allowed", places / "link", os.path.relpath(places / "allowed")):
        if inside:
            assert len(read_manifest(path, root=root)) == 2
        else:
            with pytest.raises(ValueError, match=r"m\.jsonl:2: .* outside of data\.root_only="):
                read_manifest(path, root=root)


def test_the_whole_file_system_may_be_a_root(places: Path) -> None:
    assert len(read_manifest(write(places, LINE | {"audio_filepath": "/etc/x"}), root="/")) == 1
