"""Answers that are JSON."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.wsgi import ClosingIterator

from app.json_values import dumps

_LINES = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}


class PlainResponse(Response):
    """One whose body is there and whose headers are as they are to be sent: its addresses are ASCII and relative.

    werkzeug's own finds out at its making, and again when it is sent, what is known here from the start.
    """

    def __init__(self, body: bytes, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        ready = Headers()
        ready.add("Content-Type", "application/json")
        ready.add("Content-Length", str(len(body)))
        ready.add("Cache-Control", "no-store")
        for name, value in headers:
            ready.add(name, value)
        super().__init__([body], _LINES[status], ready)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """As werkzeug's, which takes every address apart, where there is anything to change about it."""
        parts = self.response
        has_body = 200 <= self.status_code < 300 and self.status_code != HTTPStatus.NO_CONTENT
        if not has_body or environ["REQUEST_METHOD"] == "HEAD" or type(parts) is not list or self.direct_passthrough:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return ClosingIterator(parts, self.close) if self._on_close else parts


def json_response(data: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The data as JSON."""
    return PlainResponse(dumps(data).encode(), status, headers.items() if headers else ())
