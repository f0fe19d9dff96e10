"""What every request knows about itself before any view: its id, its locale, its trace."""

import re
import secrets

from flask import Flask, Response, g, request

from app.languages import label_language, negotiated

#: What a client may choose as a request id; anything else is replaced, since it goes to logs.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def init_app(app: Flask) -> None:
    """Fill ``g`` before each request of ``app`` and name the request in its response."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    request_id = request.headers.get("X-Request-ID", "")
    g.request_id = request_id if _REQUEST_ID.fullmatch(request_id) else secrets.token_hex(8)
    g.locale = negotiated(request.accept_languages)
    traceparent = request.headers.get("traceparent", "")
    g.traceparent = traceparent if _TRACEPARENT.fullmatch(traceparent) else None


def _end(response: Response) -> Response:
    # Absent when the request could not even be parsed.
    if "request_id" in g:
        response.headers["X-Request-ID"] = g.request_id
        response = label_language(response)
    if response.mimetype in ("application/json", "application/problem+json"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response
