"""Pages of other origins: refused by default, and what those that are named may send and read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from config import Config, ConfigError, load_config
from tests.conftest import RedisServer, built_app
from tests.installation import API

APP, ADMIN, OTHER = "https://app.example.com", "http://localhost:3000", "https://evil.example.com"


@pytest.fixture
def open_client(config: Config) -> Iterator[FlaskClient]:
    with cross_origin_client(config, APP, ADMIN) as client:
        yield client


@contextmanager
def cross_origin_client(config: Config, *origins: str) -> Iterator[FlaskClient]:
    with built_app(replace(config, cors_origins=origins, rate_limit_address="5/hour")) as app:
        yield app.test_client()


def preflight(
    client: FlaskClient, origin: str, method: str, *headers: str, path: str = f"{API}/jobs"
) -> dict[str, str]:
    answer = client.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ", ".join(headers),
        },
    )
    assert answer.status_code == 200
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


def test_by_default_no_other_origin_may_read_anything(client: FlaskClient) -> None:
    assert preflight(client, APP, "GET", "authorization") == {}
    assert "Access-Control-Allow-Origin" not in client.get(f"{API}/tasks", headers={"Origin": APP}).headers


def test_a_preflight_allows_what_clients_send(open_client: FlaskClient) -> None:
    sent = [
        "authorization",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "if-range",
        "last-event-id",
        "prefer",
        "x-request-id",
    ]

    allowed = preflight(open_client, APP, "POST", *sent, path=f"{API}/tasks/maintenance.adds/jobs")

    assert allowed["Access-Control-Allow-Origin"] == APP
    assert sorted(allowed["Access-Control-Allow-Headers"].split(", ")) == sent
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(allowed["Access-Control-Allow-Methods"].split(", "))
    assert int(allowed["Access-Control-Max-Age"]) >= 600
    assert "Access-Control-Allow-Credentials" not in allowed


def test_a_preflight_allows_nothing_else(open_client: FlaskClient) -> None:
    assert "Access-Control-Allow-Headers" not in preflight(open_client, APP, "GET", "X-Anything")
    assert preflight(open_client, OTHER, "GET", "authorization") == {}


def test_an_answer_may_be_read_by_the_origin_that_asked(open_client: FlaskClient) -> None:
    answers = {origin: open_client.get(f"{API}/tasks", headers={"Origin": origin}).headers for origin in (APP, ADMIN)}

    for origin, headers in answers.items():
        assert headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in headers["Vary"]
        exposed = set(headers["Access-Control-Expose-Headers"].split(", "))
        assert {"Location", "ETag", "Retry-After", "RateLimit", "Idempotent-Replayed", "X-Request-ID"} <= exposed
        assert "Access-Control-Allow-Credentials" not in headers
    assert "Access-Control-Allow-Origin" not in open_client.get(f"{API}/tasks", headers={"Origin": OTHER}).headers
    assert "Access-Control-Allow-Origin" not in open_client.get(f"{API}/tasks").headers


def test_problems_may_be_read_too(config: Config, redis_server: RedisServer) -> None:
    with cross_origin_client(config, APP) as client:
        origin = {"Origin": APP}
        answers = [client.get(f"{API}/tasks", headers=origin) for _ in range(6)]
        unknown = client.get("/nowhere", headers=origin, environ_base={"REMOTE_ADDR": "192.0.2.1"})

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    for answer in answers:
        assert answer.headers.getlist("Access-Control-Allow-Origin") == [APP]
        assert answer.mimetype == "application/problem+json"
    # What is not the API is for nobody.
    assert (unknown.status_code, unknown.headers.get("Access-Control-Allow-Origin")) == (404, None)


def test_so_may_a_503(config: Config, redis_server: RedisServer) -> None:
    from app.api_keys import Scope, create_key
    from app.extensions import db

    with built_app(replace(config, cors_origins=(APP,))) as app:
        with app.app_context():
            key = create_key(db.session(), "ann", {Scope.READ})
            db.session.commit()
        redis_server.stop(kill=True)
        answer = app.test_client().get(f"{API}/jobs", headers={"Origin": APP, "Authorization": f"Bearer {key}"})

    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, APP)


def test_every_origin_without_credentials(config: Config) -> None:
    with cross_origin_client(config, "*") as client:
        answer = client.get(f"{API}/tasks", headers={"Origin": OTHER})
        allowed = preflight(client, OTHER, "GET", "authorization")

    assert answer.headers["Access-Control-Allow-Origin"] == allowed["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Access-Control-Allow-Credentials" not in allowed


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://a.example", ("https://a.example",)),
        (
            "https://a.example, http://[::1]:3000,http://10.0.0.1:80",
            ("https://a.example", "http://[::1]:3000", "http://10.0.0.1:80"),
        ),
    ],
)
@pytest.mark.usefixtures("environment")
def test_origins_are_read(text: str, origins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", text)

    assert load_config().cors_origins == origins


@pytest.mark.parametrize(
    "text", ["app.example.com", "https://a.example/", "https://a.example/x", "https://*.example", "null", "ftp://a"]
)
@pytest.mark.usefixtures("environment")
def test_what_is_no_origin_stops_the_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", text)

    with pytest.raises(ConfigError, match="CORS_ORIGINS is not valid: Wants origins"):
        load_config()
