"""A socket, and a server on it that ends well: it finishes what it began, and refuses the rest."""

import ipaddress
import math
import signal
import socket

import uvicorn
from fastapi import FastAPI


def listen(host: str, port: int) -> socket.socket:
    """A socket on which connections wait from now on; port 0 is any that is free.

    Raises:
        ValueError: there is no such address here, or the port is taken.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"host={host} port={port}: cannot listen there ({reason}); another port, or port=0 "
            "for any that is free, may do"
        ) from None


def welcome(listening: socket.socket) -> list[str]:
    """Where the page is, and, where others can reach it, what that means."""
    host, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(host)
    shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
    lines = [
        f"page      http://{shown}:{port}/   API: POST /transcribe, described by /openapi.json"
    ]
    if not address.is_loopback:
        lines += [
            f"open      listening on {host}: whoever reaches this machine may use it, for there is",
            "          no password; and browsers give the microphone only to localhost or HTTPS.",
            "          Put a proxy before it that has both (docs/serving.md)",
        ]
    return lines


def run(app: FastAPI, listening: socket.socket, *, shutdown_seconds: float) -> None:
    """Serve until SIGINT or SIGTERM; then finish what was begun, in so many seconds at most."""
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_config=None, log_level="warning",
        access_log=False, server_header=False,
        timeout_graceful_shutdown=math.ceil(shutdown_seconds),
    )  # fmt: skip
    # When all is done, uvicorn raises the signal again for whoever had handled it before.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])
