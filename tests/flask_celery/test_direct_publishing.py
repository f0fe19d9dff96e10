"""What is published without Celery's way of publishing is the same, and so is what goes wrong with it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import before_task_publish
from flask import g
from redis import Redis

from config import BROKER_DATABASE, RESULT_DATABASE, Config
from libs.flask_celery import (
    BrokerUnavailableError,
    FlaskCelery,
    OwnerLimitError,
    SubmissionTerms,
    SubmittedJob,
    direct_calls,
    direct_publishing,
    submit,
)
from libs.flask_celery.direct_publishing import DirectPublishing
from tests.conftest import RedisServer, built_app, wait_until

ADDS = "maintenance.adds"
PARAMS = {"a": 1, "b": 2}


def frozen_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_795_000_000_123_456_789
    monkeypatch.setattr("libs.flask_celery.facts.time.time_ns", lambda: now)


def stored_about(task_id: str, broker: Redis, results: Redis) -> Mapping[str, Any]:
    """Every byte, but for the job's id and its message's tag."""
    [message] = [text for name in broker.keys("default*") for text in listed(broker, name) if task_id in text]
    kept = {"message": message, **{key: value_of(results, key) for key in results.keys(f"*{task_id}*")}}
    tag = json.loads(message)["properties"]["delivery_tag"]
    return json.loads(json.dumps(kept).replace(task_id, "its id").replace(tag, "its tag"))


def listed(broker: Redis, name: str) -> list[str]:
    return broker.lrange(name, 0, -1) if broker.type(name) == "list" else []


def value_of(results: Redis, key: str) -> Any:
    return results.hgetall(key) if results.type(key) == "hash" else results.get(key)


@pytest.fixture
def broker(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, db=BROKER_DATABASE, decode_responses=True) as client:
        yield client


@pytest.fixture
def results(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, db=RESULT_DATABASE, decode_responses=True) as client:
        yield client


class Ways:
    """Which way submissions go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.usual: list[str] = []
        publish = vars(DirectPublishing)["publish"]

        def noted(direct: DirectPublishing, task: Any, params: Any, task_id: str, *more: Any) -> bool:
            published: bool = publish(direct, task, params, task_id, *more)
            if not published:
                self.usual.append(task_id)
            return published

        monkeypatch.setattr(DirectPublishing, "publish", noted)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


@pytest.mark.parametrize("encoding", ["base64", "utf-8"])
@pytest.mark.parametrize("options", [{}, {"priority": 6}, {"priority": 0, "queue": "default"}], ids=str)
@pytest.mark.parametrize("request_id", ["request-1", None])
@pytest.mark.usefixtures("redis_url")
def test_what_is_stored_is_the_same_to_the_byte(
    config: Config,
    broker: Redis,
    results: Redis,
    options: dict[str, Any],
    request_id: str | None,
    encoding: str,
    monkeypatch: pytest.MonkeyPatch,
    ways: Ways,
) -> None:
    transport = {"CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps({"body_encoding": encoding})}
    frozen_time(monkeypatch)
    with built_app(replace(config, celery=transport)) as app, app.app_context():
        celery_app: FlaskCelery = app.extensions["celery"]

        def submitted() -> SubmittedJob:
            g.principal, g.request_id, g.locale, g.traceparent = 'ann "quoted" \\ é', request_id, "zh", None
            g.webhook = "https://example.com/hook"
            return submit(celery_app, ADDS, PARAMS, idempotency_key=None, cancel_after=60, **options)

        g.principal, g.request_id, g.locale = "bob", "another", "en"
        submit(celery_app, ADDS, {"a": 7, "b": -7}, **options)
        direct = submitted()
        assert not ways.usual
        monkeypatch.setattr(direct_publishing, "is_regular", lambda *_: False)
        celery_app.direct = DirectPublishing(celery_app)
        usual = submitted()
        assert ways.usual == [usual.task_id]
        assert stored_about(direct.task_id, broker, results) == stored_about(usual.task_id, broker, results)
        assert results.zrange("taskgate-deadlines", 0, -1) == sorted(f"end {job.task_id}" for job in (direct, usual))


@pytest.fixture
def celery_app(app: Any) -> Iterator[FlaskCelery]:
    with app.app_context():
        g.principal = "ann"
        yield app.extensions["celery"]


@pytest.mark.usefixtures("redis_url")
def test_what_is_out_of_the_ordinary_goes_the_usual_way(celery_app: FlaskCelery, ways: Ways) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    timed = [submit(celery_app, ADDS, PARAMS, **{option: later}) for option in ("eta", "expires")]
    assert ways.usual == [job.task_id for job in timed]


@pytest.mark.usefixtures("redis_url")
def test_who_listens_to_publishes_is_told_of_each(celery_app: FlaskCelery) -> None:
    told: list[str] = []

    def listen(headers: Mapping[str, Any], **_: Any) -> None:
        told.append(headers["id"])

    submit(celery_app, ADDS, PARAMS)
    before_task_publish.connect(listen)
    try:
        job = submit(celery_app, ADDS, PARAMS)
    finally:
        before_task_publish.disconnect(listen)
    submit(celery_app, ADDS, PARAMS)
    assert told == [job.task_id]


def test_connections_that_the_server_has_closed_and_scripts_that_it_has_forgotten_are_no_failure(
    celery_app: FlaskCelery, redis_url: str, broker: Redis
) -> None:
    submit(celery_app, ADDS, PARAMS)
    with Redis.from_url(redis_url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
        client.script_flush()
    submit(celery_app, ADDS, PARAMS)
    assert broker.llen("default") == 2


@pytest.mark.usefixtures("redis_url")
def test_a_refusal_says_what_it_does_on_the_usual_way(celery_app: FlaskCelery) -> None:
    celery_app.terms = SubmissionTerms(owner_limit=1)
    submit(celery_app, ADDS, PARAMS)
    with pytest.raises(OwnerLimitError):
        submit(celery_app, ADDS, PARAMS)
    celery_app.terms = SubmissionTerms()
    submit(celery_app, ADDS, PARAMS)  # over the same connection


def test_the_answer_to_one_that_was_given_up_is_nobody_elses(
    celery_app: FlaskCelery, redis_server: RedisServer, redis_url: str, broker: Redis
) -> None:
    celery_app.terms = SubmissionTerms(owner_limit=2)
    submit(celery_app, ADDS, PARAMS)
    assert redis_server.process is not None
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(BrokerUnavailableError):
            submit(celery_app, ADDS, PARAMS)
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    wait_until(lambda: broker.llen("default") == 2, what="the job that was accepted all the same")
    with pytest.raises(OwnerLimitError):
        submit(celery_app, ADDS, PARAMS)


@pytest.mark.usefixtures("redis_url")
def test_a_process_that_has_forked_has_connections_of_its_own(
    celery_app: FlaskCelery, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(celery_app, ADDS, PARAMS)
    calls = celery_app.direct._calls
    assert calls is not None
    [before] = calls._idle
    monkeypatch.setattr(os, "getpid", lambda: -1)
    submit(celery_app, ADDS, PARAMS)
    [after] = calls._idle
    assert after is not before
    assert before._sock is not None  # the other process's: nothing was said over it


@pytest.mark.parametrize("what", [b"", b"+something", None], ids=["hung up", "spoke", "neither"])
def test_gevents_sockets_are_looked_into_without_waiting(what: bytes | None) -> None:
    """As gevent has them: the operating system's socket, which does not wait, within one that does."""
    ours, servers = socket.socketpair()
    with ours, servers:
        ours.setblocking(False)
        if what:
            servers.send(what)
        elif what is not None:
            servers.close()
        connection = SimpleNamespace(_sock=SimpleNamespace(_sock=ours))
        assert direct_calls._was_closed(connection) is (what is not None)
