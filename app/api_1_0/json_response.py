"""Answers that are JSON."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.wsgi import ClosingIterator

from app.json_values import dumps

_LINES = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}

_OF_A_BODY = frozenset({"Content-Type", "Content-Length", "Content-Language"})


class PlainResponse(Response):
    """One whose body is there and whose headers are as they are to be sent: its addresses are ASCII and relative.

    werkzeug's own finds out at its making, and again when it is sent, what is known here from the start.
    """

    def __init__(self, body: bytes, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        ready = Headers()
        # As ``Headers.add`` leaves them, which looks at each for line ends; so does whoever sends them.
        ready._list = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *headers,
        ]
        # As ``Response.__init__`` leaves it, once it has found out what its arguments may be.
        self.headers = ready
        self._status, self._status_code = _LINES[status], int(status)
        self.direct_passthrough = False
        self._on_close = []
        self.response = [body]

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """As werkzeug's, which takes every address apart, where there is anything to change about it."""
        parts = self.response
        has_body = 200 <= self.status_code < 300 and self.status_code != HTTPStatus.NO_CONTENT
        if not has_body or environ["REQUEST_METHOD"] == "HEAD" or type(parts) is not list or self.direct_passthrough:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return ClosingIterator(parts, self.close) if self._on_close else parts


class Unchanged(PlainResponse):
    """304: the client has it already."""

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        super().__init__(b"", HTTPStatus.NOT_MODIFIED, headers)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Without what says something of a body (RFC 9110, 15.4.5)."""
        start_response(self.status, [(n, v) for n, v in self.headers.to_wsgi_list() if n not in _OF_A_BODY])
        return ClosingIterator((), self.close) if self._on_close else ()


def json_response(data: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The data as JSON."""
    return PlainResponse(dumps(data).encode(), status, headers.items() if headers else ())
