"""``dead-letters``: listing failed jobs, running them again and putting them aside, without a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.api_keys import Scope
from libs.flask_celery import JobState
from tests.functional.job_runs import job_runs
from tests.installation import API, Installation, assert_problem

DEAD = f"{API}/dead-letters"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with job_runs(tmp_path_factory.mktemp("dead"), OWNER_LIMIT="5", CELERY_REDIS_SOCKET_TIMEOUT="10") as runs:
        yield runs.installation


def failed(installation: Installation, owner: str, task: str = "maintenance.adds") -> str:
    """A job of the owner that has just failed."""
    task_id = installation.accept(owner, task=task)
    error = installation.backend.prepare_exception(ValueError("told to fail"))
    assert installation.backend.store_state(task_id, error, JobState.FAILURE.value)
    time.sleep(0.002)  # each of a millisecond of its own
    return task_id


def listed(installation: Installation, headers: dict[str, str], query: str = "") -> list[str]:
    answer = installation.client.get(f"{DEAD}?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [letter["task_id"] for letter in answer.json["dead_letters"]]


def post(installation: Installation, what: str, headers: dict[str, str], **body: Any) -> Any:
    return installation.client.post(f"{DEAD}/{what}", json=body, headers=headers)


def test_ones_own_failed_jobs_are_listed_newest_first(installation: Installation) -> None:
    ann = installation.headers("ann")
    ids = [failed(installation, "ann") for _ in range(3)]
    failed(installation, "bob")
    done = installation.accept("ann")
    installation.backend.store_state(done, 3, JobState.SUCCESS.value)

    answer = installation.client.get(DEAD, headers=ann).json

    assert [letter["task_id"] for letter in answer["dead_letters"]] == ids[::-1]
    assert answer["next"] is None
    letter = answer["dead_letters"][0]
    assert letter.items() >= {"task": "maintenance.adds", "owner": "ann", "queue": "default"}.items()
    assert letter["error"] == {"type": "ValueError", "message": "told to fail"}
    record = installation.client.get(letter["links"]["result"], headers=ann).json
    times = [datetime.fromisoformat(text) for text in (record["finished_at"], letter["failed_at"])]
    assert abs(times[1] - times[0]) < timedelta(seconds=5)
    assert letter["links"]["retry"] == record["links"]["retry"]


def test_pages_and_filters(installation: Installation) -> None:
    headers = installation.headers("carl")
    adds = [failed(installation, "carl") for _ in range(3)]
    match = failed(installation, "carl", "maintenance.match_self_table")
    failed(installation, "carls brother")
    first = installation.client.get(f"{DEAD}?limit=3", headers=headers).json
    letters = first["dead_letters"]

    assert listed(installation, headers, f"limit=3&cursor={first['next']}") == [adds[0]]
    assert listed(installation, headers, "task=maintenance.match_self_table") == [match]
    assert listed(installation, headers, "task=no.such") == []
    assert listed(installation, headers, f"since={letters[1]['failed_at']}") == [match, adds[2]]
    assert listed(installation, headers, "since=9999-12-31T23:59:59Z") == []


def test_an_admin_sees_everybodys_and_may_ask_for_an_owners(installation: Installation) -> None:
    root = installation.headers("root", Scope.ADMIN)
    dora, emil = failed(installation, "dora"), failed(installation, "emil")

    assert listed(installation, root)[:2] == [emil, dora]
    assert listed(installation, root, "owner=dora") == [dora]
    assert listed(installation, installation.headers("dora"), "owner=dora") == [dora]
    assert_problem(installation.client.get(f"{DEAD}?owner=dora", headers=installation.headers("emil")), 403)
    assert_problem(post(installation, "drop", installation.headers("emil"), task="x", owner="dora"), 403)


def test_a_letter_outlives_its_result(installation: Installation) -> None:
    fay = installation.headers("fay")
    task_id = failed(installation, "fay")
    installation.expire(task_id)

    (letter,) = installation.client.get(DEAD, headers=fay).json["dead_letters"]

    assert (letter["task_id"], letter["task"], letter["error"]) == (task_id, "maintenance.adds", None)
    (outcome,) = post(installation, "retry", fay, task_ids=[task_id]).json["outcomes"]
    assert installation.backend.records.get(outcome["retried_as"]).retry_of == task_id
    assert listed(installation, fay) == []


def test_many_are_run_again_with_an_outcome_each(installation: Installation) -> None:
    gil = installation.headers("gil")
    first, second, theirs = failed(installation, "gil"), failed(installation, "gil"), failed(installation, "hal")
    done, waiting, never = installation.accept("gil"), installation.accept("gil"), str(uuid4())
    installation.backend.store_state(done, 3, JobState.SUCCESS.value)
    internal = failed(installation, "gil", "celery.backend_cleanup")
    asked = [first, done, theirs, waiting, second, never, internal, first]

    answer = post(installation, "retry", gil, task_ids=asked)

    assert answer.status_code == 200
    outcomes = answer.json["outcomes"]
    assert [outcome["task_id"] for outcome in outcomes] == asked[:-1]
    assert [outcome.get("status") for outcome in outcomes] == [None, 409, 404, 409, None, 404, 409]
    for outcome, old in ((outcomes[0], first), (outcomes[4], second)):
        new = installation.client.get(outcome["links"]["result"], headers=gil).json
        assert (new["task_id"], new["retry_of"], new["state"]) == (outcome["retried_as"], old, "PENDING")
    assert outcomes[2] | {"task_id": ""} == outcomes[5] | {"task_id": ""}
    assert listed(installation, gil) == [internal]
    again = post(installation, "retry", gil, task_ids=[first, second]).json["outcomes"]
    assert again == [outcomes[0], outcomes[4]]


def test_a_limit_is_an_outcome_too(installation: Installation) -> None:
    ids = [failed(installation, "ira") for _ in range(7)]

    outcomes = post(installation, "retry", installation.headers("ira"), task_ids=ids).json["outcomes"]

    assert [outcome.get("status") for outcome in outcomes] == [None] * 5 + [429] * 2
    assert listed(installation, installation.headers("ira")) == ids[:4:-1]


def test_those_of_a_filter_are_run_again_a_page_at_a_time(installation: Installation) -> None:
    joe = installation.headers("joe")
    ids = [failed(installation, "joe") for _ in range(3)]
    other = failed(installation, "joe", "maintenance.match_self_table")
    failed(installation, "kim")

    first = post(installation, "retry", joe, task="maintenance.adds", limit=2).json
    second = post(installation, "retry", joe, task="maintenance.adds", cursor=first["next"]).json

    assert [outcome["task_id"] for outcome in first["outcomes"] + second["outcomes"]] == ids[::-1]
    assert second["next"] is None
    assert listed(installation, joe) == [other]
    assert post(installation, "retry", joe, since="9999-12-31T00:00:00Z").json == {"outcomes": [], "next": None}


def test_dropped_ones_keep_their_state_and_can_still_be_run_again(installation: Installation) -> None:
    lea = installation.headers("lea")
    first, second, theirs = failed(installation, "lea"), failed(installation, "lea"), failed(installation, "max")

    by_id = post(installation, "drop", lea, task_ids=[first, theirs]).json["outcomes"]
    again = post(installation, "drop", lea, task_ids=[first]).json["outcomes"]
    by_filter = post(installation, "drop", lea, since="2026-01-01T00:00:00Z").json["outcomes"]

    assert by_id[0] == {"task_id": first, "dropped": True}
    assert (by_id[1]["status"], again[0]["status"]) == (404, 404)
    assert by_filter == [{"task_id": second, "dropped": True}]
    assert listed(installation, lea) == []
    assert listed(installation, installation.headers("max")) == [theirs]
    assert installation.client.get(f"{API}/results/{first}", headers=lea).json["state"] == "FAILURE"
    assert installation.client.post(f"{API}/jobs/{first}/retry", headers=lea).status_code == 202


def test_a_job_that_was_run_again_by_itself_is_no_dead_letter(installation: Installation) -> None:
    nina = installation.headers("nina")
    task_id = failed(installation, "nina")

    assert installation.client.post(f"{API}/jobs/{task_id}/retry", headers=nina).status_code == 202

    assert listed(installation, nina) == []


@pytest.mark.parametrize("what", ["retry", "drop"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "task_ids"),
        ({"limit": 5}, "task_ids"),
        ({"owner": "ann"}, "task_ids"),
        ({"task_ids": []}, "task_ids"),
        ({"task_ids": ["x"] * 1001}, "task_ids"),
        ({"task_ids": [""]}, "task_ids"),
        ({"task_ids": "x"}, "task_ids"),
        ({"task_ids": ["x"], "task": "maintenance.adds"}, "task"),
        ({"task": ""}, "task"),
        ({"since": "yesterday"}, "since"),
        ({"task": "x", "limit": 0}, "limit"),
        ({"task": "x", "limit": 1001}, "limit"),
        ({"task": "x", "cursor": "x"}, "cursor"),
        ({"task": "x", "colour": "red"}, "colour"),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_a_choice_that_is_none(what: str, body: dict[str, Any], field: str, installation: Installation) -> None:
    ann = installation.headers("ann")
    before = installation.what_is_kept()

    assert_problem(post(installation, what, ann, **body), 422, field)

    assert installation.what_is_kept() == before


@pytest.mark.parametrize(
    ("field", "text"),
    [("limit", "0"), ("limit", "101"), ("since", "yesterday"), ("task", ""), ("cursor", "x"), ("colour", "red")],
)
def test_a_filter_that_is_none(field: str, text: str, installation: Installation) -> None:
    assert_problem(installation.client.get(f"{DEAD}?{field}={text}", headers=installation.headers("ann")), 422, field)
