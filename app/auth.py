"""Who calls: the API key or access token of a request, and the scope each route asks for."""

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Request, Response, current_app, g, request
from sqlalchemy.orm import Session

from app import key_use
from app.api_keys import Principal, Scope, find_principal, principal_of
from app.application import ServiceFlask
from app.browser_sessions import BrowserSessions, require_own_page, session_of_request
from app.extensions import db
from app.job_tokens import PREFIX, ExpiredTokenError, InvalidTokenError, JobAccess
from app.problem import ProblemError
from app.rate_limits import RateLimits
from libs.flask_celery import UnknownJobError

#: Seconds an API process remembers a key, sparing SQL; a revoked key works no longer than that.
KEY_MEMORY = 5.0
_MOST_REMEMBERED = 10_000

#: The query argument of RFC 6750, section 2.3, for browsers, which cannot set headers everywhere.
ACCESS_TOKEN = "access_token"  # noqa: S105 - its name


_Read = Callable[[Session, str], Principal | None]


class KeyCache:
    """Principals by key for :data:`KEY_MEMORY` seconds. Unknown ones are not: it cannot be filled."""

    def __init__(self) -> None:
        #: By what was presented and what that is: the id of a key opens nothing where a key is asked for.
        self._entries: dict[tuple[_Read, str], tuple[float, Principal]] = {}
        self._lock = threading.Lock()

    def knows(self, key: str) -> bool:
        """Whether the key has worked here before, so that nobody is guessing it."""
        return (find_principal, key) in self._entries

    def find(self, key: str) -> Principal | None:
        """The principal, from memory or from SQL."""
        return self._find(find_principal, key)

    def find_by_id(self, key_id: str) -> Principal | None:
        """The same for the key of this id, which has been presented before: with a session of a browser."""
        return self._find(principal_of, key_id)

    def _find(self, read: _Read, presented: str) -> Principal | None:
        now, key = time.monotonic(), (read, presented)
        entry = self._entries.get(key)
        if entry is not None and entry[0] > now:
            return entry[1]
        # Not the request's session: that one would keep its connection for as long as the request is held.
        with Session(db.engine) as session:
            principal = read(session, presented)
        with self._lock:
            if principal is None:
                self._entries.pop(key, None)
            else:
                if len(self._entries) >= _MOST_REMEMBERED:
                    self._entries.clear()
                self._entries[key] = (now + KEY_MEMORY, principal)
        return principal


def init_app(app: ServiceFlask) -> None:
    """Give ``app`` its memory of keys."""
    app.extensions["api_keys"] = KeyCache()
    app.at_end(_keep_to_the_caller)
    key_use.init_app(app)


def require(scope: Scope, *, job: str | None = None, also: Scope | None = None) -> Principal:
    """The caller, who must have ``scope``; also stands in ``g`` for jobs it submits.

    Args:
        job: the task id of the one job that the route is about, if an access token of that job opens the route. On
            a GET the token may also stand in the query.
        also: a second scope that the route asks for.

    Raises: ProblemError 400, 401, 403 or 429; UnknownJobError for the token of another job.
    """
    asked, facts = request._get_current_object(), g._get_current_object()  # type: ignore[attr-defined]
    in_query = job is not None and asked.method in ("GET", "HEAD")
    session_id = session_of_request(asked)
    if session_id is not None and not (in_query and ACCESS_TOKEN in asked.args):
        principal = _by_session(session_id, scope, facts)
    else:
        credential = _credential(asked, facts, in_query=in_query)
        if credential.startswith(PREFIX):
            principal = _by_token(credential, scope, job)
        else:
            principal = _by_key(credential, scope, facts)
    if also is not None and not principal.may(also):
        raise _lacks(also)
    facts.principal = principal.name
    return principal


def _credential(asked: Request, facts: Any, *, in_query: bool) -> str:
    # Of the environment: ``headers`` and ``args`` take longer to say that there is nothing.
    scheme, _, bearer = asked.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    tokens = asked.args.getlist(ACCESS_TOKEN) if in_query and asked.query_string else []
    if tokens:
        facts.token_in_query = True
        if len(tokens) > 1 or scheme:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                "Authenticate in one way: either Authorization: Bearer <key or token>, or one access_token.",
                headers={"WWW-Authenticate": 'Bearer error="invalid_request"'},
            )
        if not tokens[0].startswith(PREFIX):
            _limits().spend_address()
            raise _invalid_token(
                "This is not an access token of this service. Take the access_token that the submission answered; "
                "an API key goes in the Authorization header alone."
            )
        token: str = tokens[0]
        return token
    bearer = bearer.strip()
    if scheme.lower() != "bearer" or not bearer:
        _limits().spend_address()
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Send an API key: Authorization: Bearer <key>. Keys are made by manage.py keys create.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return str(bearer)


def _by_key(key: str, scope: Scope, facts: Any) -> Principal:
    extensions = current_app._get_current_object().extensions  # type: ignore[attr-defined]
    keys: KeyCache = extensions["api_keys"]
    limits: RateLimits = extensions["rate_limits"]
    known = keys.knows(key)
    if not known:
        limits.spend_address()  # before the key is looked at, or guessing would go on behind the refusals
    principal = keys.find(key)
    if principal is None:
        if known:
            limits.spend_address()
        raise _invalid_token("This API key is unknown, revoked or over. Ask for a new one.")
    if not known:
        limits.give_back_address()
    return _admitted(principal, scope, facts, limits)


def _by_session(session_id: str, scope: Scope, facts: Any) -> Principal:
    """Raises also: redis-py's connection errors."""
    facts.for_the_browser = True
    require_own_page()
    principal = principal_of_session(session_id)
    if principal is None:
        _limits().spend_address()
        raise _invalid_token("Your session is over, or its API key is. Sign in again.")
    return _admitted(principal, scope, facts, _limits())


def principal_of_session(session_id: str) -> Principal | None:
    """Whose session this is; None when it, or its key, is over. Raises: redis-py's connection errors."""
    sessions: BrowserSessions = current_app.extensions["browser_sessions"]
    keys: KeyCache = current_app.extensions["api_keys"]
    found = sessions.find(session_id)
    return None if found is None else keys.find_by_id(found[0])


def _admitted(principal: Principal, scope: Scope, facts: Any, limits: RateLimits) -> Principal:
    facts.key_id = principal.key_id
    limits.spend_caller(f"{principal.key_id}", facts, submits=scope is Scope.SUBMIT)
    if not principal.may(scope):
        raise _lacks(scope)
    return principal


def _lacks(scope: Scope) -> ProblemError:
    return _insufficient_scope(
        f"This key lacks the scope {scope}. Use one that has it (manage.py keys create NAME --scope {scope}).", scope
    )


def _by_token(token: str, scope: Scope, job: str | None) -> Principal:
    """The job's owner, without any scope: the token stands for the one that this route asks for."""
    try:
        access: JobAccess = current_app.extensions["job_tokens"].read(token)
    except ExpiredTokenError as error:
        _limits().spend_address()
        raise _invalid_token(
            "This access token is over. Use an API key, or submit again under the same Idempotency-Key to have a new "
            "token."
        ) from error
    except InvalidTokenError as error:
        _limits().spend_address()
        raise _invalid_token(
            "This is not an access token of this service. Take the access_token that the submission answered, "
            "unchanged, or an API key."
        ) from error
    _limits().spend_caller(f"job-{access.task_id}", g, submits=False)
    if job is None:
        raise _insufficient_scope(
            f"An access token opens its own job and nothing else. Use an API key with the scope {scope}.", scope
        )
    if access.task_id != job:
        raise UnknownJobError(job)
    return Principal(access.owner, frozenset())


def _limits() -> RateLimits:
    limits: RateLimits = current_app.extensions["rate_limits"]
    return limits


def _invalid_token(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _insufficient_scope(detail: str, scope: Scope) -> ProblemError:
    return ProblemError(
        HTTPStatus.FORBIDDEN,
        detail,
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
    )


def _keep_to_the_caller(_: Request, facts: Any, response: Response) -> None:
    """An address with a token in it, and what it answers, are for nobody else (RFC 6750, sections 2.3 and 5.3)."""
    if "token_in_query" in facts:
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
    if "for_the_browser" in facts:
        response.headers["Cache-Control"] = "private, no-store"
        response.vary.add("Cookie")
