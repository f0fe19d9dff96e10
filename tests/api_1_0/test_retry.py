"""``POST jobs/{task_id}/retry`` and ``…/cancel``: rules and errors, without a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from app.api_keys import Scope
from config import BROKER_DATABASE
from libs.flask_celery import JobState
from tests.functional.job_runs import job_runs
from tests.installation import API, Installation, assert_problem, bearer

WISHED = f"{API}/tasks/probe.wished/jobs"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with job_runs(tmp_path_factory.mktemp("retry"), OWNER_LIMIT="3", CELERY_REDIS_SOCKET_TIMEOUT="10") as runs:
        yield runs.installation


def submit(installation: Installation, owner: str = "ann", query: str = "", **headers: str) -> str:
    sent = installation.headers(owner) | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = installation.client.post(f"{WISHED}?{query}", json={"outcome": "failure"}, headers=sent)
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json["task_id"]
    return task_id


def end(installation: Installation, task_id: str, state: JobState = JobState.FAILURE) -> str:
    """As a worker would have ended it."""
    stored = 3 if state is JobState.SUCCESS else installation.backend.prepare_exception(ValueError("no"))
    assert installation.backend.store_state(task_id, stored, state.value)
    return task_id


def retry(installation: Installation, task_id: str, headers: dict[str, str], **sent: Any) -> Any:
    return installation.client.post(f"{API}/jobs/{task_id}/retry", headers=headers, **sent)


def message_of(installation: Installation, task_id: str) -> dict[str, Any]:
    with Redis.from_url(f"{installation.redis.url}/{BROKER_DATABASE}") as broker:
        messages = [
            json.loads(text)
            for key in broker.keys("*slow*")
            if broker.type(key) == b"list" and b"wake" not in key
            for text in broker.lrange(key, 0, -1)
        ]
    (found,) = [message for message in messages if message["headers"]["id"] == task_id]
    return dict(found)


@pytest.mark.parametrize("state", [JobState.SUCCESS, JobState.FAILURE, JobState.REVOKED])
def test_a_job_that_has_ended_runs_again_as_a_new_one(state: JobState, installation: Installation) -> None:
    owner = f"again {state}"
    headers = installation.headers(owner)
    old = end(installation, submit(installation, owner), state)
    before = installation.client.get(f"{API}/results/{old}", headers=headers).json

    answer = retry(installation, old, headers)

    job = answer.json
    assert answer.status_code == 202
    assert job.keys() == {"task_id", "task", "state", "submitted_at", "access_token", "links"}
    assert (job["task"], job["state"], job["task_id"] == old) == ("probe.wished", "PENDING", False)
    assert answer.headers["Location"] == job["links"]["result"] == f"{API}/results/{job['task_id']}"
    assert answer.headers["Retry-After"] == "1"
    new = installation.client.get(job["links"]["result"], headers=bearer(job["access_token"])).json
    assert (new["state"], new["retry_of"], new["retried_as"]) == ("PENDING", old, None)
    after = installation.client.get(f"{API}/results/{old}", headers=headers).json
    assert after == before | {"retried_as": job["task_id"]}
    ttl = installation.backend.client.ttl(installation.backend.keys.meta(old))
    assert 86_000 < ttl <= 86_400
    assert before["links"]["retry"] == f"{API}/jobs/{old}/retry"


def test_what_the_submission_asked_for_is_kept_but_for_its_times(installation: Installation) -> None:
    """The time until the deadline begins anew; a delay and an expiry are over."""
    query = "queue=slow&priority=6&delay=60&expires=120"
    old = end(installation, submit(installation, "carl", query, Cancel_After="5m"))

    answer = retry(installation, old, installation.headers("carl"))

    message = message_of(installation, answer.json["task_id"])
    headers, facts = message["headers"], message["headers"]["taskgate"]
    assert message["properties"]["priority"] == 6
    assert message["properties"]["delivery_info"]["routing_key"] == "slow"
    assert facts["deadline"] - facts["submitted_at"] == 300_000
    assert facts["request_id"] == answer.headers["X-Request-ID"]
    assert (facts["owner"], headers["eta"], headers["expires"]) == ("carl", None, None)


def test_an_admins_retry_is_the_owners_job(installation: Installation) -> None:
    old = end(installation, submit(installation, "dora"))

    job = retry(installation, old, installation.headers("root", Scope.ADMIN)).json

    assert installation.backend.records.get(job["task_id"]).owner == "dora"
    for headers in (installation.headers("dora"), bearer(job["access_token"])):
        assert installation.client.get(job["links"]["result"], headers=headers).status_code == 200
    assert installation.client.get(f"{API}/jobs", headers=installation.headers("root")).json["jobs"] == []


def test_an_idempotency_key_names_one_retry(installation: Installation) -> None:
    headers = installation.headers("emil")
    old, other = (end(installation, submit(installation, "emil")) for _ in range(2))
    with_key = headers | {"Idempotency-Key": "once"}

    first, again = (retry(installation, old, with_key) for _ in range(2))
    without = retry(installation, old, headers)

    assert first.json["task_id"] == again.json["task_id"] != without.json["task_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert_problem(retry(installation, other, with_key), 422)
    assert_problem(installation.client.post(WISHED, json={}, headers=with_key), 422)
    assert_problem(retry(installation, old, headers | {"Idempotency-Key": ""}), 400)


def test_limits_hold_for_retries(installation: Installation) -> None:
    old = end(installation, submit(installation, "fred"))
    waiting = [submit(installation, "fred") for _ in range(3)]

    answer = retry(installation, old, installation.headers("fred"))

    assert_problem(answer, 429)
    assert installation.backend.records.get(old).retried_as is None
    end(installation, waiting[0])
    assert retry(installation, old, installation.headers("fred")).status_code == 202


def test_what_cannot_be_run_again(installation: Installation) -> None:
    ann, backend = installation.headers("gina"), installation.backend
    waiting, theirs = submit(installation, "gina"), end(installation, submit(installation, "hans"))
    expired = end(installation, submit(installation, "gina"))
    installation.expire(expired)
    forgotten = end(installation, submit(installation, "gina"))
    backend.client.delete(backend.keys.message(forgotten))
    internal = end(installation, installation.accept("gina", task="celery.backend_cleanup"))
    before = installation.what_is_kept()

    for task_id, status in ((waiting, 409), (theirs, 404), (str(uuid4()), 404), (expired, 410), (forgotten, 410)):
        assert_problem(retry(installation, task_id, ann), status)
    assert_problem(retry(installation, internal, ann), 409)
    assert "over HTTP" in retry(installation, internal, ann).json["detail"]
    assert installation.what_is_kept() == before


@pytest.mark.parametrize("what", ["retry", "cancel"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 202),
        ({"json": {}}, 202),
        ({"data": b" ", "content_type": "text/plain"}, 202),
        ({"json": {"a": 1}}, 422),
        ({"json": []}, 422),
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"data": b"a=1", "content_type": "application/x-www-form-urlencoded"}, 415),
        ({"query_string": {"colour": "red"}}, 422),
    ],
)
def test_there_is_nothing_to_say_in_the_body(
    what: str, sent: dict[str, Any], status: int, installation: Installation
) -> None:
    owner = uuid4().hex
    task_id = submit(installation, owner)
    if what == "retry":
        end(installation, task_id)
    before = installation.what_is_kept()

    answer = installation.client.post(f"{API}/jobs/{task_id}/{what}", headers=installation.headers(owner), **sent)

    assert answer.status_code == status, answer.text
    if status != 202:
        assert_problem(answer, status)
        assert {key for key in before if key not in installation.what_is_kept()} == set()


def test_cancelling_by_post_is_the_same_as_by_delete(installation: Installation) -> None:
    headers = installation.headers("ida")
    ids = [submit(installation, "ida") for _ in range(2)]

    by_post = installation.client.post(f"{API}/jobs/{ids[0]}/cancel", headers=headers)
    by_delete = installation.client.delete(f"{API}/jobs/{ids[1]}", headers=headers)

    assert by_post.status_code == by_delete.status_code == 202
    assert (by_post.json["state"], by_post.json["error"]) == (by_delete.json["state"], by_delete.json["error"])
    assert_problem(installation.client.post(f"{API}/jobs/{ids[0]}/cancel", headers=headers), 409)


def test_cancelling_by_post_can_have_the_process_ended(installation: Installation) -> None:
    task_id = submit(installation, "jo")
    installation.backend.store_state(task_id, None, JobState.STARTED.value)

    address = f"{API}/jobs/{task_id}/cancel?terminate=true"
    assert installation.client.post(address, headers=installation.headers("jo")).status_code == 202

    assert installation.backend.client.zscore("taskgate-terminate", task_id) is not None
