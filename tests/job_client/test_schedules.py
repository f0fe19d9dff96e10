"""Schedules: made, listed, changed, run and removed, by both clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.job_client import ConflictError, InvalidRequestError, NotFoundError

ADDS = "maintenance.adds"


@pytest.fixture
def schedule_id(client: Any) -> Iterator[str]:
    made = client.create_schedule(ADDS, {"a": 1, "b": 2}, every=86_400, name="each day", priority=3)
    yield made.schedule_id
    if made.schedule_id in [one.schedule_id for one in client.schedules()]:
        client.remove_schedule(made.schedule_id)


def test_a_schedule_is_as_it_was_made(client: Any, schedule_id: str) -> None:
    schedule = client.schedule(schedule_id)

    assert (schedule.task, schedule.params, schedule.name) == (ADDS, {"a": 1, "b": 2}, "each day")
    assert (schedule.every, schedule.cron, schedule.priority, schedule.queue) == (86_400, None, 3, None)
    assert (schedule.enabled, schedule.in_code, schedule.error) == (True, False, None)
    assert 0 < (schedule.next_runs[0] - datetime.now(UTC)).total_seconds() <= 86_400
    assert list(schedule.next_runs) == sorted(schedule.next_runs)
    assert schedule.as_json["id"] == schedule_id


def test_it_is_listed_changed_and_paused(client: Any, schedule_id: str) -> None:
    assert schedule_id in [one.schedule_id for one in client.schedules()]

    changed = client.change_schedule(
        schedule_id, cron="30 9 * * *", timezone="Asia/Shanghai", params={"a": 5, "b": 2}
    )
    paused = client.change_schedule(schedule_id, enabled=False)

    assert (changed.cron, changed.every, changed.timezone) == ("30 9 * * *", None, "Asia/Shanghai")
    assert (changed.next_runs[0].astimezone(UTC).hour, changed.next_runs[0].minute) == (1, 30)
    assert (paused.enabled, paused.next_runs, paused.params) == (False, (), {"a": 5, "b": 2})
    assert client.schedule(schedule_id).enabled is False


def test_it_is_run_now(client: Any, schedule_id: str) -> None:
    job = client.run_schedule(schedule_id)

    assert job.result(timeout=60) == 3
    assert job.status().schedule_id == schedule_id
    key = f"run-{time.monotonic_ns()}"
    again = {client.run_schedule(schedule_id, idempotency_key=key).task_id for _ in range(2)}
    assert len(again) == 1


def test_it_is_removed_once(client: Any, schedule_id: str) -> None:
    client.remove_schedule(schedule_id)

    with pytest.raises(NotFoundError):
        client.schedule(schedule_id)
    with pytest.raises(NotFoundError):
        client.remove_schedule(schedule_id)


def test_under_its_key_it_is_one_schedule(client: Any) -> None:
    key = f"schedule-{time.monotonic_ns()}"

    made = [client.create_schedule(ADDS, {"a": 1, "b": 2}, every=3600, idempotency_key=key) for _ in range(2)]

    client.remove_schedule(made[0].schedule_id)
    assert made[0].schedule_id == made[1].schedule_id


def test_what_cannot_be_one_is_refused_by_field(client: Any) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        client.create_schedule(ADDS, {"a": "x"}, cron="never")

    assert set(refused.value.problem.errors) & {"cron", "params"}


def test_those_in_code_are_nobodys_to_change(client: Any) -> None:
    in_code = [one for one in client.schedules() if one.in_code]
    if not in_code:
        pytest.skip("this server runs no beat, which tells of them")
    with pytest.raises(ConflictError):
        client.change_schedule(in_code[0].schedule_id, enabled=False)
