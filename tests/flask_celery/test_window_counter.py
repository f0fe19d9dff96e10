"""Counters in the result database, by every form of its address."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import SSLConnection
from redis.sentinel import SentinelConnectionPool

from config import Config
from libs.flask_celery import WindowCounter
from libs.flask_celery.window_counter import TIMEOUT
from libs.local_stack import find_redis_server
from tests.conftest import built_app, wait_until


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A Redis that listens on a socket alone, as the embedded one does."""
    with TemporaryDirectory(prefix="taskgate-socket-") as folder:
        path = Path(folder) / "redis.sock"
        command = [str(find_redis_server()), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            wait_until(path.exists, what="the socket")
            yield path
            server.kill()


def counter(config: Config, result_url: str) -> Iterator[WindowCounter]:
    with (
        built_app(replace(config, result_url=result_url)) as app,
        closing(WindowCounter(app.extensions["celery"].backend)) as made,
    ):
        yield made


@pytest.mark.parametrize("form", ["address", "socket"])
def test_it_counts_in_its_window(form: str, config: Config, redis_url: str, socket_path: Path) -> None:
    url = f"{redis_url}/1" if form == "address" else f"redis+socket://{socket_path}?virtual_host=1"
    for made in counter(config, url):
        counts = [made.add("x", amount, 60) for amount in (1, 2, 4)]

        assert [used for used, _ in counts] == [1, 3, 7]
        assert all(59 < left <= 60 for _, left in counts)


def test_a_counter_over_tls_gives_up_soon_too(config: Config) -> None:
    for made in counter(config, "rediss://127.0.0.1:1/1?ssl_cert_reqs=CERT_NONE"):
        pool = made._client.connection_pool

        assert issubclass(pool.connection_class, SSLConnection)
        assert pool.connection_kwargs["socket_timeout"] == TIMEOUT
        assert pool.connection_kwargs["socket_connect_timeout"] == TIMEOUT


def test_so_does_one_that_sentinels_know(config: Config) -> None:
    for made in counter(config, "sentinel://127.0.0.1:1/1;sentinel://127.0.0.1:2/1"):
        pool = made._client.connection_pool

        assert isinstance(pool, SentinelConnectionPool)
        assert pool.connection_kwargs["socket_timeout"] == TIMEOUT
        assert pool.connection_kwargs["db"] == 1
        with pytest.raises(Exception, match="No master found"):
            made.add("x", 1, 60)
