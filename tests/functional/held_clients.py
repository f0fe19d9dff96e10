"""Many HTTP clients in one thread, light enough not to be what is measured."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    at: float  # time.monotonic()
    status: int
    headers: dict[str, str]
    body: Any


class HeldClients:
    """One GET for each path, or one POST of ``body`` as JSON, each on a connection of its own."""

    def __init__(self, port: int, paths: Sequence[str], headers: dict[str, str], body: bytes | None = None) -> None:
        method, entity = "GET", dict[str, str]()
        if body is not None:
            method, entity = "POST", {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers | entity).items())
        self._received: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()
        for path in paths:
            client = socket.create_connection(("127.0.0.1", port), timeout=20)
            request = f"{method} {path} HTTP/1.1\r\nHost: held\r\nConnection: close\r\n{lines}\r\n".encode()
            client.sendall(request + (body or b""))
            self._received[client] = b""
            self._selector.register(client, selectors.EVENT_READ)

    def answered(self) -> bool:
        """Whether any of them has something to read."""
        return bool(self._selector.select(0))

    def answers(self, timeout: float) -> list[Answer]:
        """In the order in which they came. Raises: AssertionError when some are missing after ``timeout`` seconds."""
        found, deadline = [], time.monotonic() + timeout
        while self._selector.get_map():
            assert time.monotonic() < deadline, f"{len(self._selector.get_map())} have no answer"
            for key, _ in self._selector.select(1):
                client: socket.socket = key.fileobj  # type: ignore[assignment]
                data = client.recv(65536)
                self._received[client] += data
                if not data:
                    self._selector.unregister(client)
                    client.close()
                    found.append((time.monotonic(), self._received[client]))
        self._selector.close()
        return [_parsed(at, data) for at, data in found]


def _parsed(at: float, data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(at, int(first.split()[1]), headers, json.loads(body) if body else None)
