"""Signing in from a browser: what the cookie is, what it opens, from where, and until when."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from app.api_keys import Scope, revoke_key
from app.browser_sessions import PAGE_HEADER
from app.extensions import db
from config import Config
from tests.conftest import RedisServer, built_app
from tests.installation import API, assert_problem, bearer

SESSION = "/console/session"
PAGE = {"Sec-Fetch-Site": "same-origin", PAGE_HEADER: "1"}
ADDS = f"{API}/tasks/maintenance.adds/jobs"
BODY = {"a": 1, "b": 2}


@pytest.fixture
def key(make_key: Callable[..., str]) -> str:
    return make_key()


def sign_in(client: FlaskClient, key: str, **headers: str) -> Any:
    return client.post(SESSION, json={"key": key}, headers={**PAGE, **headers})


@pytest.fixture
def signed_in(client: FlaskClient, key: str) -> FlaskClient:
    assert sign_in(client, key).status_code == 200
    return client


@pytest.fixture
def client_over_https(config: Config) -> Iterator[tuple[FlaskClient, Callable[[], str]]]:
    with built_app(replace(config, trusted_proxies=1)) as app:
        yield app.test_client(), app


def test_who_signs_in_is_told_who_that_is_and_may_call_the_api(client: FlaskClient, key: str) -> None:
    before = client.get(SESSION, headers=PAGE).json
    answer = sign_in(client, f" {key}\n")
    after = client.get(SESSION, headers=PAGE).json

    assert before == {"principal": None, "scopes": [], "idempotency_ttl": 86_400}
    assert answer.json == after == {**before, "principal": "ann", "scopes": ["cancel", "read", "submit"]}
    submitted = client.post(ADDS, json=BODY, headers=PAGE)
    assert submitted.status_code == 202
    job = client.get(submitted.headers["Location"], headers=PAGE)
    assert (job.status_code, job.headers["Cache-Control"]) == (200, "private, no-store")
    assert "Cookie" in job.headers["Vary"]


def test_the_cookie_holds_no_key_and_is_for_no_script_and_no_other_site(client: FlaskClient, key: str) -> None:
    cookie = sign_in(client, key).headers["Set-Cookie"]

    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    _, key_id, secret = key.split("_", 2)  # a secret may have a "_" of its own
    assert key_id not in cookie
    assert secret not in cookie


def test_over_https_it_is_kept_to_https_and_to_this_host(
    client_over_https: tuple[FlaskClient, Flask], key: str
) -> None:
    client, _ = client_over_https
    by_proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1"}

    cookie = sign_in(client, key, **by_proxy).headers["Set-Cookie"]

    assert cookie.startswith("__Host-taskgate=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert client.get(f"{API}/tasks", base_url="https://localhost", headers={**PAGE, **by_proxy}).status_code == 200


def test_nothing_that_is_kept_has_the_key_or_the_cookie(
    client: FlaskClient, key: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session_id = sign_in(client, key).headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    client.get(f"{API}/tasks", headers=PAGE)

    secret = key.split("_", 2)[2]
    with Redis.from_url(f"{redis_url}/1") as redis:
        kept = [(name, redis.dump(name)) for name in redis.keys("*")]
    assert any(b"taskgate-session-" in name for name, _ in kept)
    for text in (secret, session_id):
        assert all(text.encode() not in name + value for name, value in kept)
        assert text not in caplog.text


@pytest.mark.parametrize("wrong", ["tg_x", f"tg_{'0' * 12}_{'A' * 43}", "\x00", "x" * 200])
def test_a_key_that_does_not_work_is_said_beside_its_field(wrong: str, client: FlaskClient) -> None:
    answer = sign_in(client, wrong)

    assert_problem(answer, 422, "key")
    assert "Set-Cookie" not in answer.headers
    if len(wrong) > 1:
        assert wrong not in answer.text


def test_a_body_that_is_none(client: FlaskClient) -> None:
    assert_problem(client.post(SESSION, data="key=tg_x", headers=PAGE), 415)
    assert_problem(client.post(SESSION, json={"key": 3}, headers=PAGE), 422, "key")
    assert_problem(client.post(SESSION, json={"key": "x", "more": 1}, headers=PAGE), 422, "more")


FOREIGN = {
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "another host of the domain": {"Sec-Fetch-Site": "same-site"},
    "another origin, from an old browser": {"Origin": "http://evil.example", PAGE_HEADER: "1"},
    "a page without an origin": {"Origin": "null", PAGE_HEADER: "1"},
    "another port": {"Origin": "http://localhost:81", PAGE_HEADER: "1"},
    "another site that sets our header": {"Sec-Fetch-Site": "cross-site", PAGE_HEADER: "1"},
    "a lie in Origin": {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost", PAGE_HEADER: "1"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_pages_elsewhere_can_do_nothing_with_the_cookie(headers: dict[str, str], signed_in: FlaskClient) -> None:
    jobs = signed_in.get(f"{API}/jobs", headers=PAGE).json

    assert_problem(signed_in.post(ADDS, json=BODY, headers=headers), 403)
    assert_problem(signed_in.get(f"{API}/jobs", headers=headers), 403)
    assert_problem(signed_in.delete(SESSION, headers=headers), 403)
    assert_problem(signed_in.post(SESSION, json={"key": "tg_x"}, headers=headers), 403)

    assert signed_in.get(f"{API}/jobs", headers=PAGE).json == jobs


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {PAGE_HEADER: "1"}, {}]
)
def test_a_write_says_twice_that_it_is_the_pages_own(headers: dict[str, str], signed_in: FlaskClient) -> None:
    assert_problem(signed_in.post(ADDS, json=BODY, headers=headers), 403)


def test_where_browsers_do_not_say_the_site_the_origin_does(signed_in: FlaskClient) -> None:
    """Over plain HTTP to another machine than this one."""
    headers = {"Origin": "http://localhost", PAGE_HEADER: "1"}

    assert signed_in.post(ADDS, json=BODY, headers=headers).status_code == 202
    assert signed_in.get(f"{API}/jobs").status_code == 200


def test_a_key_that_is_sent_is_what_counts(signed_in: FlaskClient, make_key: Callable[..., str]) -> None:
    bob = bearer(make_key("bob", Scope.READ))

    assert_problem(signed_in.post(ADDS, json=BODY, headers=bob), 403)
    assert_problem(signed_in.get(f"{API}/jobs", headers=bearer("tg_x")), 401)


def test_a_session_has_the_scopes_of_its_key(client: FlaskClient, make_key: Callable[..., str]) -> None:
    sign_in(client, make_key("ann", Scope.READ))

    assert_problem(client.post(ADDS, json=BODY, headers=PAGE), 403)


def test_the_id_of_a_key_opens_nothing(signed_in: FlaskClient, key: str) -> None:
    """Though it is what a session is remembered by."""
    signed_in.get(f"{API}/jobs", headers=PAGE)

    assert_problem(signed_in.get(f"{API}/jobs", headers=bearer(key.split("_")[1])), 401)


def test_signing_out_ends_the_session_for_whoever_has_the_cookie(client: FlaskClient, key: str) -> None:
    cookie = sign_in(client, key).headers["Set-Cookie"].partition(";")[0]

    out = client.delete(SESSION, headers=PAGE)

    assert out.status_code == 204
    assert "Max-Age=0" in out.headers["Set-Cookie"]
    assert client.get_cookie("taskgate") is None
    thief = client.application.test_client(use_cookies=False)
    assert_problem(thief.get(f"{API}/jobs", headers={**PAGE, "Cookie": cookie}), 401)


def test_signing_in_again_ends_the_session_before(signed_in: FlaskClient, key: str) -> None:
    cookie = signed_in.get_cookie("taskgate")
    assert cookie is not None

    sign_in(signed_in, key)

    other = signed_in.application.test_client(use_cookies=False)
    assert_problem(other.get(f"{API}/jobs", headers={**PAGE, "Cookie": f"taskgate={cookie.value}"}), 401)
    assert signed_in.get(f"{API}/jobs", headers=PAGE).status_code == 200


def test_a_session_ends_with_its_key(
    signed_in: FlaskClient, app: Flask, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.auth.KEY_MEMORY", 0.0)
    assert signed_in.get(f"{API}/jobs", headers=PAGE).status_code == 200
    with app.app_context():
        revoke_key(db.session(), key.split("_")[1])
        db.session.commit()

    assert_problem(signed_in.get(f"{API}/jobs", headers=PAGE), 401)
    assert signed_in.get(SESSION, headers=PAGE).json["principal"] is None


def test_a_session_ends_with_its_time(signed_in: FlaskClient, redis_url: str) -> None:
    with Redis.from_url(f"{redis_url}/1") as redis:
        (name,) = redis.keys("taskgate-session-*")
        assert 43_000 < redis.ttl(name) <= 43_200
        redis.delete(name)

    assert_problem(signed_in.get(f"{API}/jobs", headers=PAGE), 401)


@pytest.mark.parametrize("value", ["", "x", "*", "\x00", "A" * 43, "A" * 3_000])
def test_a_cookie_that_we_did_not_make(value: str, client: FlaskClient) -> None:
    client.set_cookie("taskgate", value)

    assert_problem(client.get(f"{API}/jobs", headers=PAGE), 401)
    assert client.get(SESSION, headers=PAGE).json["principal"] is None


def test_who_guesses_keys_is_turned_away(config: Config) -> None:
    with built_app(replace(config, rate_limit_address="5/minute")) as app:
        client = app.test_client()
        statuses = [sign_in(client, f"tg_{n:012}_{'A' * 43}").status_code for n in range(7)]
        asset = client.get("/console/assets/x/main.js")

    assert (statuses[0], statuses[-1]) == (422, 429)
    assert asset.status_code == 200


def test_without_redis_it_is_a_503_and_no_signing_out(signed_in: FlaskClient, redis_server: RedisServer) -> None:
    redis_server.stop(kill=True)

    assert_problem(signed_in.get(f"{API}/jobs", headers=PAGE), 503)
    assert_problem(signed_in.get(SESSION, headers=PAGE), 503)
    assert signed_in.get_cookie("taskgate") is not None
