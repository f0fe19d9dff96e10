"""Many jobs in one poll, and the newest job of a task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from app.api_keys import Scope
from tests.conftest import wait_until
from tests.installation import API, Installation, assert_problem

HELD = 25


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def poll(installation: Installation, ann: dict[str, str]) -> Callable[..., TestResponse]:
    """``poll(["<id>", …], etag, wait=1)`` with ann's key."""

    def get(ids: list[str], etag: str | None = None, headers: dict[str, str] = ann, **query: Any) -> TestResponse:
        return installation.client.get(
            f"{API}/results",
            query_string={"task_id": ids, **query},
            headers=headers if etag is None else {**headers, "If-None-Match": etag},
        )

    return get


def store(installation: Installation, task_id: str, state: str = "SUCCESS") -> None:
    assert installation.backend.store_state(task_id, 3, state)


def test_an_entry_for_each_id_in_the_order_asked(
    installation: Installation, ann: dict[str, str], poll: Callable[..., TestResponse]
) -> None:
    waiting, done, expired, bobs = (installation.accept(owner) for owner in ("ann", "ann", "ann", "bob"))
    store(installation, done)
    store(installation, expired)
    installation.expire(expired)
    bobs_expired = installation.accept("bob")
    store(installation, bobs_expired)
    installation.expire(bobs_expired)

    answer = poll([done, "unknown", expired, waiting, bobs, bobs_expired, done])
    entries = answer.json["results"]

    assert answer.status_code == 200
    assert [entry["task_id"] for entry in entries] == [done, "unknown", expired, waiting, bobs, bobs_expired, done]
    assert [entry.get("status") for entry in entries] == [None, 404, 410, None, 404, 404, None]
    for entry, task_id in ((entries[0], done), (entries[3], waiting)):
        assert entry == installation.client.get(f"{API}/results/{task_id}", headers=ann).json
    assert entries[1].keys() == {"task_id", "type", "title", "status", "detail"}
    assert answer.headers["Retry-After"] == "1"


def test_an_admin_sees_what_an_admin_sees(installation: Installation, poll: Callable[..., TestResponse]) -> None:
    task_id = installation.accept("ann")
    (entry,) = poll([task_id], headers=installation.headers("root", Scope.ADMIN)).json["results"]

    assert entry["owner"] == "ann"


def test_one_round_trip_for_all_of_them(installation: Installation, poll: Callable[..., TestResponse]) -> None:
    ids = [installation.accept("ann") for _ in range(100)]
    with Redis.from_url(installation.redis.url) as redis:
        poll(ids)  # connected, the key remembered
        before = redis.info("commandstats")
        assert len(poll(ids).json["results"]) == 100
        after = redis.info("commandstats")

    calls = {
        name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"]
        for name in after
        if name in ("cmdstat_get", "cmdstat_mget", "cmdstat_hget", "cmdstat_hmget")
    }
    assert {name: count for name, count in calls.items() if count} == {"cmdstat_mget": 1}


def test_the_same_answer_is_a_304(installation: Installation, poll: Callable[..., TestResponse]) -> None:
    ids = [installation.accept("ann"), "unknown"]
    etag = poll(ids).headers["ETag"]

    same = poll(ids, etag)
    assert (same.status_code, same.data, same.headers["Retry-After"]) == (304, b"", "1")
    assert poll(ids[::-1], etag).status_code == 200
    store(installation, ids[0])
    other = poll(ids, etag)
    assert (other.status_code, "Retry-After" in other.headers) == (200, False)


@pytest.mark.parametrize("with_etag", [True, False])
def test_held_until_one_of_them_is_another_one(
    installation: Installation, background: ThreadPoolExecutor, poll: Callable[..., TestResponse], with_etag: bool
) -> None:
    """With an ETag any change counts; without one, one more that is final."""
    ids = [installation.accept("ann") for _ in range(3)]
    store(installation, ids[0])
    etag = poll(ids).headers["ETag"] if with_etag else None
    answer = background.submit(poll, ids, etag, wait=HELD)
    wait_until(lambda: len(installation.app.extensions["job_watch"]) == 1, what="the poll to be held")
    if not with_etag:
        store(installation, ids[2], "STARTED")
    time.sleep(0.3)
    assert not answer.done()
    started = time.monotonic()

    store(installation, ids[1], "STARTED" if with_etag else "SUCCESS")

    states = [entry["state"] for entry in answer.result(HELD).json["results"]]
    assert states == (["SUCCESS", "STARTED", "PENDING"] if with_etag else ["SUCCESS", "SUCCESS", "STARTED"])
    assert time.monotonic() - started < HELD / 3


def test_nothing_to_wait_for(installation: Installation, poll: Callable[..., TestResponse]) -> None:
    done = installation.accept("ann")
    store(installation, done)
    started = time.monotonic()

    assert poll([done, "unknown", installation.accept("bob")], wait=HELD).status_code == 200
    assert time.monotonic() - started < HELD / 3


@pytest.mark.parametrize("ids", [[], [""], ["x" * 65], ["x"] * 101, ["é"], ["x\n"], ["x y"]])
def test_ids_that_cannot_be(poll: Callable[..., TestResponse], ids: list[str]) -> None:
    assert_problem(poll(ids), 422, "task_id")


def test_the_newest_job_of_a_task(installation: Installation) -> None:
    carl = installation.headers("carl")
    now = time.time_ns() // 1_000_000
    tasks = ("maintenance.adds", "maintenance.adds", "maintenance.match_self_table")
    _, newest, _ = (
        installation.accept("carl", task=task, submitted_at=now + number) for number, task in enumerate(tasks)
    )
    installation.accept("bob", submitted_at=now + 10)

    answer = installation.client.get(f"{API}/results/latest/maintenance.adds", headers=carl)

    assert answer.json["task_id"] == newest
    assert answer.headers["Content-Location"] == f"{API}/results/{newest}"
    assert answer.json == installation.client.get(answer.headers["Content-Location"], headers=carl).json
    assert answer.headers["Retry-After"] == "1"
    same = {**carl, "If-None-Match": answer.headers["ETag"]}
    assert installation.client.get(f"{API}/results/latest/maintenance.adds", headers=same).status_code == 304


def test_no_job_of_the_task(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    dora = installation.headers("dora")
    now = time.time_ns() // 1_000_000
    url = f"{API}/results/latest/maintenance.match_self_table"
    assert_problem(installation.client.get(url, headers=dora), 404)
    # The search has an end.
    installation.accept("dora", task="maintenance.match_self_table", submitted_at=now)
    installation.accept("dora", submitted_at=now + 1)
    assert installation.client.get(url, headers=dora).status_code == 200
    monkeypatch.setattr("app.api_1_0.results._MOST_SCANNED", 1)
    assert_problem(installation.client.get(url, headers=dora), 404)
