"""What lies in Redis: records (``celery-task-meta-…``), field by field beside those of a stock Celery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.against_stock.systems import System
from tests.conftest import wait_until
from tests.notes.result_systems import unlike, working_system
from tests.notes.wire import comparable

#: Celery's own, in every state; those of a group's part and of what was published by a job beside them.
FIELDS = {"status", "result", "traceback", "children", "date_done", "task_id"}
FURTHER = {"group_id", "parent_id"}
#: Ours, from the acceptance on and once a worker has the job.
ACCEPTED = {"name", "queue", "retries", "owner", "submitted_at", "request_id"}
OF_SOME = {"retry_of", "batch_id", "schedule_id"}
RUN = ACCEPTED | OF_SOME | {"worker", "started_at", "progress", "files"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[System]]:
    with ExitStack() as stack:
        folders = {name: tmp_path_factory.mktemp(name) for name in ("stock", "ours")}
        yield [stack.enter_context(working_system(name, folder)) for name, folder in folders.items()]


def in_state(system: System, task_id: str, state: str) -> dict[str, Any]:
    wait_until(lambda: system.state(task_id) == state, what=f"{state} of {task_id}")
    return system.meta(task_id)


KINDS = {
    "success": "SUCCESS",
    "failure": "FAILURE",
    "own failure": "FAILURE",
    "started": "STARTED",
    "progress": "COUNTING",
    "retry": "RETRY",
    "expired": "REVOKED",
    "part of a group": "SUCCESS",
    "next of a chain": "SUCCESS",
    "parent": "SUCCESS",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_that_of_stock_celery_and_our_fields(kind: str, both: list[System]) -> None:
    stock, ours = (
        in_state(system, system.client.ask("tests.notes.wire_calls:leave_record", kind), KINDS[kind])
        for system in both
    )

    assert FIELDS <= set(stock) <= FIELDS | FURTHER
    own = set(ours) - set(stock)
    volatile = ("date_done", "hostname", "pid", "traceback")
    assert comparable({name: ours[name] for name in stock}, volatile=volatile) == comparable(stock, volatile=volatile)
    final = KINDS[kind] in ("SUCCESS", "FAILURE", "REVOKED")
    assert own == RUN - absent(kind) | ({"expires_at"} if final else set()) | (
        {"next_run_at"} if kind == "retry" else set()
    )
    if final:
        assert (ours["date_done"][-6:], stock["date_done"][-6:]) == ("+00:00", "+08:00")
    if kind == "failure":
        assert ours["result"] == {
            "exc_type": "ValueError",
            "exc_message": ["told to fail", 7],
            "exc_module": "builtins",
        }
    if ours["traceback"]:
        lines = [record["traceback"].strip().splitlines() for record in (stock, ours)]
        assert [one[0] for one in lines] == ["Traceback (most recent call last):"] * 2
        assert lines[0][-1] == lines[1][-1]


def absent(kind: str) -> set[str]:
    """What is not said of a job that no run has got to."""
    return {"started_at", "progress", "files"} if kind == "expired" else set()


def test_a_job_that_waits_has_a_record(both: list[System]) -> None:
    stock, ours = ((system, system.client.ask("tests.notes.wire_calls:publish", "plain")[0]) for system in both)

    assert stock[0].meta(stock[1]) == {}
    meta = ours[0].meta(ours[1])
    assert set(meta) == FIELDS | ACCEPTED
    waits = {"status": "PENDING", "result": None, "traceback": None, "children": [], "date_done": None}
    assert meta.items() >= {**waits, "name": "result.add", "queue": "kept", "retries": 0, "owner": ""}.items()


@pytest.mark.parametrize("which", ["picky", "unheard of"])
def test_a_failure_that_cannot_be_pickled_is_stored_by_its_own_name(which: str, both: list[System]) -> None:
    for system in both:
        task_id = system.client.ask("tests.notes.wire_calls:send", "result.fail", [which], {})
        name = {"picky": "PickyError", "unheard of": "UnheardOfError"}[which]

        stored = in_state(system, task_id, "FAILURE")["result"]

        assert stored["exc_type"] == unlike(system, stock="UnpickleableExceptionWrapper", ours=name)
        assert set(stored) == {"exc_type", "exc_message", "exc_module"}


def test_a_record_is_plain_json_with_the_status_first(both: list[System]) -> None:
    """Which scripts and other readers of records rely on."""
    for system in both:
        task_id = system.client.ask("tests.notes.wire_calls:send", "result.answer", ["ä"], {})
        in_state(system, task_id, "SUCCESS")

        raw = system.results.get(f"celery-task-meta-{task_id}")

        assert raw.startswith('{"status": "SUCCESS", "result": ')
        assert json.loads(raw)["result"] == "ä"
        assert 0 < system.results.ttl(f"celery-task-meta-{task_id}") <= 86_400
