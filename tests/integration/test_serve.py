"""The server as it runs: limits hold while an upload arrives, and its end loses nothing."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from omegaconf import DictConfig
from serving import babbling_checkpoint, served, wav
from sounds import talk

from asr.serve import main
from asr.web.server import listen, welcome

GOOD = wav(talk(3 * 16000))
EDGE = b"--edge"
FORM = (
    EDGE + b'\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n',
    b"\r\n" + EDGE + b"--\r\n",
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return babbling_checkpoint(tmp_path_factory.mktemp("runs") / "babbling" / "best.pt")


class Upload:
    """A request that is sent as slowly as a test likes."""

    def __init__(self, address: str, length: int | None, body: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=60)
        size = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
        self.chunked = length is None
        head = (
            f"POST /transcribe HTTP/1.1\r\nHost: x\r\n{size}\r\n"
            "Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
        )
        self.socket.sendall(head.encode())
        self.send(body)

    def send(self, body: bytes) -> None:
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(body), body) if self.chunked else body)

    def answer(self) -> tuple[int, dict[str, str], dict]:
        """Status, headers and JSON; the connection stays as the server leaves it."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(headers["content-length"]):
            body += self._more()
        return int(status.split()[1]), headers, json.loads(body)

    def _more(self) -> bytes:
        received = self.socket.recv(1 << 16)
        assert received, "the server closed the connection"
        return received


def busy(address: str) -> int:
    return httpx2.get(f"{address}/health", timeout=30).json()["busy"]


def wait_for(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def begun(address: str) -> Iterator[Upload]:
    """An upload of which all but the last bytes have arrived."""
    body = FORM[0] + GOOD + FORM[1]
    upload = Upload(address, len(body), body[:-5])
    wait_for(lambda: busy(address) == 1)
    try:
        yield upload
    finally:
        upload.socket.close()


def refuses(address: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_it_finishes_what_it_began_and_takes_no_more(
    checkpoint: Path, number: signal.Signals
) -> None:
    with served(checkpoint, "max_requests=1") as (server, address):
        files = {"file": ("a.wav", GOOD)}
        expected = httpx2.post(f"{address}/transcribe", files=files, timeout=60)
        assert expected.status_code == 200 and expected.json()["words"]
        with begun(address) as upload:
            refused = httpx2.post(f"{address}/transcribe", files=files, timeout=30)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            server.send_signal(number)
            wait_for(lambda: refuses(address))
            assert server.poll() is None
            upload.send(FORM[1][-5:])
            status, _, said = upload.answer()
            assert status == 200 and said == expected.json()
        assert server.wait(30) == 0
        assert "Traceback" not in server.stdout.read()


@pytest.mark.slow
def test_limits_hold_while_an_upload_arrives(checkpoint: Path) -> None:
    options = ["max_requests=1", "max_megabytes=0.3", "upload_seconds=2", "shutdown_seconds=1"]
    with served(checkpoint, *options) as (server, address):
        # What says that it is too large is refused before it is sent.
        status, _, said = Upload(address, 10_000_000, b"").answer()
        assert status == 413 and "max_megabytes" in said["error"]
        # What does not say it, as soon as too much is there; 300 kB of it at most are read.
        upload = Upload(address, None, FORM[0])
        for _ in range(5):
            upload.send(bytes(100_000))
        status, _, said = upload.answer()
        assert status == 413 and "larger than 0.3 MB" in said["error"]
        # What does not arrive gives its place back.
        with begun(address) as upload:
            status, _, said = upload.answer()
            assert status == 408 and "upload_seconds" in said["error"]
            assert busy(address) == 0
        # So does what is given up by its sender.
        with begun(address):
            pass
        wait_for(lambda: busy(address) == 0)
        # The end waits for a stalled upload no longer than it was told.
        with begun(address):
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0


def test_mistakes_have_one_message(
    checkpoint: Path, tmp_path: Path, compose_config: Callable[..., DictConfig]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options, message in (
            ([f"port={port}"], f"host=127.0.0.1 port={port}: cannot listen there .Address already"),
            (["port=99999"], "port=99999: cannot listen there"),
            (["port=0", "host=no.such.host.invalid"], "host=no.such.host.invalid port=0: cannot"),
            (["port=0", "max_seconds=0.01"], "max_seconds=0.01 must be >= 0.1"),
            (["port=0", "max_requests=0"], "max_requests=0 must be at least 1"),
            (["port=0", f"inputs=[{tmp_path}/none.wav]"], "none.wav: no such file or folder"),
        ):
            with pytest.raises(ValueError, match=message):
                main(compose_config("serve", f"checkpoint={checkpoint}", "device=cpu", *options))


@pytest.mark.parametrize(("host", "open_to_others"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_whoever_opens_it_to_others_is_told_what_that_means(
    host: str, open_to_others: bool
) -> None:
    with listen(host, 0) as listening:
        said = " ".join(" ".join(welcome(listening)).split())
        assert f"http://127.0.0.1:{listening.getsockname()[1]}/ " in said
    assert ("there is no password" in said) == open_to_others
    assert ("microphone only to localhost or HTTPS" in said) == open_to_others
