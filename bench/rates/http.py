"""HTTP over raw sockets: as little of the measuring side's processor as Python allows."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

_TIMEOUT = 120


def request(method: str, path: str, headers: Mapping[str, str], body: str | None = None) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if body is not None:
        lines += f"Content-Length: {len(body.encode())}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{lines}\r\n{body or ''}".encode()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name:
                return value.strip()
        return None


class Connection:
    """Kept open, and opened again when the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._socket = self._connected()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, raw: bytes) -> Answer:
        """Raises: OSError when no whole answer comes, on a new connection too."""
        try:
            return self._ask(raw)
        except ConnectionError:
            self._socket.close()
            self._socket = self._connected()
            return self._ask(raw)

    def _connected(self) -> socket.socket:
        connected = socket.create_connection(self._address, timeout=_TIMEOUT)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def _ask(self, raw: bytes) -> Answer:
        self._socket.sendall(raw)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head, body = received[:end], received[end + 4 :]
        answer = Answer(int(head[9:12]), head, b"")
        length = answer.header(b"content-length")
        if answer.status not in (204, 304):
            assert length is not None, f"an answer without a length: {head!r}"
            while len(body) < int(length):
                body += self._more()
        if answer.header(b"connection") == b"close":
            self._socket.close()
            self._socket = self._connected()
        return Answer(answer.status, head, body)

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError
        return data
