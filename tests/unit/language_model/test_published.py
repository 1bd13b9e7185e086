"""Published models from a server on the loopback: fetched, resumed, verified."""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import Server, serving

from asr.language_model.published import PUBLISHED, Published, fetch

BODY = gzip.compress(np.random.default_rng([5]).bytes(300_000), mtime=0)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(BODY) as server:
        yield server


@pytest.fixture
def fetched(server: Server, tmp_path: Path) -> Callable[..., Path]:
    def get(size: int = len(BODY), sha256: str | None = None) -> Path:
        url = f"http://127.0.0.1:{server.server_address[1]}/3-gram.x.arpa.gz"
        return fetch("libri-small", tmp_path, {"libri-small": Published(url, size, sha256)})

    return get


@pytest.mark.parametrize("sha256", [None, SHA256])
def test_it_arrives_once(
    sha256: str | None, fetched: Callable[..., Path], server: Server, tmp_path: Path
) -> None:
    path = fetched(sha256=sha256)
    assert path == tmp_path / "libri-3-gram.x.arpa.gz" and path.read_bytes() == BODY
    assert fetched(sha256=sha256) == path and len(server.ranges) == 1


def test_it_goes_on_where_it_broke_off(
    fetched: Callable[..., Path], server: Server, tmp_path: Path
) -> None:
    (tmp_path / "libri-3-gram.x.arpa.gz.part").write_bytes(BODY[:1000])
    assert fetched(sha256=SHA256).read_bytes() == BODY
    assert server.ranges == ["bytes=1000-"]


@pytest.mark.parametrize(
    ("body", "options", "message"),
    [
        (BODY[:-1], {}, r"it has 300,\d+ bytes, but 300,\d+ are published; it was removed"),
        (BODY[:5000] + b"x" + BODY[5001:], {}, "gzip finds it damaged"),
        (BODY[:5000] + b"x" + BODY[5001:], {"sha256": SHA256}, f"its SHA-256 is .* not {SHA256}"),
    ],
    ids=["size", "crc", "sha256"],
)
def test_another_file_is_removed(
    body: bytes, options: dict, message: str, fetched: Callable[..., Path], server: Server,
    tmp_path: Path,
) -> None:  # fmt: skip
    server.body = body
    with pytest.raises(ValueError, match=message):
        fetched(**options)
    assert not list(tmp_path.iterdir())


def test_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="published=librispeech is unknown: choose librispeech-3"):
        fetch("librispeech", tmp_path)


def test_the_catalogue() -> None:
    assert all(
        p.url.startswith("https://www.openslr.org/resources/11/") for p in PUBLISHED.values()
    )
    assert len({p.size for p in PUBLISHED.values()}) == len(PUBLISHED) == 4
