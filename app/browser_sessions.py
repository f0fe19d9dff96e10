"""Sessions of browsers that signed in with an API key, so that no script of the page ever has the key.

The cookie holds a random id; Redis holds, under the id's hash, which key has signed in, and neither holds the key.
A session ends with its time, by signing out, or with its key. Scripts of the page cannot read the cookie (HttpOnly)
and pages of other sites cannot have it sent (SameSite=Strict); besides, what is asked with it must come from here.
"""

import re
import secrets
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from flask import Request, Response, request

from app.problem import ProblemError

#: A header that no form can send, and no page of another origin without a leave that it is not given
#: (``cross_origin``): OWASP's cheat sheet on cross-site request forgery, "custom request headers".
PAGE_HEADER = "X-Taskgate-Console"

_ID = re.compile(r"[A-Za-z0-9_-]{43}")
_SAFE = frozenset({"GET", "HEAD"})


class BrowserSessions:
    """In Redis, for all API processes.

    Args:
        backend: the result backend, in whose database they are.
        ttl: seconds from signing in to the end.
    """

    def __init__(self, backend: Any, *, ttl: int) -> None:
        self._backend = backend
        self.ttl = ttl

    def open(self, key_id: str) -> str:
        """A new session of this key; returns its id. Raises: redis-py's connection errors, as all here do."""
        session_id = secrets.token_urlsafe(32)
        self._backend.client.set(self._name(session_id), key_id, ex=self.ttl)
        return session_id

    def find(self, session_id: str) -> tuple[str, int] | None:
        """The id of the key that has signed in and the seconds that are left; None when the session is over."""
        if not _ID.fullmatch(session_id):
            return None
        with self._backend.client.pipeline(transaction=False) as pipe:
            pipe.get(self._name(session_id))
            pipe.ttl(self._name(session_id))
            key_id, left = pipe.execute()
        return None if key_id is None else (key_id.decode(), left)

    def close(self, session_id: str) -> None:
        """End it now, if it is not over."""
        if _ID.fullmatch(session_id):
            self._backend.client.delete(self._name(session_id))

    def _name(self, session_id: str) -> str:
        return f"{self._backend.keys.prefix}taskgate-session-{sha256(session_id.encode()).hexdigest()}"


def session_of_request(asked: Request) -> str | None:
    """The id in the cookie, of a request that presents nothing else."""
    return None if "HTTP_AUTHORIZATION" in asked.environ else asked.cookies.get(_cookie())


def set_cookie(response: Response, session_id: str, ttl: int) -> None:
    """Have the browser keep it."""
    response.set_cookie(
        _cookie(), session_id, max_age=ttl, path="/", secure=request.is_secure, httponly=True, samesite="Strict"
    )


def delete_cookie(response: Response) -> None:
    """Have the browser forget it."""
    response.delete_cookie(_cookie(), path="/", secure=request.is_secure, httponly=True, samesite="Strict")


def require_own_page() -> None:
    """See that the request is one of our own page's. Raises: ProblemError 403.

    Browsers say where a request comes from, and let no page say otherwise: in Sec-Fetch-Site, where the connection is
    secure or local, and in Origin with whatever is not a GET.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        is_ours = site == "same-origin"
    elif origin is not None:
        is_ours = urlsplit(origin).netloc == request.host
    else:
        is_ours = request.method in _SAFE
    if not is_ours or (request.method not in _SAFE and PAGE_HEADER not in request.headers):
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "The session of a browser works from the console's own page alone. Elsewhere, send an API key: "
            "Authorization: Bearer <key>.",
        )


def _cookie() -> str:
    """Over HTTPS no other host of the domain can have set it (RFC 6265bis, the prefix __Host-)."""
    return "__Host-taskgate" if request.is_secure else "taskgate"
