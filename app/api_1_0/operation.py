"""``@operation``: what a route takes and answers, said once: enforced here and written to the OpenAPI document."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from flask import Response, g, request
from marshmallow import RAISE, Schema, fields
from webargs.flaskparser import FlaskParser

from app.api_1_0.json_response import json_response
from app.api_1_0.zones import TZ
from app.api_keys import Scope
from app.auth import ACCESS_TOKEN, require


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``answers`` and ``errors`` are by HTTP status.

    ``job_token`` says that the access token of the job in the path, its ``task_id``, opens it without any scope.
    ``body`` is the schema of a JSON object, which the method reads itself (``json_body``).
    """

    summary: str
    scope: Scope
    answers: Mapping[int, type[Schema] | None]
    errors: tuple[int, ...] = ()
    query: type[Schema] | None = None
    body: type[Schema] | None = None  # documented; the method reads it
    headers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    request_headers: tuple[str, ...] = ()
    description: str = ""
    job_token: bool = False
    also_needs: Scope | None = None
    body_required: bool = True
    links: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)  # OpenAPI's, by the status of the answer
    #: Of an answer that is a stream of server-sent events: their data, by the events' names.
    events: Mapping[str, type[Schema]] = field(default_factory=dict)

    @property
    def needs(self) -> str:
        """The sentence of the documentation."""
        also = f"s `{self.scope}` and `{self.also_needs}`" if self.also_needs else f" `{self.scope}`"
        return f"Needs the scope{also}."


class AccessTokenQuery(Schema):
    """The token itself is read where callers are authenticated; here its argument is only known."""

    access_token = fields.String()


class _QueryParser(FlaskParser):
    """Unknown query arguments are errors: a misspelled filter must not silently mean *everything*."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"query": RAISE}  # noqa: RUF012 - webargs reads this very attribute

    def handle_error(self, error: Any, *_: Any, **__: Any) -> Any:
        error.messages = error.messages["query"]  # by field, without webargs' level for the location
        raise error


_parser = _QueryParser()


def operation(described: Operation) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Authenticate, parse the query, call, dump what came back with the answer's schema.

    The method returns ``(object, status)`` or ``(object, status, headers)``, or a finished ``Response``. With a
    query schema its loaded values come as ``query``; without one there is no query argument to give. ``tz`` is not
    among them: it is for the schemas of what is answered.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        query_schema = described.query or Schema
        if described.job_token and method.__name__ == "get":
            query_schema = type(query_schema.__name__, (AccessTokenQuery, query_schema), {})
        # Made once: that takes longer than to load a query or to dump an answer.
        query_loader = query_schema()
        no_query = _cached_defaults(query_loader)
        dumpers = {status: schema() for status, schema in described.answers.items() if schema is not None}

        @wraps(method)
        def answer(self: Any, **path: Any) -> Any:
            job = path["task_id"] if described.job_token else None
            principal = require(described.scope, job=job, also=described.also_needs)
            # The objects themselves: each look through ``request`` and ``g`` is five calls.
            environ, facts = request._get_current_object().environ, g._get_current_object()  # type: ignore[attr-defined]
            query = _load_query(query_loader) if environ.get("QUERY_STRING") else no_query(facts)
            if described.query is not None:
                path["query"] = query
            returned = method(self, principal, **path)
            if isinstance(returned, Response):
                return returned
            value, status, *rest = returned
            dumped = dumpers[status].dump(value) if described.answers[status] is not None else None
            # Finished here: Flask-RESTful would look twice which media types are wanted, and there is this one.
            return json_response(dumped, status, rest[0] if rest else {})

        answer.operation = described  # type: ignore[attr-defined]
        return answer

    return decorate


def _cached_defaults(schema: Schema) -> Callable[[Any], dict[str, Any]]:
    """What the schema makes of no query at all, which is the same each time; as :func:`_load_query`."""
    known: dict[str, Any] | None = None

    def defaults(facts: Any) -> dict[str, Any]:
        nonlocal known
        if known is None:
            known = dict(_load_query(schema))
        facts.zone = None
        return dict(known)

    return defaults


def _load_query(schema: Schema) -> Mapping[str, Any]:
    loaded: dict[str, Any] = _parser.parse(schema, request, location="query")
    loaded.pop(ACCESS_TOKEN, None)
    g.zone = loaded.pop(TZ, None)
    return loaded
