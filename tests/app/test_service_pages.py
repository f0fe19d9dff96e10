"""``/docs``, ``/healthz``, ``/readyz`` and the document."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from app.extensions import db
from tests.conftest import RedisServer
from tests.installation import API


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/index.html"])
def test_the_docs_are_served_from_here_with_all_they_load(path: str, client: FlaskClient) -> None:
    page = client.get(path, follow_redirects=True)

    assert (page.status_code, page.mimetype) == (200, "text/html")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 4
    for address in loaded:
        assert address.startswith("/docs/"), address
        with client.get(address) as asset:
            assert asset.status_code == 200, address
    with client.get("/docs/start.js") as script:
        assert script.mimetype == "text/javascript"
        assert f'"{API}/openapi.json"' in script.text


def test_a_page_that_the_docs_do_not_have(client: FlaskClient) -> None:
    for path in ("/docs/nothing.js", "/docs/../config.py", "/docs/%2e%2e/%2e%2e/config.py"):
        assert client.get(path).status_code == 404


def test_health_and_readiness(client: FlaskClient) -> None:
    alive, ready = client.get("/healthz"), client.get("/readyz")

    assert (alive.status_code, alive.json) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json) == (200, {"status": "ok", "checks": {"redis": True, "database": True}})


def test_without_redis_the_service_is_alive_and_not_ready(redis_server: RedisServer, client: FlaskClient) -> None:
    redis_server.stop(kill=True)

    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["checks"]) == (503, {"redis": False, "database": True})


@pytest.mark.parametrize("missing", ["DROP TABLE api_keys", "ALTER TABLE api_keys DROP COLUMN last_used_at"])
def test_without_its_tables_the_service_is_not_ready(missing: str, app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        db.session.execute(text(missing))
        db.session.commit()

    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["checks"]) == (503, {"redis": True, "database": False})


def test_the_document_needs_no_key_and_stays_the_same(client: FlaskClient) -> None:
    first, second = client.get(f"{API}/openapi.json"), client.get(f"{API}/openapi.json")

    assert (first.status_code, first.mimetype) == (200, "application/json")
    assert first.json["openapi"] == "3.1.0"
    assert first.data == second.data
