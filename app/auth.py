"""Who calls: the bearer key of a request, and the scope each route asks for."""

import threading
import time
from http import HTTPStatus

from flask import Flask, current_app, g, request

from app.api_keys import Principal, Scope, find_principal
from app.errors import ProblemError
from app.extensions import db

#: Seconds an API process remembers a key, sparing SQL; a revoked key works no longer than that.
KEY_MEMORY = 5.0
_MOST_REMEMBERED = 10_000


class KeyCache:
    """Principals by key for :data:`KEY_MEMORY` seconds. Unknown ones are not: it cannot be filled."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, Principal]] = {}
        self._lock = threading.Lock()

    def find(self, key: str) -> Principal | None:
        """The principal, from memory or from SQL."""
        now = time.monotonic()
        entry = self._entries.get(key)
        if entry is not None and entry[0] > now:
            return entry[1]
        principal = find_principal(db.session(), key)
        with self._lock:
            if principal is None:
                self._entries.pop(key, None)
            else:
                if len(self._entries) >= _MOST_REMEMBERED:
                    self._entries.clear()
                self._entries[key] = (now + KEY_MEMORY, principal)
        return principal


def init_app(app: Flask) -> None:
    """Give ``app`` its memory of keys."""
    app.extensions["api_keys"] = KeyCache()


def require(scope: Scope) -> Principal:
    """The caller, who must have ``scope``; also stands in ``g`` for jobs it submits.

    Raises: ProblemError 401 or 403.
    """
    principal = _authenticate()
    if not principal.may(scope):
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"This key lacks the scope {scope}. Use one that has it (manage.py keys create NAME --scope {scope}).",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )
    g.principal = principal.name
    return principal


def _authenticate() -> Principal:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Send an API key: Authorization: Bearer <key>. Keys are made by manage.py keys create.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    principal: Principal | None = current_app.extensions["api_keys"].find(key.strip())
    if principal is None:
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "This API key is unknown, revoked or over. Ask for a new one.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
    return principal
