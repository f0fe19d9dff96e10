"""Beat's Redis is that of the results, whatever its address is like, and its keys are the deployment's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from redis.connection import SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelConnectionPool

from libs.flask_celery import CelerySettings, FlaskCelery, Role, make_celery
from tests.conftest import ROOT, RedisServer, wait_until


def celery_of(result_url: str, **settings: Any) -> FlaskCelery:
    app = Flask("places")
    return make_celery(app, CelerySettings("redis://localhost/2", result_url, role=Role.WORKER, **settings))


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        ("redis://:secret@host:7000/1", None, {"host": "host", "port": 7000, "db": 1, "password": "secret"}),
        ("rediss://host:7000/1?ssl_cert_reqs=required", SSLConnection, {"host": "host", "db": 1}),
        ("redis+socket:///run/redis.sock?virtual_host=1", UnixDomainSocketConnection, {"path": "/run/redis.sock"}),
    ],
)
def test_every_form_of_address(url: str, kind: type | None, expected: dict[str, Any]) -> None:
    pool = celery_of(url).redbeat_redis.connection_pool

    assert kind is None or pool.connection_class is kind
    assert expected.items() <= pool.connection_kwargs.items()
    assert pool.connection_kwargs["decode_responses"] is True


def test_sentinels() -> None:
    options = {"CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": '{"master_name": "main"}'}

    pool = celery_of("sentinel://a:26379/1;sentinel://b:26379/1", overrides=options).redbeat_redis.connection_pool

    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "main"


def test_the_keys_are_the_deployments() -> None:
    conf = celery_of("redis://host/1", deployment="acme").redbeat_conf

    assert (conf.key_prefix, conf.schedule_key) == ("acme:redbeat:", "acme:redbeat::schedule")


def test_beat_leads_in_its_deployment_alone(
    environment: dict[str, str], redis_server: RedisServer, tmp_path: Path
) -> None:
    """Two beats of two deployments on one Redis, and what they say is no warning."""
    logs = [tmp_path / f"{name}.log" for name in ("acme", "umbrella")]
    command = [sys.executable, "-m", "celery", "-A", "libs.flask_celery:celery_app", "beat", "--pidfile", ""]
    beats = []
    for path in logs:
        with path.open("wb") as log:
            settings = {**environment, "DEPLOYMENT": path.stem, "DATA_DIR": str(tmp_path / path.stem)}
            beats.append(subprocess.Popen([*command, "-l", "INFO"], env=settings, cwd=ROOT, stdout=log, stderr=log))
    try:
        for path in logs:
            wait_until(lambda path=path: "This beat leads" in path.read_text(), timeout=60, what=path.stem)
        with Redis.from_url(redis_server.url, db=1, decode_responses=True) as client:
            assert sorted(client.keys("*lock")) == ["acme:redbeat::lock", "umbrella:redbeat::lock"]
    finally:
        for beat in beats:
            beat.terminate()
            beat.wait(30)
    for path, beat in zip(logs, beats, strict=True):
        assert beat.returncode == 0
        assert "WARNING" not in path.read_text()
    with Redis.from_url(redis_server.url, db=1) as client:
        assert client.keys("*lock") == []  # what was held was given up
