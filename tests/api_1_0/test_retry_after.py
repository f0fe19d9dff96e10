"""``Retry-After``, fitted to how long a task has been taking."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from app.api_1_0.retry_after import seconds_until_done
from tests.installation import API, Installation

ADDS = "maintenance.adds"


@pytest.fixture
def app(installation: Installation) -> Iterator[Flask]:
    """An application to which adds takes 8.2 s."""
    times = installation.backend.run_times
    times._means, times._stale_at = {ADDS: 8.2, "long": 900.0}, time.monotonic() + 60
    with installation.app.app_context():
        yield installation.app
    times._means, times._stale_at = {}, 0.0


@pytest.mark.parametrize(
    ("task", "starts", "started", "expected"),
    [
        (ADDS, None, None, 9),  # whole seconds, rounded up
        ("unknown", None, None, 1),
        (None, None, None, 1),
        ("long", None, None, 30),
        (ADDS, None, -3, 6),  # what is left of it
        (ADDS, None, -7.5, 1),
        (ADDS, None, -39, 10),  # overdue: a quarter of its time so far
        ("unknown", None, -19, 5),
        ("unknown", None, -400, 30),
        (ADDS, 10, None, 19),  # it starts later
        ("unknown", 10, None, 10),
        (ADDS, 86_400, None, 30),
        (ADDS, -5, None, 9),  # it could have started by now
        (ADDS, 10, -30, 19),  # it tries again
    ],
)
def test_how_long_to_wait(
    app: Flask, task: str | None, starts: float | None, started: float | None, expected: int
) -> None:
    now = datetime.now(UTC)
    moments = [None if seconds is None else now + timedelta(seconds=seconds) for seconds in (starts, started)]

    assert seconds_until_done(task, starts=moments[0], started=moments[1]) == expected


def test_polls_and_submissions_say_so(app: Flask, installation: Installation, ann: dict[str, str]) -> None:
    client = installation.client
    submitted = client.post(f"{API}/tasks/{ADDS}/jobs", json={"a": 1, "b": 2}, headers=ann)
    later = client.post(f"{API}/tasks/{ADDS}/jobs?delay=12", json={"a": 1, "b": 2}, headers=ann)
    other = installation.accept("ann", task="long")

    assert (submitted.headers["Retry-After"], later.headers["Retry-After"]) == ("9", "21")
    polled = client.get(submitted.headers["Location"], headers=ann)
    assert polled.headers["Retry-After"] == "9"
    same = client.get(submitted.headers["Location"], headers={**ann, "If-None-Match": polled.headers["ETag"]})
    assert (same.status_code, same.headers["Retry-After"]) == (304, "9")
    assert client.get(f"{API}/results/{other}", headers=ann).headers["Retry-After"] == "30"
    # Of many, as soon as the first one of them may be done.
    ids = [other, submitted.json["task_id"]]
    assert client.get(f"{API}/results", query_string={"task_id": ids}, headers=ann).headers["Retry-After"] == "9"
