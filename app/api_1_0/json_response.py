"""Answers that are JSON."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from werkzeug.datastructures import Headers

from app.json_values import dumps


class PlainResponse(Response):
    """One whose body is there and whose headers are as they are to be sent: its addresses are ASCII and relative."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        """As werkzeug's, which takes every address apart, where there is anything to change about them."""
        if not 200 <= self.status_code < 300 or self.status_code == 204 or "Content-Length" not in self.headers:
            return super().get_wsgi_headers(environ)
        return self.headers


def json_response(data: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The data as JSON."""
    body = dumps(data).encode()
    response = PlainResponse(body, status, content_type="application/json")
    if headers:
        response.headers.extend(headers)
    return response
