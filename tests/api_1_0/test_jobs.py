"""``jobs``: listing one's own, page by page, and cancelling."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from libs.flask_celery import JobState
from tests.installation import API, Installation, assert_problem

#: 2026-11-22T00:00:00Z in milliseconds.
DAY = 1_795_305_600_000


def pages(client: FlaskClient, headers: dict[str, str], query: str = "") -> list[list[str]]:
    """The task ids of every page, following ``next`` to the end."""
    found, cursor = [], ""
    while True:
        answer = client.get(f"{API}/jobs?{query}{cursor}", headers=headers)
        assert answer.status_code == 200, answer.text
        found.append([job["task_id"] for job in answer.json["jobs"]])
        if answer.json["next"] is None:
            return found
        cursor = f"&cursor={quote(answer.json['next'])}"


def finish(installation: Installation, task_id: str) -> None:
    """Store success, as a worker would."""
    installation.backend.store_state(task_id, 3, JobState.SUCCESS.value)


def test_an_owner_without_jobs_has_an_empty_page(installation: Installation) -> None:
    answer = installation.client.get(f"{API}/jobs", headers=installation.headers("nobody"))

    assert answer.json == {"jobs": [], "next": None}


def test_jobs_come_newest_first_and_are_the_callers_own(installation: Installation) -> None:
    carol = installation.headers("carol")
    ids = [installation.accept("carol", submitted_at=DAY + number) for number in range(3)]
    installation.accept("dave", submitted_at=DAY + 1)

    answer = installation.client.get(f"{API}/jobs", headers=carol)

    assert [job["task_id"] for job in answer.json["jobs"]] == ids[::-1]
    assert answer.json["jobs"][0]["submitted_at"] == "2026-11-22T00:00:00.002Z"
    assert answer.json["jobs"][0] == installation.client.get(f"{API}/results/{ids[2]}", headers=carol).json


@pytest.mark.parametrize("limit", [1, 7, 20, 99, 100])
def test_paging_is_complete_and_without_duplicates_at_equal_times(limit: int, installation: Installation) -> None:
    owner = f"crowd{limit}"
    headers = installation.headers(owner)
    count = 25 if limit == 1 else 253
    ids = [installation.accept(owner, submitted_at=DAY) for _ in range(count)]
    ids += [installation.accept(owner, submitted_at=DAY + 1) for _ in range(5)]

    found = pages(installation.client, headers, f"limit={limit}")

    listed = [task_id for page in found for task_id in page]
    assert len(listed) == len(set(listed)) == len(ids)
    assert set(listed) == set(ids)
    assert set(listed[:5]) == set(ids[-5:])
    assert all(len(page) == limit for page in found[:-1])


def test_jobs_that_come_while_a_client_pages_shift_nothing(installation: Installation) -> None:
    headers, client = installation.headers("erin"), installation.client
    ids = [installation.accept("erin", submitted_at=DAY + number) for number in range(6)]
    first = client.get(f"{API}/jobs?limit=3", headers=headers).json

    installation.accept("erin", submitted_at=DAY + 100)
    second = client.get(f"{API}/jobs?limit=3&cursor={first['next']}", headers=headers).json

    assert [job["task_id"] for job in first["jobs"] + second["jobs"]] == ids[::-1]


def test_a_job_that_has_expired_is_not_listed(installation: Installation) -> None:
    headers = installation.headers("fay")
    kept, over = installation.accept("fay"), installation.accept("fay")
    installation.expire(over)

    assert pages(installation.client, headers) == [[kept]]


def test_filters(installation: Installation) -> None:
    headers, client = installation.headers("gil"), installation.client
    adds = installation.accept("gil", submitted_at=DAY)
    match = installation.accept("gil", task="maintenance.match_self_table", submitted_at=DAY + 1000)
    done = installation.accept("gil", submitted_at=DAY + 2000)
    finish(installation, done)

    def found(query: str) -> list[str]:
        return [task_id for page in pages(client, headers, query) for task_id in page]

    assert found("") == [done, match, adds]
    assert found("task=maintenance.adds") == [done, adds]
    assert found("task=no.such") == []
    assert found("state=PENDING") == [match, adds]
    assert found("state=SUCCESS") == [done]
    assert found("state=SUCCESS&task=maintenance.match_self_table") == []
    assert found("since=2026-11-22T00:00:01Z") == [done, match]
    assert found("since=2026-11-22T01:00:01.001%2B01:00") == [done]
    assert found("since=9999-12-31T23:59:59Z") == []
    assert found("since=0001-01-01T00:00:00%2B23:59") == [done, match, adds]
    assert found("state=PENDING&limit=1") == [match, adds]


def test_a_cursor_opens_no_other_owners_list(installation: Installation) -> None:
    ids = [installation.accept("hal") for _ in range(3)]
    cursor = installation.client.get(f"{API}/jobs?limit=1", headers=installation.headers("hal")).json["next"]

    other = installation.client.get(f"{API}/jobs?cursor={cursor}", headers=installation.headers("ida")).json

    assert ids
    assert other == {"jobs": [], "next": None}


def test_a_waiting_job_is_cancelled_at_once(installation: Installation, ann: dict[str, str]) -> None:
    task_id = installation.accept("ann")

    answer = installation.client.delete(f"{API}/jobs/{task_id}", headers=ann)

    assert answer.status_code == 202
    assert (answer.json["state"], answer.json["ready"], answer.json["successful"]) == ("REVOKED", True, False)
    assert answer.json == installation.client.get(f"{API}/results/{task_id}", headers=ann).json
    assert answer.json["error"]["type"] == "TaskRevokedError"
    assert answer.json["expires_at"] > datetime.now(UTC).isoformat()
    assert set(answer.json["links"]) == {"result", "events", "logs", "retry"}


def test_a_running_job_is_asked_to_stop(installation: Installation, ann: dict[str, str]) -> None:
    task_id = installation.accept("ann")
    installation.backend.store_state(task_id, {"current": 1, "total": 2, "message": ""}, JobState.PROGRESS.value)

    answer = installation.client.delete(f"{API}/jobs/{task_id}", headers=ann)

    assert (answer.status_code, answer.json["state"], answer.json["ready"]) == (202, "PROGRESS", False)
    assert installation.backend.cancel_requested(task_id)


@pytest.mark.parametrize("state", [JobState.SUCCESS, JobState.FAILURE, JobState.REVOKED])
def test_a_job_that_has_ended_cannot_be_cancelled(
    state: JobState, installation: Installation, ann: dict[str, str]
) -> None:
    task_id = installation.accept("ann")
    stored = 3 if state is JobState.SUCCESS else installation.backend.prepare_exception(ValueError("no"))
    installation.backend.store_state(task_id, stored, state.value)
    before = installation.client.get(f"{API}/results/{task_id}", headers=ann).json

    answer = installation.client.delete(f"{API}/jobs/{task_id}", headers=ann)

    assert_problem(answer, 409)
    assert state.value in answer.json["detail"]
    assert installation.client.get(f"{API}/results/{task_id}", headers=ann).json == before
