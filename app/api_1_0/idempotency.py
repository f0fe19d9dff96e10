"""The ``Idempotency-Key`` header (IETF draft-ietf-httpapi-idempotency-key-header)."""

import re
from http import HTTPStatus

from flask import Request

from app.problem import ProblemError

LONGEST_KEY = 255

#: A string of RFC 8941, as the draft has it, or the bare characters that most clients send.
_QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def read_idempotency_key(request: Request) -> str | None:
    """The key, without quotes, or None when there is none. Raises: ProblemError 400 for one that cannot be used."""
    if "HTTP_IDEMPOTENCY_KEY" not in request.environ:  # looked up: ``headers`` are searched from end to end
        return None
    values = request.headers.getlist("Idempotency-Key")
    key = _unquoted(values[0].strip()) if len(values) == 1 else ""
    if not 0 < len(key) <= LONGEST_KEY:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"Idempotency-Key is one key of 1 to {LONGEST_KEY} visible ASCII characters, in double quotes or bare.",
        )
    return key


def _unquoted(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        return re.sub(r'\\(["\\])', r"\1", quoted[1])
    return value if _BARE.fullmatch(value) else ""
