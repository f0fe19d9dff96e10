"""``priority``, ``expires``, ``queue`` and ``Cancel-After`` of a submission: what is taken, refused and stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis

from config import BROKER_DATABASE
from libs.flask_celery.deadline_keeper import cancel_late
from tests.functional.job_runs import JobRuns, job_runs
from tests.installation import API, Installation, assert_problem

WISHED = f"{API}/tasks/probe.wished/jobs"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    settings = {"CELERY_TASK_DEFAULT_QUEUE": "usual", "CELERY_TASK_TIME_LIMIT": "600", "OWNER_LIMIT": "0"}
    with job_runs(tmp_path_factory.mktemp("options"), **settings) as runs:
        yield _of(runs)


def _of(runs: JobRuns) -> Installation:
    return runs.installation


def submit(installation: Installation, query: str = "", **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return installation.client.post(f"{WISHED}?{query}", json={}, headers=installation.headers("ann") | sent)


def newest(installation: Installation, list_name: str = "usual") -> dict[str, Any]:
    """The message that was pushed last."""
    with Redis.from_url(f"{installation.redis.url}/{BROKER_DATABASE}") as broker:
        message: dict[str, Any] = json.loads(broker.lindex(list_name, 0))
    return message


@pytest.mark.parametrize(
    ("priority", "list_name"),
    [
        (None, "usual"),
        (0, "usual"),
        (2, "usual"),
        (3, "usual\x06\x163"),
        (8, "usual\x06\x166"),
        (9, "usual\x06\x169"),
    ],
)
def test_a_priority_is_a_step_of_the_queue(priority: int | None, list_name: str, installation: Installation) -> None:
    answer = submit(installation, "" if priority is None else f"priority={priority}")

    message = newest(installation, list_name)
    assert message["headers"]["id"] == answer.json["task_id"]
    assert message["properties"]["priority"] == (priority or 0)


def test_jobs_can_be_less_urgent_unless_they_say_otherwise(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with job_runs(tmp_path_factory.mktemp("calm"), CELERY_TASK_DEFAULT_PRIORITY="6") as runs:
        submit(runs.installation)
        submit(runs.installation, "priority=1")

        with Redis.from_url(f"{runs.installation.redis.url}/{BROKER_DATABASE}") as broker:
            assert (broker.llen("default"), broker.llen("default\x06\x166")) == (1, 1)


def test_expires_is_celerys_own_and_stands_in_the_ledger(installation: Installation) -> None:
    before = datetime.now(UTC)
    in_seconds = submit(installation, "expires=90.5").json["task_id"]
    assert newest(installation)["headers"]["id"] == in_seconds
    header = datetime.fromisoformat(newest(installation)["headers"]["expires"])
    at_a_time = submit(installation, f"expires={quote('2027-01-01T00:00:00+08:00')}").json["task_id"]

    assert timedelta(0) <= header - before - timedelta(seconds=90.5) < timedelta(seconds=30)
    assert newest(installation)["headers"]["expires"] == "2026-12-31T16:00:00+00:00"
    client, keys = installation.backend.client, installation.backend.keys
    assert client.hget(keys.ledger(at_a_time), "expires") == b"1798732800000"
    assert client.zscore(keys.deadlines, f"start {at_a_time}") == 1798732800000
    assert client.hget(keys.ledger(in_seconds), "deadline") is None


def test_a_job_for_later_may_expire_after_that(installation: Installation) -> None:
    for query in ("delay=10&expires=11", "at=2030-01-01T00:00:00Z&expires=2030-01-01T00:00:01Z", "delay=0&expires=1"):
        assert submit(installation, query).status_code == 202, query


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300", 300),
        ("1", 1),
        ("5m", 300),
        ("1h30m", 5400),
        ("2h", 7200),
        ("90s", 90),
        ("1h1m1s", 3661),
        (" 5m ", 300),
    ],
)
def test_cancel_after_is_seconds_or_a_duration(text: str, seconds: int, installation: Installation) -> None:
    task_id = submit(installation, Cancel_After=text).json["task_id"]

    client, keys = installation.backend.client, installation.backend.keys
    submitted = installation.backend.records.get(task_id).submitted_at
    assert submitted is not None
    deadline = round(submitted.timestamp() * 1000) + seconds * 1000
    assert int(client.hget(keys.ledger(task_id), "deadline")) == deadline
    assert newest(installation)["headers"]["taskgate"]["deadline"] == deadline
    assert client.zscore(keys.deadlines, f"end {task_id}") == deadline


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        *[(f"priority={text}", {}, "priority") for text in ("-1", "10", "1.5", "high", "")],
        *[(f"expires={text}", {}, "expires") for text in ("0", "-1", "nan", "inf", "soon", "", "999999999", "1_0")],
        *[(f"expires={text}", {}, "expires") for text in ("2026-11-23T00:00:00", "2026-02-30T00:00:00Z")],
        *[(query, {}, "expires") for query in ("delay=10&expires=10", "delay=10&expires=9")],
        ("at=2030-01-01T00:00:00Z&expires=2030-01-01T00:00:00Z", {}, "expires"),
        *[(f"queue={text}", {}, "queue") for text in ("", "fastest", "default", "usual,slow", "%00")],
        *[
            ("", {"Cancel_After": text}, "Cancel-After")
            for text in (
                "",
                "0",
                "-1",
                "1.5",
                "0s",
                "0h0m",
                "m",
                "5x",
                "5 m",
                "1m1h",
                "1d",
                "400000000",
                "99999h",
                "٣",
            )
        ],
        ("delay=60", {"Cancel_After": "1m"}, "Cancel-After"),
    ],
)
def test_what_cannot_be_is_refused(
    query: str, headers: dict[str, str], field: str, installation: Installation
) -> None:
    ann = installation.headers("ann") | {name.replace("_", "-"): value.encode() for name, value in headers.items()}
    before = installation.what_is_kept()

    answer = installation.client.post(f"{WISHED}?{query}", json={}, headers=ann)

    assert_problem(answer, 422, field)
    assert set(answer.json["errors"]) == {field}
    assert installation.what_is_kept() == before


def test_two_times_to_cancel_are_refused(installation: Installation) -> None:
    sent = [*installation.headers("ann").items(), ("Cancel-After", "5m"), ("Cancel-After", "6m")]

    assert_problem(installation.client.post(WISHED, json={}, headers=sent), 422, "Cancel-After")


def test_a_queue_that_is_none_of_the_tasks_is_answered_with_those_that_are(installation: Installation) -> None:
    answer = submit(installation, "queue=compute")

    assert answer.json["errors"] == {"queue": ["This task takes: usual, fast, slow."]}
    assert submit(installation, "queue=usual").status_code == 202
    assert submit(installation, "queue=slow").status_code == 202
    assert newest(installation, "slow")["headers"]["task"] == "probe.wished"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("priority=1", {}), ("priority=2", {})),
        (("expires=60", {}), ("", {})),
        (("queue=fast", {}), ("queue=slow", {})),
        (("", {"Cancel_After": "5m"}), ("", {"Cancel_After": "6m"})),
        (("", {"Cancel_After": "5m"}), ("", {})),
    ],
)
def test_they_belong_to_what_an_idempotency_key_names(first: Any, second: Any, installation: Installation) -> None:
    key = f"wished-{first}-{second}".encode().hex()[:200]

    accepted = submit(installation, first[0], Idempotency_Key=key, **first[1])
    again = submit(installation, first[0], Idempotency_Key=key, **first[1])
    other = submit(installation, second[0], Idempotency_Key=key, **second[1])

    assert (accepted.status_code, again.status_code) == (202, 202)
    assert again.json["task_id"] == accepted.json["task_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert_problem(other, 422)


def test_the_same_time_in_another_spelling_is_the_same_submission(installation: Installation) -> None:
    answers = [submit(installation, Cancel_After=text, Idempotency_Key="spelling").json for text in ("5m", "300")]

    assert answers[0]["task_id"] == answers[1]["task_id"]


def test_tasks_tell_their_queues_and_limits(installation: Installation) -> None:
    ann = installation.headers("ann")
    wished = installation.client.get(f"{API}/tasks/probe.wished", headers=ann).json
    adds = installation.client.get(f"{API}/tasks/maintenance.adds", headers=ann).json

    assert (wished["queue"], wished["queues"]) == ("usual", ["usual", "fast", "slow"])
    assert (adds["queue"], adds["queues"]) == ("usual", ["usual"])
    assert wished["limits"] == {
        "time_limit": 600,
        "soft_time_limit": None,
        "rate_limit": None,
        "rate_limit_scope": None,
        "max_retries": 1,
        "queue_limit": 1_000_000,
        "owner_limit": None,
    }
    assert adds["limits"]["time_limit"] == 10
    document = installation.client.get(f"{API}/openapi.json").json
    parameters = document["paths"][WISHED]["post"]["parameters"]
    (queue,) = [parameter for parameter in parameters if parameter["name"] == "queue"]
    assert queue["schema"]["enum"] == ["usual", "fast", "slow"]
    assert {"priority", "expires", "Cancel-After"} <= {parameter["name"] for parameter in parameters}


def test_what_a_stock_worker_has_started_in_time_does_not_expire(installation: Installation) -> None:
    """It tells the record alone, by Celery's own means."""
    task_id = submit(installation, "expires=2026-01-01T00:00:00Z").json["task_id"]
    other = submit(installation, "expires=2026-01-01T00:00:00Z").json["task_id"]
    client, keys = installation.backend.client, installation.backend.keys
    client.set(keys.meta(task_id), json.dumps({"status": "STARTED", "result": None, "task_id": task_id}))

    cancel_late(installation.app.extensions["celery"])

    assert installation.backend.records.get(task_id).state == "STARTED"
    assert installation.backend.records.get(other).state == "REVOKED"
    assert client.zscore(keys.deadlines, f"start {task_id}") is None
