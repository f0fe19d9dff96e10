"""A job's log over HTTP."""

from __future__ import annotations

import pytest

from libs.flask_celery.history.telling import encoded_line
from tests.installation import API, Installation, assert_problem


def say(installation: Installation, task_id: str, *messages: str, before: int = 0) -> None:
    lines = [encoded_line(1_764_000_000_123, "warning", 2, message) for message in messages]
    answer = installation.backend.history.add_lines(task_id, 0, "a", before, lines, has_ended=False)
    assert answer == b"STORED"


def test_a_line_as_clients_see_it(installation: Installation, ann: dict[str, str]) -> None:
    task_id = installation.accept("ann")
    say(installation, task_id, "hello")

    answer = installation.client.get(f"{API}/jobs/{task_id}/logs", headers=ann)

    assert answer.json == {
        "lines": [
            {
                "number": 1,
                "at": "2025-11-24T16:00:00.123Z",
                "level": "warning",
                "message": "hello",
                "run": 1,
                "retries": 2,
            }
        ],
        "dropped": 0,
        "next": 1,
    }


def test_pages_and_lines_that_come_later(installation: Installation, ann: dict[str, str]) -> None:
    task_id = installation.accept("ann")
    say(installation, task_id, *"abcde")
    pages, cursor = [], 0
    for _ in range(3):
        page = installation.client.get(f"{API}/jobs/{task_id}/logs?limit=2&cursor={cursor}", headers=ann).json
        pages.append("".join(line["message"] for line in page["lines"]))
        cursor = page["next"]
    assert (pages, cursor) == (["ab", "cd", "e"], 5)

    address = f"{API}/jobs/{task_id}/logs?cursor=5"
    assert installation.client.get(address, headers=ann).json == {"lines": [], "dropped": 0, "next": 5}
    say(installation, task_id, "f", before=5)
    assert installation.backend.store_state(task_id, 3, "SUCCESS")

    page = installation.client.get(address, headers=ann).json
    assert ([line["message"] for line in page["lines"]], page["next"]) == (["f"], None)


def test_what_is_dropped_is_counted(installation: Installation, ann: dict[str, str]) -> None:
    task_id = installation.accept("ann")
    say(installation, task_id, *"abcde")
    installation.backend.client.ltrim(installation.backend.keys.log(task_id), 3, -1)

    for cursor, dropped in ((0, 3), (1, 2), (3, 0)):
        page = installation.client.get(f"{API}/jobs/{task_id}/logs?cursor={cursor}", headers=ann).json
        assert (page["dropped"], [line["number"] for line in page["lines"]]) == (dropped, [4, 5])


def test_a_job_that_has_logged_nothing(installation: Installation, ann: dict[str, str]) -> None:
    task_id = installation.accept("ann")
    assert installation.backend.store_state(task_id, 3, "SUCCESS")

    answer = installation.client.get(f"{API}/jobs/{task_id}/logs", headers=ann)

    assert answer.json == {"lines": [], "dropped": 0, "next": None}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *[("limit", text) for text in ("0", "1001", "-1", "x", "")],
        *[("cursor", text) for text in ("-1", "x", "", "9" * 30)],
    ],
)
def test_a_page_that_cannot_be(installation: Installation, ann: dict[str, str], field: str, text: str) -> None:
    task_id = installation.accept("ann")

    assert_problem(installation.client.get(f"{API}/jobs/{task_id}/logs?{field}={text}", headers=ann), 422, field)


def test_a_log_that_is_not_there(installation: Installation, ann: dict[str, str], bob: dict[str, str]) -> None:
    task_id = installation.accept("ann")
    say(installation, task_id, "secret")

    assert_problem(installation.client.get(f"{API}/jobs/{task_id}/logs", headers=bob), 404)
    assert_problem(installation.client.get(f"{API}/jobs/unknown/logs", headers=ann), 404)
    assert installation.backend.store_state(task_id, 3, "SUCCESS")
    installation.expire(task_id)
    assert_problem(installation.client.get(f"{API}/jobs/{task_id}/logs", headers=ann), 410)
