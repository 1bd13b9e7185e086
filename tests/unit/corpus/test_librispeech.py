"""LibriSpeech's layout: any audio format, any subset, splits by speaker, a checked download."""

import hashlib
import io
import logging
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from asr.corpus import librispeech
from asr.corpus.librispeech import ARCHIVES, LibriSpeech

URL = "https://www.openslr.org/resources"


def corpus(root: Path | None, *subsets: str, splits: Any = None, url: str = URL) -> LibriSpeech:
    return LibriSpeech(root=root and str(root), subsets=subsets, splits=splits, url=url)


def found(corpus: LibriSpeech, split: str, folder: Path) -> dict[str, tuple[str, str, str | None]]:
    some = corpus.utterances(split, folder)
    return {u.id: (Path(u.audio).name, u.text, u.speaker) for u in some}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two subsets; a different format for each utterance."""
    for subset, speaker, chapter, formats in (
        ("dev-clean", "174", "1", ["flac", "mp3", "opus"]),
        ("dev-clean", "84", "7", ["wav"]),
        ("train-x", "19", "3", ["ogg", "FLAC"]),
    ):
        folder = tmp_path / "corpora" / "LibriSpeech" / subset / speaker / chapter
        folder.mkdir(parents=True)
        names = [f"{speaker}-{chapter}-{i:04}" for i in range(len(formats))]
        for name, extension in zip(names, formats, strict=True):
            (folder / f"{name}.{extension}").touch()
        lines = [f"{name} WORD {i}\n" for i, name in enumerate(names)]
        (folder / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))
    return tmp_path / "corpora"


@pytest.mark.parametrize("inside", [False, True])
def test_subsets_are_splits(inside: bool, root: Path, tmp_path: Path) -> None:
    some = corpus(root / "LibriSpeech" if inside else root, "dev-clean", "train-x")
    assert some.splits == ("dev-clean", "train-x")
    assert found(some, "dev-clean", tmp_path) == {
        "174-1-0000": ("174-1-0000.flac", "WORD 0", "174"),
        "174-1-0001": ("174-1-0001.mp3", "WORD 1", "174"),
        "174-1-0002": ("174-1-0002.opus", "WORD 2", "174"),
        "84-7-0000": ("84-7-0000.wav", "WORD 0", "84"),
    }
    assert set(found(some, "train-x", tmp_path)) == {"19-3-0000", "19-3-0001"}
    assert not some.left_out


def test_splits_by_speaker(root: Path, tmp_path: Path) -> None:
    splits = {
        "train": {"subsets": ["dev-clean", "train-x"], "without_speakers": [174]},
        "dev": {"subsets": ["dev-clean"], "only_speakers": [174]},
    }
    some = corpus(root, "ignored", splits=splits)
    assert some.splits == ("train", "dev")
    assert {speaker for *_, speaker in found(some, "train", tmp_path).values()} == {"84", "19"}
    assert {speaker for *_, speaker in found(some, "dev", tmp_path).values()} == {"174"}


def test_what_lacks_its_other_half_is_counted_and_named(root: Path, tmp_path: Path) -> None:
    chapter = root / "LibriSpeech/dev-clean/174/1"
    (chapter / "174-1-0001.mp3").unlink()
    (chapter / "174-1-0009.flac").touch()
    (chapter / "174-1-0000.mp3").touch()  # a second format of the same is nothing to report
    (chapter / "notes.pdf").touch()
    some = corpus(root, "dev-clean")
    assert found(some, "dev-clean", tmp_path)["174-1-0000"][0] == "174-1-0000.flac"
    assert dict(some.left_out) == {
        "it has a transcript but no audio": 1,
        "it has audio but no line in a transcript": 1,
    }
    assert some.left_out.examples["it has a transcript but no audio"] == ["174-1-0001"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": {"dev": {"only_speakers": [1]}}}, r"corpus\.splits\.dev: wants subsets"),
        ({"splits": {"dev": {"subsets": ["a"], "speakers": [1]}}}, r"corpus\.splits\.dev: wants"),
        ({}, r"corpus\.subsets is empty"),
    ],
)
def test_mistakes_in_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corpus(None, **options)


def test_mistakes_about_places(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"corpus\.root=.*nowhere: no such folder"):
        next(corpus(tmp_path / "nowhere", "dev-clean").utterances("dev-clean", tmp_path))
    with pytest.raises(ValueError, match=r"'dev-cleen' is not in .*OpenSLR has train-clean-100"):
        next(corpus(root, "dev-cleen").utterances("dev-cleen", tmp_path))
    some = corpus(root, splits={"dev": {"subsets": ["dev-clean"], "only_speakers": [175]}})
    with pytest.raises(ValueError, match=r"corpus\.splits\.dev: there is no speaker 175"):
        next(some.utterances("dev", tmp_path))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def openslr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with one small subset, and its checksum published."""
    archive = tmp_path / "server" / "12" / "dev-other.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in (("1-2.trans.txt", b"1-2-0000 HELLO\n"), ("1-2-0000.flac", b"")):
            info = tarfile.TarInfo(f"LibriSpeech/dev-other/1/2/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(librispeech.ARCHIVES, "dev-other", (12, md5))
    handler = partial(QuietHandler, directory=str(tmp_path / "server"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("with_root", [False, True])
def test_a_subset_that_is_not_there_is_downloaded(
    with_root: bool, openslr: str, root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some = corpus(root if with_root else None, "dev-other", url=openslr)
    with caplog.at_level(logging.WARNING):
        assert found(some, "dev-other", tmp_path / "data") == {
            "1-2-0000": ("1-2-0000.flac", "HELLO", "1")
        }
    assert ("has no dev-other; it is downloaded" in caplog.text) == with_root
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["LibriSpeech"]
    assert not (root / "LibriSpeech/dev-other").exists(), "the user's folder is only read"
    some.url = "http://127.0.0.1:9"
    assert len(found(some, "dev-other", tmp_path / "data")) == 1


def test_a_download_with_another_checksum_is_refused(
    openslr: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHIVES, "dev-other", (12, "0" * 32))
    with pytest.raises(ValueError, match="is published; it was removed"):
        next(corpus(None, "dev-other", url=openslr).utterances("dev-other", tmp_path / "data"))
    assert not list((tmp_path / "data").iterdir())
