"""Jobs that show what a setting does to the worker that runs them."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import LimitExceeded

from tests.functional.probe_jobs import note


@shared_task(name="probe.where_am_i", bind=True)
def where_am_i(self: Task) -> dict[str, Any]:
    """The process, and how the message came here; noted too, for who asks for no result."""
    delivery = self.request.delivery_info
    found = {"pid": os.getpid(), "exchange": delivery["exchange"], "routing_key": delivery["routing_key"]}
    note(self.request.id, worker=self.request.hostname, at=time.time(), **found)
    return found


@shared_task(name="probe.tell_time", bind=True)
def tell_time(self: Task) -> str:
    """What Celery takes for the time here."""
    return str(self.app.now().isoformat())


@shared_task(name="probe.note_start", bind=True)
def note_start(self: Task, group: str) -> None:
    """Notes when it began, under the name of a group of jobs."""
    note(group, at=time.time())


@shared_task(name="probe.note_start_slowly", bind=True)
def note_start_slowly(self: Task, group: str) -> None:
    """The same, and is the one whose rate is limited."""
    note(group, at=time.time())


@shared_task(name="probe.print")
def print_line(line: str) -> None:
    print(line)


@shared_task(name="probe.take_long")
def take_long(stubborn: bool) -> str:
    """Longer than any limit; says which one it has met, or goes on."""
    for _ in range(2 if stubborn else 1):
        try:
            time.sleep(60)
        except SoftTimeLimitExceeded:
            if not stubborn:
                return "told to hurry"
    return "never told"


@shared_task(name="probe.return_bytes")
def return_bytes() -> dict[str, Any]:
    """What JSON has no words for, and msgpack has."""
    return {"raw": b"\xff\x00", "text": b"abc"}


@shared_task(name="probe.return_any_keys")
def return_any_keys(pair: Any = None) -> dict[Any, Any]:
    """Keys that are no text; msgpack packs the first, and only pickle the second."""
    return {1: "one"} if pair is None else {1: "one", (1, 2): "two"}


@shared_task(name="probe.return_date")
def return_date() -> dict[str, Any]:
    """What YAML has words for."""
    return {"when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "few": {1, 2}}


@shared_task(name="probe.double")
def double(value: Any) -> Any:
    """Takes what JSON cannot carry, and gives it back twice."""
    return [value, value]


@shared_task(name="probe.use_connections", bind=True)
def use_connections(self: Task) -> list[str]:
    """Publish over each connection that the pool gives while none is given back. Answers the jobs' ids."""
    published = []
    with ExitStack() as stack:
        for _ in range(20):
            try:
                connection = stack.enter_context(self.app.pool.acquire(block=False))
            except LimitExceeded:
                break
            producer = stack.enter_context(self.app.amqp.Producer(connection, auto_declare=False))
            published.append(self.app.tasks["probe.answer"].apply_async((1,), producer=producer).id)
    return published


@shared_task(name="probe.publish_answer", bind=True)
def publish_answer(self: Task) -> None:
    """Publish a job under the settings of this worker, and note its id."""
    note(self.request.id, published=self.app.tasks["probe.answer"].apply_async(("a value",)).id)
