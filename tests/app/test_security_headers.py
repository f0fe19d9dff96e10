"""What every answer says to browsers, whatever it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.docs_page import POLICY
from app.security_headers import HEADERS
from config import Config
from tests.conftest import RedisServer, built_app
from tests.installation import API

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

ANSWERS = {
    f"{API}/tasks": 200,
    f"{API}/results/unknown": 404,
    f"{API}/jobs?limit=many": 422,
    f"{API}/openapi.json": 200,
    "/docs/index.html": 302,
    "/healthz": 200,
    "/docs/swagger-ui.css": 200,
    "/nowhere": 404,
}


@pytest.fixture
def client_over_https(config: Config) -> Iterator[FlaskClient]:
    with built_app(replace(config, hsts=3600, trusted_proxies=1)) as app:
        yield app.test_client()


@pytest.mark.parametrize(("path", "status"), ANSWERS.items())
def test_every_answer_has_them(path: str, status: int, client: FlaskClient, auth: dict[str, str]) -> None:
    with client.get(path, headers=auth) as answer:
        assert answer.status_code == status
        for name, value in HEADERS.items():
            assert answer.headers.getlist(name) == [value], name
    assert HEADERS["Content-Security-Policy"] == NOTHING
    assert HEADERS["X-Content-Type-Options"] == "nosniff"


def test_refusals_have_them_too(client: FlaskClient, redis_server: RedisServer, auth: dict[str, str]) -> None:
    unauthorized, not_allowed = client.get(f"{API}/tasks"), client.put(f"{API}/tasks", headers=auth)
    redis_server.stop(kill=True)
    away = client.get(f"{API}/jobs", headers=auth)

    for answer, status in ((unauthorized, 401), (not_allowed, 405), (away, 503)):
        assert answer.status_code == status
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_a_failure_of_ours_has_them_too(app_outside_testing: Flask, make_failing: Callable[[Flask], None]) -> None:
    make_failing(app_outside_testing)

    answer = app_outside_testing.test_client().get("/failing")

    assert answer.status_code == 500
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@pytest.fixture
def make_failing() -> Callable[[Flask], None]:
    def make(app: Flask) -> None:
        def fail() -> str:
            raise RuntimeError("of the test")

        app.add_url_rule("/failing", view_func=fail)

    return make


def test_the_docs_page_has_a_policy_that_names_what_it_loads(client: FlaskClient) -> None:
    page = client.get("/docs/")

    assert page.headers.getlist("Content-Security-Policy") == [POLICY]
    assert "unsafe" not in POLICY
    assert "<style" not in page.text
    assert "<script>" not in page.text


def test_browsers_are_kept_to_https_when_it_is_said_and_they_came_by_it(client_over_https: FlaskClient) -> None:
    by_proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1"}

    secure, plain = client_over_https.get("/healthz", headers=by_proxy), client_over_https.get("/healthz")

    assert secure.headers["Strict-Transport-Security"] == "max-age=3600"
    assert "Strict-Transport-Security" not in plain.headers


def test_nothing_is_said_of_https_by_default(client: FlaskClient) -> None:
    answer = client.get("/healthz", base_url="https://taskgate.example")

    assert "Strict-Transport-Security" not in answer.headers
