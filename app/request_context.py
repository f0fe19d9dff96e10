"""What every request knows about itself before any view: its id, its locale, its trace."""

import os
import re
from functools import lru_cache
from typing import Any

from flask import Request, Response
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from app.application import ServiceFlask
from app.languages import label_language, negotiated

#: What a client may choose as a request id; anything else is replaced, since it goes to logs.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def init_app(app: ServiceFlask) -> None:
    """Fill ``g`` before each request of ``app`` and name the request in its response."""
    app.at_begin(_begin)
    app.at_end(_end)


def _begin(request: Request, facts: Any) -> None:
    # Of the environment: an absent header costs an exception within ``headers``.
    named = request.environ.get
    request_id = named("HTTP_X_REQUEST_ID")
    facts.request_id = request_id if request_id and _REQUEST_ID.fullmatch(request_id) else os.urandom(8).hex()
    facts.locale = _locale(named("HTTP_ACCEPT_LANGUAGE", ""))
    traceparent = named("HTTP_TRACEPARENT")
    facts.traceparent = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None


@lru_cache(maxsize=1_000)
def _locale(accept_language: str) -> str:
    """Of a header, of which there are few different ones. gunicorn takes none longer than 8 KiB."""
    return negotiated(parse_accept_header(accept_language, LanguageAccept))


def _end(_: Request, facts: Any, response: Response) -> None:
    # Absent when the request could not even be parsed.
    request_id, headers = facts.get("request_id"), response.headers
    if request_id is not None:
        headers.add("X-Request-ID", request_id)
        label_language(facts, response)
    if "Cache-Control" not in headers and response.mimetype in ("application/json", "application/problem+json"):
        headers.add("Cache-Control", "no-store")
