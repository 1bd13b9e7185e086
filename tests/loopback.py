"""A server on this machine that serves one file, in ranges, and fails as it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Server(ThreadingHTTPServer):
    """Serves a file, with faults: what `plan` says for each request in turn, then none."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[str] = []
        self.always = "fine"
        self.ranges: list[str | None] = []  # what each request asked for
        self.body = body

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.tar.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        fault = self.server.plan.pop(0) if self.server.plan else self.server.always
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if fault.isdecimal():
            self.send_error(int(fault))
            return
        body, start = self.server.body, 0
        size = len(body)
        if wanted and fault != "no ranges" and fault != "no ranges, breaks":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            if fault == "wrong range":
                start, body = start - 7, body[:-7]  # of the length that was asked for
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{size}")
        promised = len(body) - start + (100 if fault == "promises too much" else 0)
        if fault != "no length":
            self.send_header("Content-Length", str(promised))
        self.end_headers()
        rest = body[start:]
        self.wfile.write(rest[: len(rest) // 2] if "breaks" in fault else rest)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(body: bytes) -> Iterator[Server]:
    """A server that runs while the block does."""
    server = Server(body)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
