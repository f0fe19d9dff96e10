"""Signing in to the console with an API key, signing out, and who is signed in."""

from http import HTTPStatus
from typing import Any

from flask import Response, current_app, g, json, request
from marshmallow import Schema, fields, validate

from app.api_1_0.json_body import load_body
from app.api_keys import Principal
from app.auth import KeyCache, principal_of_session
from app.browser_sessions import (
    BrowserSessions,
    delete_cookie,
    require_own_page,
    session_of_request,
    set_cookie,
)
from app.problem import ProblemError
from config import Config


class SignInSchema(Schema):
    """What is sent to sign in."""

    key = fields.String(required=True, validate=validate.Length(1, 200), load_only=True)


def show() -> Response:
    """Who is signed in: its principal is null when nobody is, which is no error to ask about."""
    require_own_page()
    session_id = session_of_request(request)
    principal = None if session_id is None else principal_of_session(session_id)
    return _answer(_described(principal))


def sign_in() -> Response:
    """A session for the key in the body, in the place of the one that there may be."""
    require_own_page()
    keys: KeyCache = current_app.extensions["api_keys"]
    principal = keys.find(load_body(SignInSchema, request)["key"].strip())
    if principal is None or principal.key_id is None:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "This API key is unknown, revoked or over. Ask for a new one.",
            errors={"key": ["This API key is unknown, revoked or over."]},
        )
    sessions = _sessions()
    before = session_of_request(request)
    if before is not None:
        sessions.close(before)
    g.principal, g.key_id = principal.name, principal.key_id  # for the access log, and as a use of the key
    response = _answer(_described(principal))
    set_cookie(response, sessions.open(principal.key_id), sessions.ttl)
    return response


def sign_out() -> Response:
    """The session is over, for whoever may have its cookie."""
    require_own_page()
    session_id = session_of_request(request)
    if session_id is not None:
        _sessions().close(session_id)
    response = Response(status=HTTPStatus.NO_CONTENT)
    delete_cookie(response)
    return response


def _described(principal: Principal | None) -> dict[str, Any]:
    config: Config = current_app.config["TASKGATE"]
    return {
        "principal": None if principal is None else principal.name,
        "scopes": [] if principal is None else sorted(scope.value for scope in principal.scopes),
        # For how long a submission that was sent and not answered may be sent again.
        "idempotency_ttl": config.idempotency_ttl,
    }


def _answer(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), content_type="application/json", headers={"Cache-Control": "no-store"})


def _sessions() -> BrowserSessions:
    sessions: BrowserSessions = current_app.extensions["browser_sessions"]
    return sessions
