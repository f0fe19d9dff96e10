"""Deployments that share a Redis: neither sees anything of the other."""

from __future__ import annotations

import json
import signal
import time

import pytest
from celery import chord
from celery.events import EventReceiver
from redis import Redis

from libs.flask_celery import JobState, UnknownJobError
from tests.conftest import RedisServer, wait_until
from tests.deployment.conftest import VISIBILITY_TIMEOUT, Deployment, starts
from tests.installation import API, assert_problem

Pair = tuple[Deployment, Deployment]


def test_each_ones_jobs_run_on_its_own_worker_only(working_pair: Pair) -> None:
    jobs = [
        (one, label, one.celery.send_task("test.work", (label,)))
        for one in working_pair
        for label in (f"{one.name}{number}" for number in range(30))
    ]

    assert [job.get(timeout=60) for _, _, job in jobs] == [label for _, label, _ in jobs]

    assert [(one.ran(label), len(starts(one.redis, label))) for one, label, _ in jobs] == [(1, 1)] * 60


def test_the_others_results_cannot_be_read(working_pair: Pair) -> None:
    acme, globex = working_pair
    client, headers = acme.app.test_client(), acme.headers()
    submitted = client.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=headers)
    address = submitted.headers["Location"]
    wait_until(lambda: client.get(address, headers=headers).json["ready"])
    assert client.get(address, headers=headers).json["result"] == 3

    assert_problem(globex.app.test_client().get(address, headers=globex.headers()), 404)
    with pytest.raises(UnknownJobError):
        globex.celery.backend.records.get(submitted.json["task_id"])
    assert globex.celery.AsyncResult(submitted.json["task_id"]).state == "PENDING"
    assert globex.app.test_client().get(f"{API}/jobs", headers=globex.headers()).json["jobs"] == []


def test_inspect_and_control_reach_only_its_own_workers(working_pair: Pair) -> None:
    for one in working_pair:
        answers = one.celery.control.inspect(timeout=2).ping()

        assert answers == {worker.name: {"ok": "pong"} for worker in one.workers}


def test_events_come_from_its_own_workers_only(working_pair: Pair) -> None:
    acme, _ = working_pair
    senders: list[str] = []

    def note(event: dict[str, str]) -> None:
        senders.append(event["hostname"])
        receiver.should_stop = len(senders) == 4  # each worker's heart beats every two seconds

    with acme.celery.connection_for_read() as connection:
        receiver = EventReceiver(connection, {"worker-heartbeat": note}, app=acme.celery)
        receiver.capture(limit=None, timeout=30, wakeup=False)

    assert set(senders) == {worker.name for worker in acme.workers}


def test_delayed_jobs_are_queued_by_their_own_workers(working_pair: Pair) -> None:
    for one in working_pair:
        label = f"delayed-{one.name}"
        assert one.celery.send_task("test.work", (label,), countdown=1.5).get(timeout=30) == label
        assert (one.ran(label), len(starts(one.redis, label))) == (1, 1)


def test_a_retry_stays_with_its_deployment(working_pair: Pair) -> None:
    for one in working_pair:
        label = f"retry-{one.name}"
        assert one.celery.send_task("test.retry_once", (label,), queue="compute").get(timeout=30) == label
        assert (one.ran(label), len(starts(one.redis, label))) == (2, 2)


def test_a_chord_joins_within_its_deployment(working_pair: Pair) -> None:
    for one in working_pair:
        parts = [one.celery.signature("test.work", (f"{part}-{one.name}",)) for part in "ab"]

        joined = chord(parts, app=one.celery)(one.celery.signature("test.join"))

        label = f"a-{one.name}-b-{one.name}"
        assert joined.get(timeout=30) == label
        assert one.ran(label) == 1
        assert one.celery.backend.records.get(joined.id).queue == "joining"


def test_what_cannot_be_run_is_parked_with_its_deployment(working_pair: Pair) -> None:
    acme, _ = working_pair
    with Redis.from_url(acme.redis.url, db=2) as broker:
        acme.celery.send_task("test.nobody_knows")
        broker.lpush("acme:acme.default", "not json")

        wait_until(lambda: broker.llen("acme:taskgate-quarantine-acme.default:test.nobody_knows") == 1)
        wait_until(lambda: broker.llen("acme:taskgate-dead-letters") == 1)
        assert list(broker.scan_iter("globex:taskgate-quarantine-*")) == []
        assert not broker.exists("globex:taskgate-dead-letters")


@pytest.mark.parametrize("name", ["compute", "{}.compute"])
def test_a_queue_is_meant_by_either_name(name: str, working_pair: Pair) -> None:
    for one in working_pair:
        job = one.celery.send_task("test.work", ("named",), queue=name.format(one.name))

        assert job.get(timeout=30) == "named"
        assert one.celery.backend.records.get(job.id).queue == "compute"


@pytest.mark.long
def test_a_worker_is_told_of_queues_by_their_logical_names(working_pair: Pair) -> None:
    acme, _ = working_pair
    (worker,) = acme.workers

    def consumed() -> set[str]:
        return {queue["name"] for queue in acme.celery.control.inspect(timeout=5).active_queues()[worker.name]}

    acme.celery.control.add_consumer("extra", reply=True, timeout=5)
    assert "acme.extra" in consumed()
    assert acme.celery.send_task("test.work", ("extra",), queue="extra").get(timeout=30) == "extra"

    acme.celery.control.cancel_consumer("extra", reply=True, timeout=5)
    assert consumed() == {"acme.default", "acme.joining", "acme.compute"}


def test_everything_in_redis_begins_with_its_deployments_name(working_pair: Pair) -> None:
    for one in working_pair:
        one.celery.send_task("test.work", ("kept",), countdown=3600)
        one.celery.send_task("test.work", ("kept",), queue="nobodys")
        one.celery.send_task("test.work", ("read",)).get(timeout=30)

    keys, channels = all_keys(working_pair[0].redis)

    assert {key.partition(":")[0] for key in keys} == {"acme", "globex"}
    assert {key.rpartition("acme:")[2] for key in keys if key.startswith("acme:")} >= {"taskgate-delayed"}
    assert [channel for channel in channels if not channel.startswith(("acme:", "globex:"))] == []


def all_keys(redis: RedisServer) -> tuple[list[str], list[str]]:
    keys = []
    for database in range(16):
        if database != 5:  # the test's own marks
            with Redis.from_url(redis.url, db=database, decode_responses=True) as client:
                keys += list(client.scan_iter())
    with Redis.from_url(redis.url, decode_responses=True) as client:
        return keys, client.pubsub_channels()


@pytest.mark.long
def test_a_killed_workers_job_is_restored_by_its_own_deployment_only(pair: Pair) -> None:
    acme, globex = pair
    doomed = acme.start_worker("--concurrency", "1", "-Q", "leased")
    job = acme.celery.send_task("test.work", ("leased", 3600.0), queue="leased")
    wait_until(lambda: len(starts(acme.redis, "leased")) == 1)
    for worker in acme.workers:  # any of them would restore it
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait(10)
    if not globex.workers:
        globex.start_worker()

    time.sleep(VISIBILITY_TIMEOUT * 2)  # the other one's keepers look every half second

    with Redis.from_url(acme.redis.url, db=2) as broker:
        assert (broker.hlen("acme:unacked"), broker.llen("acme:acme.leased")) == (1, 0)
        acme.start_worker("--concurrency", "1", "-Q", "default")
        wait_until(lambda: broker.llen("acme:acme.leased") == 1, timeout=30)
        (message,) = broker.lrange("acme:acme.leased", 0, -1)
    assert json.loads(message)["headers"]["id"] == job.id
    assert starts(acme.redis, "leased") == [doomed.process.pid]
    assert acme.celery.backend.records.get(job.id).state is JobState.STARTED
