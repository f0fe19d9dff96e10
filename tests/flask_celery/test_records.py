"""Publishing and its record: one step, whatever publishes."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import chain, chord, group
from celery.app.task import Context
from celery.signals import before_task_publish
from flask import Flask, g
from kombu.exceptions import OperationalError
from redis import Redis

from config import Config
from libs.flask_celery import (
    BrokerUnavailableError,
    ExpiredJobError,
    FinalJobError,
    FlaskCelery,
    JobState,
    UnknownJobError,
    submit,
)
from libs.flask_celery.lean_reads import LeanReads
from tests.conftest import RedisServer, built_app, wait_until

ADDS = "maintenance.adds"


def published_ids(celery_app: FlaskCelery) -> dict[str, Callable[[], list[str]]]:
    adds = celery_app.tasks[ADDS]
    return {
        "submit": lambda: [submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id],
        "delay": lambda: [adds.delay(1, 2).id],
        "countdown": lambda: [adds.apply_async((1, 2), countdown=60).id],
        "eta": lambda: [adds.apply_async((1, 2), eta=datetime.now(UTC) + timedelta(minutes=1)).id],
        "send_task": lambda: [celery_app.send_task(ADDS, args=[1, 2]).id],
        "send_task of a task unknown here": lambda: [celery_app.send_task("elsewhere.task").id],
        "priority and queue": lambda: [adds.apply_async((1, 2), priority=9, queue="other").id],
        "ignore_result": lambda: [adds.apply_async((1, 2), ignore_result=True).id],
        "group": lambda: [part.id for part in group(adds.s(1, 2), adds.s(3, 4)).apply_async()],
        "chain": lambda: [chain(adds.si(1, 2), adds.si(3, 4)).apply_async().parent.id],
        "chord": lambda: [part.id for part in chord([adds.s(1, 2), adds.s(3, 4)])(adds.si(1, 2)).parent],
    }


WAYS = [
    *("submit", "delay", "countdown", "eta", "send_task", "send_task of a task unknown here", "priority and queue"),
    *("ignore_result", "group", "chain", "chord"),
]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_publish_writes_record_ledger_and_owner_index(
    app: Flask, celery_app: FlaskCelery, redis_url: str, way: str
) -> None:
    with app.app_context():
        g.principal, g.request_id = "ann", "request-1"
        task_ids = published_ids(celery_app)[way]()

    with Redis.from_url(redis_url, db=1, decode_responses=True) as results:
        for task_id in task_ids:
            record = celery_app.backend.records.get(task_id)
            assert (record.state, record.owner, record.retries) == (JobState.PENDING, "ann", 0)
            assert record.task in (ADDS, "elsewhere.task")
            assert record.queue == ("other" if way == "priority and queue" else "default")
            assert record.submitted_at is not None
            assert abs(datetime.now(UTC) - record.submitted_at) < timedelta(seconds=10)
            ledger = results.hgetall(f"taskgate-job-{task_id}")
            assert (ledger["state"], ledger["owner"], ledger["task"]) == ("PENDING", "ann", record.task)
            assert results.ttl(f"celery-task-meta-{task_id}") == -1
            assert results.ttl(f"taskgate-job-{task_id}") == -1
            meta = json.loads(results.get(f"celery-task-meta-{task_id}") or "")
            assert meta.keys() >= {"status", "result", "traceback", "children", "date_done", "task_id"}
            assert meta["request_id"] == "request-1"
        assert set(results.zrange("taskgate-owner-ann", 0, -1)) == set(task_ids)


def test_an_id_that_nobody_published_is_unknown(celery_app: FlaskCelery) -> None:
    with pytest.raises(UnknownJobError):
        celery_app.backend.records.get("nobody")
    with pytest.raises(UnknownJobError):
        celery_app.backend.records.cancel("nobody")


def test_a_task_id_names_one_job_however_often_it_is_published(
    app: Flask, celery_app: FlaskCelery, redis_url: str
) -> None:
    with app.app_context():
        g.principal = "ann"
        first = celery_app.tasks[ADDS].delay(1, 2)
        before = celery_app.backend.records.get(first.id)
        g.principal = "bob"
        celery_app.tasks[ADDS].apply_async((3, 4), task_id=first.id)

    assert celery_app.backend.records.get(first.id) == before
    with Redis.from_url(redis_url, db=2) as broker:
        assert broker.llen("default") == 1


def test_a_finished_job_expires_and_an_unfinished_one_does_not(config: Config) -> None:
    with built_app(replace(config, result_expires=1)) as app:
        celery_app: FlaskCelery = app.extensions["celery"]
        backend = celery_app.backend
        with app.app_context():
            g.principal = "ann"
            finished, failed, started = (celery_app.tasks[ADDS].delay(1, 2).id for _ in range(3))
        backend.store_result(started, None, "STARTED")
        backend.store_result(finished, 3, "SUCCESS")
        backend.mark_as_failure(failed, ValueError("no"))
        record = backend.records.get(finished)
        assert record.expires_at is not None
        assert timedelta(0) < record.expires_at - datetime.now(UTC) <= timedelta(seconds=1)

        for task_id in (finished, failed):
            wait_until(lambda: backend.client.exists(f"celery-task-meta-{task_id}") == 0, what="expiry")  # noqa: B023
            with pytest.raises(ExpiredJobError) as caught:
                backend.records.get(task_id)
            assert (caught.value.task_id, caught.value.owner) == (task_id, "ann")
        with pytest.raises(FinalJobError):
            backend.records.cancel(finished)

        assert backend.records.get(started).state is JobState.STARTED
        assert backend.client.ttl(f"celery-task-meta-{started}") == -1
        assert [record.task_id for _, record in backend.records.newest("ann")] == [started]


@pytest.mark.parametrize("reader", ["get", "get_many"])
def test_a_job_accepted_while_it_is_asked_for_is_not_taken_for_an_expired_one(
    celery_app: FlaskCelery, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is published between the question for its record and the one for its ledger."""
    backend = celery_app.backend
    ask = LeanReads.get

    def asked_too_early(reads: LeanReads, keys: Any) -> Any:
        answer = ask(reads, keys)
        monkeypatch.undo()
        celery_app.tasks[ADDS].apply_async((1, 2), task_id="just-now")
        return answer

    monkeypatch.setattr(LeanReads, "get", asked_too_early)

    found = backend.records.get("just-now") if reader == "get" else backend.records.get_many(["just-now"])[0]

    assert (found.task_id, found.state) == ("just-now", JobState.PENDING)


FINAL = {"SUCCESS": 3, "FAILURE": ValueError("first"), "REVOKED": ValueError("first")}


@pytest.mark.parametrize(("final", "late"), [*itertools.product(FINAL, ["STARTED", "RETRY", "PROGRESS", *FINAL])])
def test_a_final_state_is_never_overwritten(celery_app: FlaskCelery, final: str, late: str) -> None:
    task_id = celery_app.tasks[ADDS].delay(1, 2).id
    backend = celery_app.backend
    backend.store_result(task_id, FINAL[final], final)
    before = backend.records.get(task_id)
    time_to_live = backend.client.pttl(f"celery-task-meta-{task_id}")

    backend.store_result(task_id, ValueError("late") if late in ("RETRY", "FAILURE", "REVOKED") else "late", late)

    assert backend.records.get(task_id) == before
    assert 0 < backend.client.pttl(f"celery-task-meta-{task_id}") <= time_to_live


def test_a_stock_workers_record_keeps_its_owner_and_stays_final(app: Flask, celery_app: FlaskCelery) -> None:
    """A stock worker writes Celery's fields alone, and to the record alone."""
    backend = celery_app.backend
    with app.app_context():
        g.principal = "ann"
        task_id = celery_app.tasks[ADDS].delay(1, 2).id
    stock = {"status": "SUCCESS", "result": 3, "traceback": None, "children": [], "date_done": None}
    backend.client.set(f"celery-task-meta-{task_id}", json.dumps({**stock, "task_id": task_id}), ex=60)

    record = backend.records.get(task_id)
    assert (record.state, record.result, record.owner, record.task) == (JobState.SUCCESS, 3, "ann", ADDS)
    assert [listed for _, listed in backend.records.newest("ann")] == [record]
    with pytest.raises(FinalJobError) as caught:
        backend.records.cancel(task_id)
    assert caught.value.state is JobState.SUCCESS
    assert not backend.store_state(task_id, None, "STARTED")
    assert backend.records.get(task_id) == record


def test_a_state_of_ones_own_word_is_progress(celery_app: FlaskCelery) -> None:
    task_id = celery_app.tasks[ADDS].delay(1, 2).id

    celery_app.backend.store_result(task_id, {"rows": 5}, "COUNTING")

    assert celery_app.backend.records.get(task_id).state is JobState.PROGRESS
    assert celery_app.AsyncResult(task_id).state == "COUNTING"


def test_newest_first_in_pages_without_repeating_what_comes_in_meanwhile(app: Flask, celery_app: FlaskCelery) -> None:
    adds, records = celery_app.tasks[ADDS], celery_app.backend.records
    with app.app_context():
        g.principal = "ann"
        first = [adds.delay(1, 2).id for _ in range(120)]
        pages = records.newest("ann")
        listed = [next(pages)[1].task_id for _ in range(100)]
        for _ in range(15):
            adds.delay(1, 2)

    listed += [record.task_id for _, record in pages]

    assert len(listed) == 120
    assert set(listed) == set(first)


def test_the_next_page_starts_after_the_cursor(app: Flask, celery_app: FlaskCelery) -> None:
    records = celery_app.backend.records
    with app.app_context():
        g.principal = "ann"
        for _ in range(10):
            celery_app.tasks[ADDS].delay(1, 2)
    everything = [(submitted, record.task_id) for submitted, record in records.newest("ann")]

    rest = [(submitted, record.task_id) for submitted, record in records.newest("ann", before=everything[3])]

    assert rest == everything[4:]


def test_message_and_record_appear_together_or_not_at_all(
    app: Flask, celery_app: FlaskCelery, redis_url: str
) -> None:
    """The queue's list is of another type, so that the push fails in the middle of the script."""
    with Redis.from_url(redis_url, db=2) as broker:
        broker.set("default", "not a list")
        with app.app_context():
            g.principal = "ann"
            with pytest.raises(OperationalError, match="WRONGTYPE"):
                celery_app.tasks[ADDS].apply_async((1, 2), task_id="half")
        with pytest.raises(UnknownJobError):
            celery_app.backend.records.get("half")
        assert list(celery_app.backend.records.newest("ann")) == []

        broker.delete("default")
        celery_app.tasks[ADDS].apply_async((1, 2), task_id="half")
        assert celery_app.backend.records.get("half").state is JobState.PENDING
        assert broker.llen("default") == 1


def test_nothing_is_written_between_message_and_record(celery_app: FlaskCelery, redis_url: str) -> None:
    celery_app.tasks[ADDS].delay(1, 2)  # connects, declares, loads the script
    with Redis.from_url(redis_url) as watching, watching.monitor() as monitor:
        task_id = celery_app.tasks[ADDS].delay(1, 2).id
        watching_ends = f"end of {task_id}"
        with Redis.from_url(redis_url) as other:
            other.echo(watching_ends)
        seen = list(itertools.takewhile(lambda entry: watching_ends not in entry["command"], monitor.listen()))

    from_clients = [entry["command"] for entry in seen if entry["client_type"] != "lua"]
    from_script = [entry["command"].split()[0] for entry in seen if entry["client_type"] == "lua"]
    publishing = [command for command in from_clients if task_id in command]
    assert [command.split()[0] for command in publishing] == ["EVALSHA"]
    assert {"HSETNX", "LPUSH", "SET", "ZADD"} <= set(from_script)
    assert "SUBSCRIBE" not in {command.split()[0] for command in from_clients}


def test_flushed_scripts_are_loaded_again(celery_app: FlaskCelery, redis_url: str) -> None:
    celery_app.tasks[ADDS].delay(1, 2)
    with Redis.from_url(redis_url) as client:
        client.script_flush()

    task_id = celery_app.tasks[ADDS].delay(1, 2).id

    assert celery_app.backend.records.get(task_id).state is JobState.PENDING


@pytest.fixture
def other_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop(kill=True)


@pytest.fixture(params=["another Redis", "memory"])
def split_app(request: pytest.FixtureRequest, config: Config, other_server: RedisServer) -> Iterator[Flask]:
    """An application whose broker is not the Redis of the results."""
    broker_url = f"{other_server.url}/2" if request.param == "another Redis" else "memory://"
    with built_app(replace(config, broker_url=broker_url)) as app:
        yield app


def test_with_another_broker_the_record_is_there_before_the_message(split_app: Flask) -> None:
    celery_app: FlaskCelery = split_app.extensions["celery"]
    seen: list[JobState] = []

    def look(headers: dict[str, Any], **_: Any) -> None:
        seen.append(celery_app.backend.records.get(headers["id"]).state)

    before_task_publish.connect(look)
    try:
        with split_app.app_context():
            g.principal = "ann"
            submitted = submit(celery_app, ADDS, {"a": 1, "b": 2})
    finally:
        before_task_publish.disconnect(look)

    record = celery_app.backend.records.get(submitted.task_id)
    assert seen == [JobState.PENDING]
    assert (record.owner, record.task, record.queue, record.submitted_at) == (
        ("ann", ADDS, "default", submitted.submitted_at)
    )


def test_with_another_broker_a_failed_publish_takes_the_record_back(
    config: Config, other_server: RedisServer
) -> None:
    with built_app(replace(config, broker_url=f"{other_server.url}/2")) as app:
        celery_app: FlaskCelery = app.extensions["celery"]
        with app.app_context():
            g.principal = "ann"
            known = submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id
            other_server.stop()

            started = time.monotonic()
            with pytest.raises(BrokerUnavailableError):
                submit(celery_app, ADDS, {"a": 1, "b": 2})
            with pytest.raises(OperationalError):
                celery_app.tasks[ADDS].apply_async((1, 2), task_id=known, retries=1)  # a known job keeps its record
            assert time.monotonic() - started < 2

        listed = [record.task_id for _, record in celery_app.backend.records.newest("ann")]
        assert listed == [known]
        client = celery_app.backend.client
        assert client.keys("celery-task-meta-*") == [f"celery-task-meta-{known}".encode()]
        # Its message may have arrived, so the workers are told for a while that it must not run.
        (withdrawn,) = set(client.keys("taskgate-job-*")) - {f"taskgate-job-{known}".encode()}
        assert client.hgetall(withdrawn) == {b"state": b"REVOKED", b"withdrawn": b"1"}
        assert 0 < client.ttl(withdrawn) <= celery_app.backend.retention
        with pytest.raises(UnknownJobError):
            celery_app.backend.records.get(withdrawn.decode().removeprefix("taskgate-job-"))


def test_with_another_broker_results_that_are_away_refuse_the_job_in_time(
    config: Config, redis_url: str, other_server: RedisServer
) -> None:
    with built_app(replace(config, broker_url=f"{redis_url}/2", result_url=f"{other_server.url}/1")) as app:
        celery_app: FlaskCelery = app.extensions["celery"]
        other_server.stop()
        for _ in range(5):
            started = time.monotonic()
            with pytest.raises(BrokerUnavailableError):
                submit(celery_app, ADDS, {"a": 1, "b": 2})
            assert time.monotonic() - started < 1
        with Redis.from_url(redis_url, db=2) as broker:
            assert broker.llen("default") == 0


def test_a_prefix_of_the_results_is_the_records_too(
    config: Config, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes = {
        "CELERY_BROKER_TRANSPORT_OPTIONS": '{"global_keyprefix": "broker."}',
        "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS": '{"global_keyprefix": "results"}',
    }
    with built_app(replace(config, celery=prefixes)) as app:
        celery_app: FlaskCelery = app.extensions["celery"]
        with app.app_context():
            g.principal = "ann"
            task_id = submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id

        assert celery_app.backend.records.get(task_id).owner == "ann"
        celery_app.backend.store_result(task_id, 3, "SUCCESS")
        assert celery_app.AsyncResult(task_id).get(timeout=5) == 3
        with Redis.from_url(redis_url, db=1, decode_responses=True) as results:
            assert {key.partition("_")[0] for key in results.keys()} == {"results"}  # noqa: SIM118
        with Redis.from_url(redis_url, db=2, decode_responses=True) as broker:
            assert broker.llen("broker.default") == 1


def test_a_state_stored_for_another_job_says_nothing_about_the_one_that_stores_it(
    app: Flask, celery_app: FlaskCelery
) -> None:
    with app.app_context():
        g.principal = "ann"
        own, other = (celery_app.tasks[ADDS].delay(1, 2).id for _ in range(2))
    celery_app.backend.store_result(other, None, "STARTED")
    celery_app.backend.records.cancel(other)
    request = Context({"id": own, "task": "another.task", "cancel_requested": False})

    celery_app.backend.store_result(other, {"rows": 1}, "COUNTING", request=request)

    assert request.cancel_requested is False
    assert celery_app.backend.records.get(other).task == ADDS
