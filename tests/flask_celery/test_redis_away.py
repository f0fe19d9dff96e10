"""Redis stopped, and Redis frozen, as the API's side of the library sees it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask

from config import Config
from libs.flask_celery import UNAVAILABLE, BrokerUnavailableError, FlaskCelery, JobState, submit
from tests.conftest import RedisServer, built_app, wait_until

#: Seconds. The longest step takes 0.4 s; the rest is for a busy machine.
LIMIT = 1.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One of its own, since it is taken away."""
    server = RedisServer()
    server.start()
    yield server
    server.stop(kill=True)


@pytest.fixture
def away_app(config: Config, server: RedisServer) -> Iterator[FlaskCelery]:
    urls = {"broker_url": f"{server.url}/2", "result_url": f"{server.url}/1"}
    with built_app(replace(config, **urls)) as app:  # type: ignore[arg-type]
        yield app.extensions["celery"]


def freeze(server: RedisServer) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)


def thaw(server: RedisServer) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGCONT)


def adds(celery_app: FlaskCelery) -> str:
    return submit(celery_app, "maintenance.adds", {"a": 1, "b": 2}).task_id


@pytest.mark.parametrize(("take_away", "bring_back"), [(RedisServer.stop, RedisServer.start), (freeze, thaw)])
@pytest.mark.parametrize("connected", [True, False])
def test_calls_fail_in_time_and_work_again(
    away_app: FlaskCelery,
    server: RedisServer,
    take_away: Callable[[RedisServer], None],
    bring_back: Callable[[RedisServer], None],
    connected: bool,
) -> None:
    task_id = adds(away_app) if connected else "unknown"
    records = away_app.backend.records
    calls: dict[str, Callable[[], object]] = {
        "submit": lambda: adds(away_app),
        "get": lambda: records.get(task_id),
        "cancel": lambda: records.cancel(task_id),
        "newest": lambda: list(records.newest("ann")),
    }

    take_away(server)
    try:
        for name, call in calls.items():
            for _ in range(5):
                started = time.monotonic()
                with pytest.raises(BrokerUnavailableError if name == "submit" else UNAVAILABLE):
                    call()
                assert time.monotonic() - started < LIMIT, name
    finally:
        bring_back(server)
    wait_until(server.answers, what="Redis")

    again = adds(away_app)
    assert records.get(again).state is JobState.PENDING
    if connected:
        assert records.get(task_id).state is JobState.PENDING
        assert records.cancel(task_id) is JobState.REVOKED


def test_building_the_application_needs_no_redis(config: Config, server: RedisServer) -> None:
    server.stop()
    urls = {"broker_url": f"{server.url}/2", "result_url": f"{server.url}/1"}

    with built_app(replace(config, **urls)) as app:  # type: ignore[arg-type]
        assert isinstance(app, Flask)
        assert app.extensions["celery"].backend.records is not None
