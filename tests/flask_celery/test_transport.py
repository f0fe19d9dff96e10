"""Which transport kombu uses, and for which URLs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import g
from kombu import Connection
from redis.sentinel import Sentinel

from config import Config
from libs.flask_celery import FlaskCelery, JobState, submit
from libs.flask_celery import transport as our_transport
from libs.local_stack import find_redis_server
from libs.redis_address import with_database
from tests.conftest import RedisServer, built_app, wait_until


@pytest.mark.parametrize(
    ("url", "transport"),
    [
        ("redis://host", our_transport.Transport),
        ("rediss://host", our_transport.Transport),
        ("redis+socket:///run/redis.sock", our_transport.Transport),
        ("sentinel://host", our_transport.SentinelTransport),
    ],
)
def test_each_redis_url_means_our_transport_even_after_kombu_has_used_its_own(
    url: str, transport: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kombu.transport

    alias = url.partition(":")[0].partition("+")[0]
    stock = {"redis": "kombu.transport.redis:Transport", "sentinel": "kombu.transport.redis:SentinelTransport"}
    monkeypatch.setitem(kombu.transport.TRANSPORT_ALIASES, alias, stock.get(alias, stock["redis"]))
    kombu.transport._transport_cache.pop(alias, None)
    assert Connection(url).get_transport_cls().__module__ == "kombu.transport.redis"

    our_transport.install()

    assert Connection(url).get_transport_cls() is transport


@pytest.fixture
def socket_url(tmp_path: Path) -> Iterator[str]:
    """A Redis on a unix socket only, as the embedded one is."""
    path = tmp_path / "r.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([str(find_redis_server()), *options], stdout=subprocess.DEVNULL)
    wait_until(path.exists, what="the socket")
    yield f"redis+socket://{path}"
    process.terminate()
    process.wait(10)


def test_a_job_on_a_unix_socket(config: Config, socket_url: str) -> None:
    urls = {"broker_url": with_database(socket_url, 2), "result_url": with_database(socket_url, 1)}
    with built_app(replace(config, **urls)) as app:  # type: ignore[arg-type]
        celery_app: FlaskCelery = app.extensions["celery"]
        with app.app_context():
            g.principal = "ann"
            task_id = submit(celery_app, "maintenance.adds", {"a": 1, "b": 2}).task_id

        assert celery_app.backend.records.get(task_id).owner == "ann"
        assert celery_app.backend.client.connection_pool.connection_kwargs["db"] == 1
        with celery_app.connection_for_read() as connection:
            assert connection.default_channel.client.llen("default") == 1
            assert connection.default_channel.client.connection_pool.connection_kwargs["db"] == 2


@pytest.fixture
def sentinel_urls(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Redis of its own and a Sentinel that watches it under the name ``jobs``."""
    server = RedisServer()
    server.start()
    watcher = RedisServer()  # for its free port
    settings = tmp_path / "sentinel.conf"
    settings.write_text(f"port {watcher.port}\ndir {tmp_path}\nsentinel monitor jobs 127.0.0.1 {server.port} 1\n")
    command = [str(find_redis_server()), str(settings), "--sentinel"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(watcher.answers, what="the Sentinel")
    sentinel = Sentinel([("127.0.0.1", watcher.port)])
    wait_until(lambda: sentinel.discover_master("jobs")[1] == server.port, what="the Sentinel's answer")
    for client in sentinel.sentinels:
        client.close()
    url = f"sentinel://127.0.0.1:{watcher.port}"
    yield {"broker_url": with_database(url, 2), "result_url": with_database(url, 1)}
    process.terminate()
    process.wait(10)
    server.stop(kill=True)
    shutil.rmtree(watcher.folder)
    shutil.rmtree(server.folder)


def test_a_job_on_a_redis_that_sentinel_watches(config: Config, sentinel_urls: dict[str, str]) -> None:
    master = '{"master_name": "jobs"}'
    overrides = {
        "CELERY_BROKER_TRANSPORT_OPTIONS": master,
        "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": master,
    }
    with built_app(replace(config, celery=overrides, **sentinel_urls)) as app:  # type: ignore[arg-type]
        celery_app: FlaskCelery = app.extensions["celery"]
        with app.app_context():
            g.principal = "ann"
            task_id = submit(celery_app, "maintenance.adds", {"a": 1, "b": 2}).task_id

        assert celery_app.backend.records.get(task_id).owner == "ann"
        assert celery_app.backend.records.cancel(task_id) is JobState.REVOKED
        with celery_app.connection_for_read() as connection:
            assert connection.default_channel.client.llen("default") == 1
