"""``Prefer: wait=N`` on submission (RFC 7240)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from app.api_keys import Scope
from tests.conftest import wait_until
from tests.installation import API, Installation

URL = f"{API}/tasks/maintenance.adds/jobs"


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def submit(installation: Installation, headers: dict[str, str], prefer: str, **more: str) -> Any:
    return installation.client.post(URL, json={"a": 1, "b": 2}, headers={**headers, "Prefer": prefer, **more})


def end_the_job_of(installation: Installation, submission: Future[Any]) -> str:
    """Store the result of the job that a held submission has made, as a worker would; returns its id."""
    wait_until(lambda: len(installation.app.extensions["job_watch"]) == 1, what="the submission to be held")
    assert not submission.done()
    (task_id,) = installation.backend.client.zrevrange(installation.backend.keys.unfinished, 0, 0)
    assert installation.backend.store_state(task_id.decode(), 3, "SUCCESS")
    return str(task_id.decode())


def test_a_job_that_ends_in_time_is_answered_with_its_result(
    installation: Installation, ann: dict[str, str], background: ThreadPoolExecutor
) -> None:
    submission = background.submit(submit, installation, ann, "respond-async, WAIT = 25; x=1")
    task_id = end_the_job_of(installation, submission)
    answer = submission.result(20)

    assert (answer.status_code, answer.json["state"], answer.json["result"]) == (200, "SUCCESS", 3)
    assert answer.headers["Location"] == f"{API}/results/{task_id}"
    assert answer.headers["Preference-Applied"] == "wait=25"
    assert "Retry-After" not in answer.headers
    assert answer.json == installation.client.get(answer.headers["Location"], headers=ann).json


def test_a_job_that_does_not_is_a_202(installation: Installation, ann: dict[str, str]) -> None:
    started = time.monotonic()

    answer = submit(installation, ann, "wait=1")

    assert time.monotonic() - started >= 1
    assert (answer.status_code, answer.json["state"], answer.headers["Retry-After"]) == (202, "PENDING", "1")
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize(
    "prefer", ["", "wait", "wait=", "wait=soon", "wait=-1", "wait=0", "return=minimal", "x=wait=9"]
)
def test_what_says_nothing_of_waiting_is_passed_over(
    installation: Installation, ann: dict[str, str], prefer: str
) -> None:
    started = time.monotonic()

    assert submit(installation, ann, prefer).status_code == 202
    assert time.monotonic() - started < 5


def test_thirty_seconds_are_the_most(
    installation: Installation, ann: dict[str, str], background: ThreadPoolExecutor
) -> None:
    submission = background.submit(submit, installation, ann, "wait=999999999")
    end_the_job_of(installation, submission)

    assert submission.result(20).headers["Preference-Applied"] == "wait=30"


def test_the_same_key_again_is_answered_with_the_result(
    installation: Installation, ann: dict[str, str], background: ThreadPoolExecutor
) -> None:
    key = str(uuid4())
    submission = background.submit(submit, installation, ann, "wait=25", **{"Idempotency-Key": key})
    end_the_job_of(installation, submission)
    first = submission.result(20)

    again = submit(installation, ann, "wait=25", **{"Idempotency-Key": key})

    assert (again.status_code, again.json) == (200, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_who_may_only_submit_is_shown_no_result(installation: Installation) -> None:
    key, submitter = str(uuid4()), installation.headers("ann", Scope.SUBMIT)
    task_id = submit(installation, submitter, "", **{"Idempotency-Key": key}).json["task_id"]
    installation.backend.store_state(task_id, 3, "SUCCESS")

    again = submit(installation, submitter, "wait=25", **{"Idempotency-Key": key})

    assert again.status_code == 202
    assert "result" not in again.json


def test_redis_away_after_the_submission_does_not_undo_the_202(
    installation: Installation, ann: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RedisConnectionError

    monkeypatch.setattr(installation.app.extensions["job_watch"], "read", fail)

    answer = submit(installation, ann, "wait=25")

    assert answer.status_code == 202
    monkeypatch.undo()
    assert installation.client.get(answer.headers["Location"], headers=ann).status_code == 200
