"""Thousands of HTTP clients in one process of their own, so that they are not what is measured."""

from __future__ import annotations

import multiprocessing
import resource
import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

#: What the answer, or the event, that is waited for has in it.
_FINAL = b'"SUCCESS"'

#: Seconds.
_CONNECT = 60
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What one client got. Times are of the machine's monotonic clock, which its processes share."""

    status: int  # 0 when it got nothing
    told_at: float | None  # when it read that the job is final; None when it never did
    ended_at: float | None  # when the server closed the connection; None when it did not


class Clients:
    """A GET of each path, each on a connection of its own; ``answers()`` is asked once."""

    def __init__(self, port: int, paths: Sequence[str], headers: dict[str, str]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_run, args=(theirs, port, list(paths), headers), daemon=True)
        self._process.start()
        theirs.close()
        self._ours.recv()  # all have sent their requests

    def answers(self) -> list[Answer]:
        """In the order of the paths, once every server side has ended, or after two minutes."""
        found: list[Answer] = self._ours.recv()
        self._process.join()
        return found


def _run(parent: Connection, port: int, paths: list[str], headers: dict[str, str]) -> None:
    _allow_open_files(len(paths) + 100)
    received = [b""] * len(paths)
    told: list[float | None] = [None] * len(paths)
    ended: list[float | None] = [None] * len(paths)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with selectors.DefaultSelector() as selector:
        for number, path in enumerate(paths):
            client = socket.create_connection(("127.0.0.1", port), timeout=_CONNECT)
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n{lines}\r\n".encode())
            selector.register(client, selectors.EVENT_READ, number)
        parent.send(None)
        deadline = time.monotonic() + _LONGEST
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(1):
                data, number = _read(key.fileobj), key.data
                now = time.monotonic()
                received[number] += data
                if told[number] is None and _FINAL in received[number]:
                    told[number] = now
                if not data:
                    ended[number] = now
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
    parent.send([Answer(_status(text), *times) for text, *times in zip(received, told, ended, strict=True)])


def _read(client: Any) -> bytes:
    with suppress(ConnectionError):
        return bytes(client.recv(65536))
    return b""


def _status(received: bytes) -> int:
    return int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/") else 0


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else hard, hard))
