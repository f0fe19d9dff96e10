"""Following a batch over HTTP: its jobs by page and state, ETags, held requests, other owners, its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from libs.flask_celery import JobState, ledger
from libs.flask_celery.batches.then import submit_overdue
from tests.conftest import wait_until
from tests.installation import API, Installation, an_installation, assert_problem

BATCHES = f"{API}/batches"
JOB = {"task": "maintenance.adds", "params": {"a": 1, "b": 2}}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("batches")) as installation:
        yield installation


@pytest.fixture
def ann(installation: Installation) -> dict[str, str]:
    """Somebody new, whose batches are those of the test."""
    return installation.headers(f"ann-{uuid4()}")


def submitted(installation: Installation, headers: dict[str, str], count: int, **more: Any) -> Any:
    answer = installation.client.post(BATCHES, json={"jobs": [JOB] * count, **more}, headers=headers)
    assert answer.status_code == 202, answer.json
    return answer.json


def ids_of(batch: Any) -> list[str]:
    return [outcome["task_id"] for outcome in batch["outcomes"]]


def finish(installation: Installation, *task_ids: str) -> None:
    for task_id in task_ids:
        installation.backend.store_state(task_id, 3, JobState.SUCCESS.value)


def test_its_jobs_come_page_by_page_in_the_order_sent(installation: Installation, ann: dict[str, str]) -> None:
    batch = submitted(installation, ann, 7)
    ids = ids_of(batch)
    finish(installation, *ids[::2])
    address = batch["links"]["self"]

    def walk(query: str) -> list[list[str]]:
        pages, cursor = [], ""
        while True:
            page = installation.client.get(f"{address}?{query}{cursor}", headers=ann).json
            pages.append([job["task_id"] for job in page["jobs"]])
            if page["next"] is None:
                return pages
            cursor = f"&cursor={page['next']}"

    assert [task_id for page in walk("limit=3") for task_id in page] == ids
    assert max(map(len, walk("limit=3"))) == 3
    assert [task_id for page in walk("limit=2&state=SUCCESS") for task_id in page] == ids[::2]
    assert walk("limit=100&state=FAILURE") == [[]]
    assert walk("limit=0") == [[]]
    first = installation.client.get(address, headers=ann).json
    assert (first["counts"]["SUCCESS"], first["counts"]["PENDING"], first["ready"]) == (4, 3, False)


@pytest.mark.parametrize("query", ["limit=101", "limit=-1", "cursor=x", "cursor=-1", "state=DONE", "wait=31"])
def test_a_query_that_cannot_be_meant(installation: Installation, ann: dict[str, str], query: str) -> None:
    batch = submitted(installation, ann, 1)

    assert_problem(
        installation.client.get(f"{batch['links']['self']}?{query}", headers=ann),
        422,
        query.partition("=")[0],
    )


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=x", "cursor=1-%0a", "cursor="])
def test_a_page_of_batches_that_is_none(installation: Installation, ann: dict[str, str], query: str) -> None:
    assert_problem(installation.client.get(f"{BATCHES}?{query}", headers=ann), 422, query.partition("=")[0])


def test_ones_batches_are_listed_newest_first(installation: Installation, ann: dict[str, str]) -> None:
    ids = [submitted(installation, ann, 1)["batch_id"] for _ in range(5)]
    submitted(installation, installation.headers("somebody else"), 1)
    seen, cursor = [], ""
    while True:
        page = installation.client.get(f"{BATCHES}?limit=2{cursor}", headers=ann).json
        seen += [batch["batch_id"] for batch in page["batches"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert sorted(seen) == sorted(ids)  # within a millisecond any order will do
    assert len(seen) == 5


def test_its_etag_changes_with_it(installation: Installation, ann: dict[str, str]) -> None:
    batch = submitted(installation, ann, 2)
    address = batch["links"]["self"]
    first = installation.client.get(address, headers=ann)
    known = {**ann, "If-None-Match": first.headers["ETag"]}

    unchanged = installation.client.get(address, headers=known)
    finish(installation, ids_of(batch)[0])
    changed = installation.client.get(address, headers=known)

    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert 1 <= int(unchanged.headers["Retry-After"]) <= 30
    assert (changed.status_code, changed.json["counts"]["SUCCESS"]) == (200, 1)
    assert changed.headers["ETag"] != first.headers["ETag"]


class Held:
    """A request in a thread of its own."""

    def __init__(self, installation: Installation, address: str, headers: dict[str, str]) -> None:
        self.answer: Any = None
        self._call = lambda: installation.client.get(address, headers=headers)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.answer = self._call()

    def result(self) -> Any:
        self._thread.join(60)
        return self.answer


def test_a_held_request_is_answered_when_the_batch_is_ready(installation: Installation, ann: dict[str, str]) -> None:
    batch = submitted(installation, ann, 3)
    ids = ids_of(batch)
    held = Held(installation, f"{batch['links']['self']}?wait=30&limit=0", ann)
    wait_until(lambda: len(installation.app.extensions["job_watch"]) == 1, what="the held request")
    finish(installation, *ids[:2])
    time.sleep(0.3)
    assert held.answer is None
    started = time.monotonic()
    finish(installation, ids[2])

    answer = held.result()

    assert answer.json["ready"]
    assert answer.json["counts"]["SUCCESS"] == 3
    assert "Retry-After" not in answer.headers
    assert time.monotonic() - started < 10


def test_with_then_it_is_held_until_that_can_be_polled(
    installation: Installation, ann: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = submitted(installation, ann, 1, then={"task": "batches.collect"})
    held = Held(installation, f"{batch['links']['self']}?wait=30&limit=0", ann)
    wait_until(lambda: len(installation.app.extensions["job_watch"]) == 1, what="the held request")
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "submit_then", lambda *_: None)  # its process was killed before it could
        finish(installation, *ids_of(batch))
    wait_until(lambda: installation.client.get(batch["links"]["self"], headers=ann).json["ready"], what="the end")
    time.sleep(0.3)
    assert held.answer is None
    started = time.monotonic()
    submit_overdue(installation.app.extensions["celery"])

    then = held.result().json["then"]

    assert time.monotonic() - started < 10
    assert then["state"] == "PENDING"
    assert installation.client.get(then["links"]["result"], headers=ann).json["state"] == "PENDING"


def test_with_an_etag_it_is_answered_when_a_job_ends(installation: Installation, ann: dict[str, str]) -> None:
    batch = submitted(installation, ann, 2)
    address = f"{batch['links']['self']}?limit=0"
    known = {**ann, "If-None-Match": installation.client.get(address, headers=ann).headers["ETag"]}
    held = Held(installation, f"{address}&wait=30", known)
    wait_until(lambda: len(installation.app.extensions["job_watch"]) == 1, what="the held request")
    finish(installation, ids_of(batch)[0])

    answer = held.result()

    assert (answer.status_code, answer.json["counts"]["SUCCESS"], answer.json["ready"]) == (200, 1, False)


def test_it_expires_with_its_results(installation: Installation, ann: dict[str, str]) -> None:
    batch = submitted(installation, ann, 1)
    address = batch["links"]["self"]
    finish(installation, *ids_of(batch))
    installation.expire(ids_of(batch)[0])
    [job] = installation.client.get(address, headers=ann).json["jobs"]
    assert (job["task_id"], job["status"]) == (ids_of(batch)[0], 410)
    installation.backend.client.hset(installation.backend.keys.batch(batch["batch_id"]), "expires", 1)

    for answer in (
        installation.client.get(address, headers=ann),
        installation.client.delete(address, headers=ann),
        installation.client.post(f"{address}/cancel", headers=ann),
    ):
        assert_problem(answer, 410)
    assert_problem(installation.client.get(address, headers=installation.headers("eve")), 404)
    assert installation.client.get(BATCHES, headers=ann).json["batches"] == []


@pytest.mark.parametrize("way", ["DELETE", "POST"])
def test_cancelling_is_answered_with_the_batch(installation: Installation, ann: dict[str, str], way: str) -> None:
    batch = submitted(installation, ann, 2, then={"task": "batches.collect"})
    address = batch["links"]["self"] + ("/cancel" if way == "POST" else "")

    answer = installation.client.open(address, method=way, headers=ann)

    assert answer.status_code == 202
    assert (answer.json["counts"]["REVOKED"], answer.json["ready"]) == (2, True)
    assert (answer.json["then"]["state"], answer.json["then"]["links"]) == ("REVOKED", {})
    assert answer.json["cancelled_at"] is not None
    assert_problem(installation.client.open(address, method=way, headers=ann), 409)
    job = installation.client.get(f"{API}/results/{ids_of(batch)[0]}", headers=ann).json
    assert (job["state"], job["batch_id"]) == ("REVOKED", batch["batch_id"])
