"""Requests as fast as a server answers them, from a process of their own.

wrk where it is installed: it costs some 10 µs of a processor for each request. Else, and where each answer is
wanted, a client in Python, which costs more, but the same for every server.
"""

from __future__ import annotations

import multiprocessing
import re
import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from tempfile import TemporaryDirectory

_SCRIPT = Path(__file__).with_name("requests.lua")
_SEPARATOR = b"\x1e"  # between the requests in a file; in none of them

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it."""

    requests: int
    seconds: float
    errors: int = 0  # among the requests
    bodies: Sequence[bytes] = ()  # only where they were asked for

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class LoadError(AssertionError):
    """More than one in a hundred was not answered as it should be."""


def put_load(port: int, requests: Sequence[bytes], seconds: float, connections: int = CONNECTIONS) -> Load:
    """Send these in turn for so long. Raises: LoadError when one is answered with an error."""
    if shutil.which("wrk") is None:
        return _python(port, requests, connections, seconds=seconds)
    return _wrk(port, requests, connections, seconds)


def send_each(port: int, requests: Sequence[bytes], connections: int = CONNECTIONS) -> Load:
    """Send each of these until it is answered well; bodies are in the order of the requests. Raises: LoadError."""
    return _python(port, requests, connections, seconds=None)


def _wrk(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    with TemporaryDirectory() as folder:
        file = Path(folder, "requests")
        file.write_bytes(_SEPARATOR.join(requests))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        ran = subprocess.run(
            [*command, "-s", str(_SCRIPT), f"http://127.0.0.1:{port}/", "--", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
    told = re.search(r"answered (\d+) in (\d+) us, (\d+) errors", ran.stdout)
    if told is None or int(told[3]) * 100 > int(told[1]) or int(told[1]) == 0:
        raise LoadError(f"{ran.stdout}{ran.stderr}\n{requests[0][:300]!r}")
    return Load(int(told[1]), int(told[2]) / 1e6, int(told[3]))


def _python(port: int, requests: Sequence[bytes], connections: int, *, seconds: float | None) -> Load:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_run, args=(theirs, port, list(requests), connections, seconds), daemon=True)
    process.start()
    theirs.close()
    try:
        outcome = ours.recv()
    except EOFError:
        raise LoadError("the client ended without a word") from None
    finally:
        process.join()
    if isinstance(outcome, str):
        raise LoadError(outcome)
    assert isinstance(outcome, Load)
    return outcome


class _Client:
    """One connection, which has one request under way."""

    def __init__(self, port: int) -> None:
        self.port, self.number, self.received, self.errors = port, -1, b"", 0
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def answer(self) -> bytes | None:
        """The body, once it is there, and an empty one of an error. Raises: LoadError when it cannot come."""
        data = self.socket.recv(65536)
        if not data:
            raise LoadError("a connection was closed")
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not found or len(body) < int(length[1] if length else 0):
            return None
        if head[9:10] not in (b"2", b"3"):
            body, self.errors = b"", self.errors + 1
            if self.errors > 10:
                raise LoadError(self.received.decode(errors="replace")[:500])
        if re.search(rb"(?i)\r\nconnection: *close", head):
            self.connect()
        self.received = b""
        return body


def _run(parent: Pipe, port: int, requests: list[bytes], connections: int, seconds: float | None) -> None:
    try:
        parent.send(_sent(port, requests, connections, seconds))
    except (OSError, LoadError) as error:
        parent.send(repr(error))


def _sent(port: int, requests: list[bytes], connections: int, seconds: float | None) -> Load:
    clients = [_Client(port) for _ in range(min(connections, len(requests)))]
    bodies: list[bytes] = [b""] * len(requests)
    started = time.perf_counter()
    sent = answered = 0

    def send(client: _Client) -> bool:
        nonlocal sent
        if seconds is None and client.number >= 0 and not bodies[client.number]:
            client.socket.sendall(requests[client.number])  # a busy machine's Redis may be slow to answer
            return True
        over = sent >= len(requests) if seconds is None else time.perf_counter() - started > seconds
        if not over:
            client.number, sent = sent % len(requests), sent + 1
            client.socket.sendall(requests[client.number])
        return not over

    with selectors.DefaultSelector() as selector:
        for client in clients:
            send(client)
            selector.register(client.socket, selectors.EVENT_READ, client)
        while selector.get_map():
            for key, _ in selector.select():
                client = key.data
                body = client.answer()
                if body is None:
                    continue
                answered += 1
                bodies[client.number] = body if seconds is None else b""
                more = send(client)
                if not more or client.socket is not key.fileobj:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
                    if more:
                        selector.register(client.socket, selectors.EVENT_READ, client)
    took, errors = time.perf_counter() - started, sum(client.errors for client in clients)
    if errors * 100 > answered + 100:
        raise LoadError(f"{errors} errors among {answered} answers")
    return Load(answered, took, errors, bodies if seconds is None else ())
