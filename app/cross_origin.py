"""Which pages of other origins may use the API from a browser (CORS). None, unless they are configured."""

from flask import Flask
from flask_cors import CORS

from app.api_1_0.links import PREFIX

#: What clients send beside the headers that need no leave.
REQUEST_HEADERS = (
    "Accept-Language",
    "Authorization",
    "Cancel-After",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Prefer",
    "Range",
    "X-Request-ID",
    "traceparent",
)

#: What their scripts may read of our answers.
RESPONSE_HEADERS = (
    "Already-Running",
    "Content-Disposition",
    "Content-Location",
    "Content-Range",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)

#: Seconds for which a browser need not ask again; Chromium keeps no answer for longer.
_MAX_AGE = 7200


def init_app(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins use the API; ``*`` is all of them.

    They are known by a key or token that the page itself sends, never by what the browser keeps (the console's cookie
    is refused to them), so no answer allows credentials and ``*`` gives nobody more than ``curl`` has.
    """
    if not origins:
        return
    CORS(
        app,
        resources={rf"{PREFIX}/.*": {"origins": "*" if "*" in origins else list(origins)}},
        methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=list(REQUEST_HEADERS),
        expose_headers=list(RESPONSE_HEADERS),
        supports_credentials=False,
        send_wildcard=True,
        always_send=False,
        max_age=_MAX_AGE,
    )
