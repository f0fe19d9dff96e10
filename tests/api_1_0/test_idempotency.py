"""A submission repeated under its key is the same job; limits are checked in the step that accepts a job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from config import BROKER_DATABASE
from tests.installation import API, Installation, an_installation, assert_problem

SUBMIT = f"{API}/tasks/maintenance.adds/jobs"
BODY = {"a": 1, "b": 2}


def submit(installation: Installation, headers: dict[str, str], key: str | None = None, **request: Any) -> Any:
    keyed = headers if key is None else {**headers, "Idempotency-Key": key}
    return installation.client.post(request.pop("url", SUBMIT), headers=keyed, **{"json": BODY, **request})


@pytest.fixture
def key() -> str:
    return f"order {uuid4()}"


def quoted(key: str) -> str:
    return f'"{key}"'


def test_the_same_submission_is_the_same_job(installation: Installation, ann: dict[str, str], key: str) -> None:
    first = submit(installation, ann, quoted(key))
    kept = installation.what_is_kept()
    # Its members in another order, which in JSON is the same object.
    again = submit(installation, ann, quoted(key), json={"b": 2, "a": 1})

    assert (first.status_code, again.status_code) == (202, 202)
    # The access token lasts from now on, so that it may be another one.
    assert again.json | {"access_token": ""} == first.json | {"access_token": ""}
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert installation.what_is_kept() == kept


def test_quotes_are_not_part_of_the_key(installation: Installation, ann: dict[str, str]) -> None:
    key = f'with"quote-{uuid4()}'
    first = submit(installation, ann, '"' + key.replace('"', '\\"') + '"')
    bare = submit(installation, ann, f"bare-{key.replace(chr(34), '')}")
    bare_again = submit(installation, ann, f'"bare-{key.replace(chr(34), "")}"')

    assert first.status_code == 202
    assert bare_again.json["task_id"] == bare.json["task_id"] != first.json["task_id"]


@pytest.mark.parametrize(
    ("url", "body"),
    [(SUBMIT, {"a": 1, "b": 3}), (f"{SUBMIT}?delay=60", BODY), (SUBMIT.replace("adds", "match_self_table"), {})],
)
def test_another_submission_under_the_key_is_refused(
    url: str, body: dict[str, int], installation: Installation, ann: dict[str, str], key: str
) -> None:
    submit(installation, ann, quoted(key))
    kept = installation.what_is_kept()

    assert_problem(submit(installation, ann, quoted(key), url=url, json=body), 422)

    assert installation.what_is_kept() == kept


def test_a_refused_submission_leaves_its_key_free(installation: Installation, ann: dict[str, str], key: str) -> None:
    assert_problem(submit(installation, ann, quoted(key), json={"a": "one"}), 422, "a")

    assert submit(installation, ann, quoted(key)).status_code == 202


def test_each_owner_has_keys_of_their_own(
    installation: Installation, ann: dict[str, str], bob: dict[str, str], key: str
) -> None:
    of_ann, of_bob = (
        submit(installation, ann, quoted(key)),
        submit(installation, bob, quoted(key), json={"a": 0, "b": 0}),
    )

    assert of_bob.status_code == 202
    assert of_ann.json["task_id"] != of_bob.json["task_id"]


def test_of_many_at_once_one_is_the_job(installation: Installation, ann: dict[str, str], key: str) -> None:
    with ThreadPoolExecutor(16) as executor:
        answers = list(executor.map(lambda _: submit(installation, ann, quoted(key)), range(64)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["task_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1


@pytest.mark.parametrize("bad", ["", '""', "x" * 256, '"' + "x" * 256 + '"', 'open"', '"open', "two words", "ключ"])
def test_a_key_that_cannot_be_used_says_so(bad: str, installation: Installation, ann: dict[str, str]) -> None:
    kept = installation.what_is_kept()

    assert_problem(submit(installation, ann, bad.encode().decode("latin-1")), 400)

    assert installation.what_is_kept() == kept


def test_two_keys_at_once_say_so(installation: Installation, ann: dict[str, str]) -> None:
    headers = [*ann.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]

    assert_problem(installation.client.post(SUBMIT, json=BODY, headers=headers), 400)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    settings = {"QUEUE_LIMIT": "7", "OWNER_LIMIT": "5", "IDEMPOTENCY_TTL": "1"}
    with an_installation(tmp_path_factory.mktemp("narrow"), **settings) as installation:
        yield installation


def test_limits_hold_for_many_at_once_and_give_way_when_jobs_end(narrow: Installation) -> None:
    ann, bob = narrow.headers("ann"), narrow.headers("bob")
    with ThreadPoolExecutor(16) as executor:
        answers = list(executor.map(lambda _: submit(narrow, ann), range(20)))
    taken = [answer for answer in answers if answer.status_code == 202]
    kept = narrow.what_is_kept()

    assert len(taken) == 5
    for refused in (answer for answer in answers if answer.status_code != 202):
        assert_problem(refused, 429)
        assert int(refused.headers["Retry-After"]) > 0
    assert [submit(narrow, bob).status_code for _ in range(2)] == [202, 202]
    full = submit(narrow, bob)
    assert_problem(full, 503)
    assert int(full.headers["Retry-After"]) > 0

    assert narrow.client.delete(f"{API}/jobs/{taken[0].json['task_id']}", headers=ann).status_code == 202
    with Redis.from_url(f"{narrow.redis.url}/{BROKER_DATABASE}") as broker:
        broker.rpop("default")
    assert submit(narrow, ann).status_code == 202
    assert kept != narrow.what_is_kept()


def test_a_key_is_forgotten_after_its_time(narrow: Installation, key: str) -> None:
    eve = narrow.headers("eve")
    with Redis.from_url(f"{narrow.redis.url}/{BROKER_DATABASE}") as broker:
        broker.delete("default")
    first = submit(narrow, eve, quoted(key)).json["task_id"]
    deadline = time.monotonic() + 10

    while submit(narrow, eve, quoted(key)).json["task_id"] == first:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    "query", ["delay=3600", "at={}", "delay=1&at={}", "delay=3600&at=2000-01-01T00:00:00Z"], ids=str
)
def test_a_job_for_later_says_when_it_runs(query: str, installation: Installation, ann: dict[str, str]) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)

    job = submit(installation, ann, url=f"{SUBMIT}?{query.format(due.strftime('%Y-%m-%dT%H:%M:%SZ'))}").json

    polled = installation.client.get(job["links"]["result"], headers=ann).json
    assert polled["state"] == "PENDING"
    assert abs(datetime.fromisoformat(polled["next_run_at"]) - due) < timedelta(seconds=10)
    with Redis.from_url(f"{installation.redis.url}/{BROKER_DATABASE}") as broker:
        assert broker.zscore("taskgate-delayed", job["task_id"]) == pytest.approx(due.timestamp(), abs=10)
        installation.client.delete(job["links"]["cancel"], headers=ann)
        assert broker.zscore("taskgate-delayed", job["task_id"]) is None
        assert not broker.hexists("taskgate-delayed-messages", job["task_id"])


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00%2B01:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"]
)
def test_the_ends_of_time_are_times(at: str, installation: Installation, ann: dict[str, str]) -> None:
    job = submit(installation, ann, url=f"{SUBMIT}?at={at}")

    assert job.status_code == 202
    assert installation.client.get(job.json["links"]["result"], headers=ann).json["state"] == "PENDING"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(("delay=-1", "delay"), ("delay=x", "delay"), ("delay=inf", "delay"), ("delay=nan", "delay")),
        *(("delay=1e12", "delay"), ("at=tomorrow", "at"), ("at=2030-01-01T00:00:00", "at"), ("later=1", "later")),
    ],
)
def test_a_time_that_cannot_be_meant_says_so(
    query: str, field: str, installation: Installation, ann: dict[str, str]
) -> None:
    kept = installation.what_is_kept()

    assert_problem(submit(installation, ann, url=f"{SUBMIT}?{query}"), 422, field)

    assert installation.what_is_kept() == kept
