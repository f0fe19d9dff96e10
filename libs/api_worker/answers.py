"""Answers as they go out."""

import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.http.message import TOKEN_RE  # type: ignore[import-untyped]
from gunicorn.http.wsgi import HEADER_VALUE_RE, Response  # type: ignore[import-untyped]


class Answer(Response):  # type: ignore[misc]
    """gunicorn's, sending its head together with the first piece of the body.

    By themselves they are twice the system calls, packets and wake-ups. The head is made when there is a first piece,
    or none, so nothing that a client could act upon is kept back.
    """

    headers_sent: bool
    _joins = False
    _head = b""

    def send_all(self, chunks: Iterable[bytes], file_wrapper: type) -> None:
        """All of what the application answers."""
        if isinstance(chunks, file_wrapper):
            self.write_file(chunks)
        else:
            for chunk in chunks:
                self.write(chunk)
        self.close()

    def write(self, arg: bytes) -> None:
        """As gunicorn's."""
        if self.headers_sent:
            super().write(arg)
            return
        self._joins = True
        super().write(arg)
        head, self._head = self._head, b""
        if head:  # nothing goes with it
            _send(self.sock, head)

    def send_headers(self) -> None:
        """As gunicorn's; in ``write`` they wait for what comes with them."""
        if self.headers_sent:
            return
        head = self._written_head()
        if self._joins:
            self._head = head
        else:
            _send(self.sock, head)
        self.headers_sent = True

    def process_headers(self, headers: Sequence[tuple[str, str]]) -> None:
        """As gunicorn's, which looks at each name and value for what it may not hold."""
        values = [value for _, value in headers]
        length = _place_of_length(tuple([name for name, _ in headers]))
        if length is None or not {*map(type, values)} <= {str} or not HEADER_VALUE_RE.fullmatch("".join(values)):
            super().process_headers(headers)  # it says what is wrong, or does what there is to do
            return
        if length < len(values):
            self.response_length = int(values[length])
        self.headers += [(name, value.strip(" \t")) for name, value in headers]

    def _emit_body(self, data: bytes) -> None:
        framed = b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data
        head, self._head = self._head, b""
        _send(self.sock, head + framed if head else framed)

    def _written_head(self) -> bytes:
        major, minor = self.req.version
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        coding = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        lines = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        return (
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: {_date(int(time.time()))}\r\n"
            f"Connection: {connection}\r\n{coding}{lines}\r\n"
        ).encode("latin-1")


def _send(sock: Any, data: bytes) -> None:
    """All of it. gevent's ``sendall`` asks the system for the socket's buffer first, and goes by pieces."""
    sent = sock.send(data)
    if sent < len(data):
        sock.sendall(memoryview(data)[sent:])


@lru_cache(maxsize=1_000)
def _place_of_length(names: tuple[str, ...]) -> int | None:
    """Where Content-Length is among these names, or their number; None when gunicorn has more to do with one of them.

    Names are the application's, so that there are few rows of them.
    """
    lower = [name.lower() for name in names if isinstance(name, str) and TOKEN_RE.fullmatch(name)]
    if len(lower) < len(names) or lower.count("content-length") > 1 or any(map(util.is_hoppish, names)):
        return None
    return lower.index("content-length") if "content-length" in lower else len(lower)


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    date: str = util.http_date(second)
    return date
