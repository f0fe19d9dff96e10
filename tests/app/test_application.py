"""The Flask class of the service answers as Flask's own does, whoever listens."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response, request
from flask.signals import request_finished, request_started
from flask.testing import FlaskClient

from app.application import ServiceFlask

ANSWERS = {
    "/text": (200, b"text"),
    "/pair": (201, b"pair"),
    "/response": (202, b"response"),
    "/error": (418, b"ValueError"),
    "/nowhere": (418, b"NotFound"),
    "/end": (418, b"end"),
}


@pytest.fixture
def service() -> Flask:
    app = ServiceFlask("service")

    def fail() -> str:
        raise ValueError("of the test")

    views: dict[str, Any] = {
        "/text": lambda: "text",
        "/pair": lambda: ("pair", 201),
        "/response": lambda: Response("response", 202),
        "/error": fail,
        "/end": lambda: "never",
    }
    for path, view in views.items():
        app.add_url_rule(path, path.strip("/"), view)
    app.register_error_handler(Exception, lambda error: Response(type(error).__name__, 418))
    app.before_request(lambda: Response("end", 418) if request.path == "/end" else None)
    app.at_end(lambda _, facts, response: response.headers.add("X-End", "seen"))
    return app


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("path", ANSWERS)
def test_views_errors_and_hooks_make_the_answer(path: str, listens: bool, service: Flask) -> None:
    told: list[str] = []

    def started(_: Flask, **__: Any) -> None:
        told.append("started")

    def finished(_: Flask, response: Response, **__: Any) -> None:
        told.append(f"finished {response.status_code}")

    if listens:
        request_started.connect(started, service)
        request_finished.connect(finished, service)
    answer = service.test_client().get(path)

    assert (answer.status_code, answer.data) == ANSWERS[path]
    assert answer.headers.getlist("X-End") == ["seen"]
    assert told == (["started", f"finished {answer.status_code}"] if listens else [])


def test_a_head_is_a_get_of_a_resource_and_another_method_none(client: FlaskClient, auth: dict[str, str]) -> None:
    get, head = (client.open("/api/1.0/tasks", method=method, headers=auth) for method in ("GET", "HEAD"))

    assert (head.status_code, head.data) == (get.status_code, b"") == (200, b"")
    assert head.headers["Content-Length"] == str(len(get.data))
    assert client.patch("/api/1.0/tasks", headers=auth).status_code == 405
    assert "GET" in client.options("/api/1.0/tasks", headers=auth).headers["Allow"]
