"""Ids of any characters, and headers and bodies of any kind: each job runs once, and no message ends a worker."""

import json
from collections.abc import Callable
from typing import Any

from celery import Celery
from redis import Redis

from tests.conftest import Worker, wait_until
from tests.delivery.conftest import SHORT_TIMEOUT, Marks

ODD_IDS = ["发票-2026", 'with "quotes"', "back\\slash", "two\nlines", "\ttab", "a:colon", " ", "é" * 40]


def test_a_job_of_any_id_runs_once_and_leaves_no_trace_in_the_broker(
    counting_worker: Callable[..., Worker], celery_app: Celery, marks: Marks, broker: "Redis[bytes]"
) -> None:
    counting_worker("--pool", "threads", "--concurrency", "8")
    results = [
        celery_app.send_task("test.work", (f"j{number}", SHORT_TIMEOUT * 3.0), task_id=task_id)
        for number, task_id in enumerate(ODD_IDS)
    ]

    assert [result.get(timeout=60) for result in results] == [f"j{number}" for number in range(len(ODD_IDS))]

    assert {marks.starts(f"j{number}") for number in range(len(ODD_IDS))} == {1}
    wait_until(lambda: broker.hlen("taskgate-held") == broker.hlen("unacked") == 0)


def test_ids_of_any_characters_are_forgotten_in_their_time(celery_app: Celery) -> None:
    backend = celery_app.backend
    for task_id in ODD_IDS:
        celery_app.send_task("test.work", ("a",), task_id=task_id)
        backend.store_state(task_id, "a", "SUCCESS")
    retired = "taskgate-retired"
    for member in backend.client.zrange(retired, 0, -1):
        backend.client.zadd(retired, {member: 1})

    for number in range(len(ODD_IDS)):
        celery_app.send_task("test.work", ("a",), task_id=f"later-{number}")
        backend.store_state(f"later-{number}", "a", "SUCCESS")

    left = [member.decode() for member in backend.client.zrange(backend.keys.owner(""), 0, -1)]
    assert sorted(left) == [f"later-{number}" for number in range(len(ODD_IDS))]
    assert backend.client.zcard(retired) == len(ODD_IDS)


SPOILT: list[tuple[tuple[str, ...], Any]] = [
    *((("headers", "timelimit"), value) for value in (5, "x", {"a": 1}, [1], True)),
    *((("headers", "stamped_headers"), value) for value in (5, True)),
    *((("headers", name), "x") for name in ("retries", "replaced_task_nesting")),
    *((("headers", "id"), value) for value in ("", 7, None)),
    *((("properties", "body_encoding"), value) for value in (5, {"a": 1}, "rot13")),
    *((("body",), value) for value in (5, {"a": 1}, None)),
    (("headers", "eta"), 12345),
]


def test_no_spoilt_message_ends_a_worker(
    counting_worker: Callable[..., Worker], celery_app: Celery, broker: "Redis[bytes]"
) -> None:
    messages = []
    for place, value in SPOILT:
        celery_app.send_task("test.work", ("a",))
        message = json.loads(broker.rpop("default") or b"")
        *path, last = place
        target = message
        for name in path:
            target = target[name]
        target[last] = value
        messages.append(json.dumps(message))
    broker.lpush("default", *messages)
    worker = counting_worker("--pool", "solo")

    assert celery_app.send_task("test.work", ("sound",)).get(timeout=60) == "sound"

    assert worker.process.poll() is None
    wait_until(lambda: broker.llen("taskgate-dead-letters") == len(SPOILT))
    wait_until(lambda: broker.hlen("taskgate-held") == broker.hlen("unacked") == 0)
