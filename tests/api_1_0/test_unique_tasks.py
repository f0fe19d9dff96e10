"""Submitting a task of which one job at a time is under way: what each route answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.api_keys import Scope
from libs.flask_celery import JobState
from tests.functional.job_runs import job_runs
from tests.installation import API, Installation, assert_problem

OWNER, TASK = "unique.owner", "unique.task"


@pytest.fixture(scope="module")
def module_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Without a worker."""
    with job_runs(tmp_path_factory.mktemp("unique")) as runs:
        yield runs.installation


@pytest.fixture
def installation(module_installation: Installation) -> Installation:
    module_installation.backend.client.flushall()
    return module_installation


@pytest.fixture
def ann(installation: Installation) -> dict[str, str]:
    return installation.headers()


def press(installation: Installation, headers: dict[str, str], task: str = OWNER, **body: Any) -> Any:
    return installation.client.post(f"{API}/tasks/{task}/jobs", json=body, headers=headers)


def end(installation: Installation, task_id: str, state: JobState) -> None:
    stored = "done" if state is JobState.SUCCESS else installation.backend.prepare_exception(ValueError("no"))
    assert installation.backend.store_state(task_id, stored, state.value)


def test_the_answer_says_that_nothing_was_started(installation: Installation, ann: dict[str, str]) -> None:
    first = press(installation, ann, label="one")
    installation.backend.store_state(first.json["task_id"], None, "STARTED")
    again = press(installation, ann, label="two")

    assert (first.status_code, again.status_code) == (202, 202)
    assert "Already-Running" not in first.headers
    assert (again.headers["Already-Running"], again.headers["Location"]) == ("true", first.headers["Location"])
    assert "Idempotent-Replayed" not in again.headers
    assert again.json | {"access_token": ""} == first.json | {"access_token": "", "state": "STARTED"}
    assert_problem(press(installation, ann, label=7), 422, "label")  # it is validated all the same


def test_with_prefer_the_end_of_the_job_under_way_is_the_answer(
    installation: Installation, ann: dict[str, str]
) -> None:
    first = press(installation, ann)
    again = press(installation, ann | {"Prefer": "wait=1"})
    assert (again.status_code, again.headers["Already-Running"]) == (202, "true")

    end(installation, first.json["task_id"], JobState.SUCCESS)
    new = press(installation, ann | {"Prefer": "wait=1"})
    assert "Already-Running" not in new.headers
    assert new.json["task_id"] != first.json["task_id"]


def test_somebody_elses_job_is_a_conflict_that_does_not_name_it(
    installation: Installation, ann: dict[str, str]
) -> None:
    first = press(installation, ann, TASK)
    refused = press(installation, installation.headers("bob"), TASK)

    assert_problem(refused, 409)
    assert int(refused.headers["Retry-After"]) > 0
    assert first.json["task_id"] not in refused.text
    assert press(installation, ann, TASK).headers["Already-Running"] == "true"


def test_the_task_says_so(installation: Installation, ann: dict[str, str]) -> None:
    def told(task: str) -> Any:
        return installation.client.get(f"{API}/tasks/{task}", headers=ann).json["unique"]

    tasks = (OWNER, TASK, "maintenance.adds", "maintenance.refresh_onboard_table")
    assert [told(task) for task in tasks] == ["owner", "task", None, "owner"]


def test_an_item_of_a_batch_refers_to_the_job_under_way(installation: Installation, ann: dict[str, str]) -> None:
    first = press(installation, ann).json["task_id"]
    press(installation, installation.headers("bob"), TASK)
    items = [{"task": OWNER}, {"task": TASK}, {"task": "maintenance.adds", "params": {"a": 1, "b": 2}}]
    batch = installation.client.post(f"{API}/batches", json=items, headers=ann).json

    running, refused, new = batch["outcomes"]
    assert running == {"status": 202, "task_id": first, "state": "PENDING", "already_running": True}
    assert (refused["status"], new["status"], "already_running" in new) == (409, 202, False)
    shown = installation.client.get(f"{API}/batches/{batch['batch_id']}", headers=ann).json
    assert [job["task_id"] for job in shown["jobs"]] == [new["task_id"]]


def test_a_retry_is_answered_with_it_and_a_dead_letter_stays(installation: Installation, ann: dict[str, str]) -> None:
    failed = press(installation, ann).json["task_id"]
    end(installation, failed, JobState.FAILURE)
    running = press(installation, ann).json["task_id"]

    retried = installation.client.post(f"{API}/jobs/{failed}/retry", headers=ann)
    assert (retried.status_code, retried.json["task_id"]) == (202, running)
    assert retried.headers["Already-Running"] == "true"
    listed = installation.client.post(f"{API}/dead-letters/retry", json={"task_ids": [failed]}, headers=ann).json
    assert (listed["outcomes"][0]["task_id"], listed["outcomes"][0]["status"]) == (failed, 409)
    letters = installation.client.get(f"{API}/dead-letters", headers=ann).json["dead_letters"]
    assert [letter["task_id"] for letter in letters] == [failed]

    end(installation, running, JobState.SUCCESS)
    listed = installation.client.post(f"{API}/dead-letters/retry", json={"task_ids": [failed]}, headers=ann).json
    assert press(installation, ann).json["task_id"] == listed["outcomes"][0]["retried_as"]


def test_run_now_of_a_schedule_is_answered_with_it(installation: Installation, ann: dict[str, str]) -> None:
    made = installation.client.post(f"{API}/schedules", json={"task": OWNER, "cron": "0 0 1 1 *"}, headers=ann).json
    first = press(installation, ann).json["task_id"]

    now = installation.client.post(f"{API}/schedules/{made['id']}/run", headers=ann)

    assert (now.status_code, now.json["task_id"], now.headers["Already-Running"]) == (202, first, "true")


def test_the_newest_job_is_found_whatever_else_its_owner_has_submitted(
    installation: Installation, ann: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api_1_0.results._MOST_SCANNED", 3)
    first = press(installation, ann).json["task_id"]
    for _ in range(4):
        press(installation, ann, "maintenance.adds", a=1, b=2)

    latest = installation.client.get(f"{API}/results/latest/{OWNER}", headers=ann)
    assert (latest.status_code, latest.json["task_id"]) == (200, first)
    assert_problem(installation.client.get(f"{API}/results/latest/{OWNER}", headers=installation.headers("bob")), 404)
    admin = installation.headers("root", Scope.ADMIN, Scope.READ)
    assert_problem(installation.client.get(f"{API}/results/latest/{OWNER}", headers=admin), 404)
