"""Answers that have been made are given again for the same record, and for nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery.result import AsyncResult
from kombu.serialization import dumps as serialized
from werkzeug.test import TestResponse

from app.api_1_0 import representing
from app.api_1_0.shown_jobs import OVERHEAD, ShownJob, ShownJobs
from app.api_keys import Scope
from tests.installation import API, Installation, assert_problem

Poll = Callable[..., TestResponse]


@pytest.fixture
def poll(installation: Installation, ann: dict[str, str]) -> Poll:
    def get(path: str, headers: dict[str, str] = ann, **more: str) -> TestResponse:
        return installation.client.get(f"{API}/{path}", headers={**headers, **more})

    return get


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the jobs for which an answer has been made anew."""
    ids: list[str] = []
    make = representing.shown_value

    def counted(principal: Any, record: Any) -> Any:
        ids.append(record.task_id)
        return make(principal, record)

    monkeypatch.setattr(representing, "shown_value", counted)
    return ids


def ended(installation: Installation, owner: str = "ann", result: Any = 3) -> str:
    task_id = installation.accept(owner)
    assert installation.backend.store_state(task_id, result, "SUCCESS")
    return task_id


def rewrite(installation: Installation, task_id: str, **changes: Any) -> None:
    """As somebody may who has Redis in hand; its time to live stays."""
    backend = installation.backend
    meta = {**backend.decode(backend.client.get(backend.keys.meta(task_id))), **changes}
    backend.client.set(backend.keys.meta(task_id), backend.encode(meta), keepttl=True)


@pytest.mark.parametrize("is_final", [True, False])
def test_the_same_record_is_shown_again_as_it_was(
    installation: Installation, poll: Poll, made: list[str], is_final: bool
) -> None:
    task_id = ended(installation) if is_final else installation.accept("ann")
    answers = [poll(f"results/{task_id}") for _ in range(3)]
    answers.append(poll(f"results/{task_id}?wait=0"))
    many = poll(f"results?task_id={task_id}&task_id={task_id}")

    assert made == [task_id]
    assert len({answer.data for answer in answers}) == len({answer.headers["ETag"] for answer in answers}) == 1
    assert many.json["results"] == [answers[0].json] * 2
    for name in ("Retry-After", "Content-Language", "Vary", "Content-Type", "Cache-Control"):
        assert len({answer.headers.get(name) for answer in answers}) == 1
    assert answers[-1].headers["Content-Language"] == "en"
    same = poll(f"results/{task_id}", **{"If-None-Match": answers[0].headers["ETag"]})
    assert (same.status_code, same.headers["Vary"]) == (304, "Accept-Language")


def test_whose_it_is_is_looked_at_each_time(
    installation: Installation, poll: Poll, bob: dict[str, str], made: list[str]
) -> None:
    task_id = ended(installation)
    assert poll(f"results/{task_id}").status_code == 200

    assert_problem(poll(f"results/{task_id}", bob), 404)
    assert poll(f"results?task_id={task_id}", bob).json["results"][0]["status"] == 404
    assert made == [task_id], "nothing is made for those who may not see it"

    rewrite(installation, task_id, owner="bob")
    assert_problem(poll(f"results/{task_id}"), 404)
    assert poll(f"results/{task_id}", bob).json["result"] == 3


def test_each_view_is_one_of_its_own(installation: Installation, poll: Poll, ann: dict[str, str]) -> None:
    root = installation.headers("root", Scope.ADMIN)
    task_id = ended(installation)
    views: list[tuple[str, dict[str, str], str]] = [
        (query, headers, language)
        for query in ("", "?tz=Asia/Shanghai")
        for headers in (ann, root)
        for language in ("en", "zh")
    ]
    for _ in range(2):
        answers = [
            poll(f"results/{task_id}{query}", headers, **{"Accept-Language": tongue})
            for query, headers, tongue in views
        ]
        assert len({answer.headers["ETag"] for answer in answers}) == len(views)
        for (query, headers, tongue), answer in zip(views, answers, strict=True):
            assert answer.json["finished_at"].endswith("+08:00" if query else "Z")
            assert ("traceback" in answer.json) == (headers is root)
            assert answer.json["state_label"] == {"en": "Done", "zh": "已完成"}[tongue]
            assert answer.headers["Content-Language"] == tongue


def test_what_is_gone_is_gone(installation: Installation, poll: Poll) -> None:
    expired, forgotten, deleted = (ended(installation) for _ in range(3))
    for task_id in (expired, forgotten, deleted):
        assert poll(f"results/{task_id}").json["ready"]
    backend = installation.backend

    installation.expire(expired)
    AsyncResult(forgotten, app=installation.app.extensions["celery"]).forget()
    backend.client.delete(backend.keys.meta(deleted), backend.keys.ledger(deleted))

    assert_problem(poll(f"results/{expired}"), 410)
    assert_problem(poll(f"results/{forgotten}"), 410)
    assert_problem(poll(f"results/{deleted}"), 404)
    statuses = [
        entry["status"]
        for entry in poll(f"results?task_id={expired}&task_id={forgotten}&task_id={deleted}").json["results"]
    ]
    assert statuses == [410, 410, 404]


def test_a_redis_that_has_been_emptied_knows_no_job(installation: Installation, poll: Poll) -> None:
    task_id = ended(installation)
    assert poll(f"results/{task_id}").status_code == 200

    installation.backend.client.flushall()

    assert_problem(poll(f"results/{task_id}"), 404)


def test_that_a_final_job_was_run_again_is_news(installation: Installation, poll: Poll, ann: dict[str, str]) -> None:
    task_id = ended(installation)
    before = poll(f"results/{task_id}")

    again = installation.client.post(f"{API}/jobs/{task_id}/retry", headers=ann).json["task_id"]

    after = poll(f"results/{task_id}", **{"If-None-Match": before.headers["ETag"]})
    assert (before.json["retried_as"], after.status_code, after.json["retried_as"]) == (None, 200, again)


def test_a_stock_worker_may_run_it_again_under_its_id(installation: Installation, poll: Poll) -> None:
    """And store what came of it as Celery does, whatever was there before. Whose it is stands in the ledger then."""
    task_id, backend = ended(installation), installation.backend
    assert poll(f"results/{task_id}").json["result"] == 3
    meta = {"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["x"], "exc_module": "builtins"}}
    meta |= {"traceback": None, "children": [], "date_done": "2026-01-01T00:00:00+00:00", "task_id": task_id}
    backend.client.set(backend.keys.meta(task_id), json.dumps(meta), ex=100)

    assert poll(f"results/{task_id}").json["error"] == {"type": "ValueError", "message": "x"}
    assert poll(f"results/{task_id}").json["task"] == "maintenance.adds"

    backend.client.hset(backend.keys.ledger(task_id), "owner", "bob")
    assert_problem(poll(f"results/{task_id}"), 404)


def test_the_serializer_may_be_changed(installation: Installation, poll: Poll, made: list[str]) -> None:
    task_id, backend = ended(installation), installation.backend
    before = poll(f"results/{task_id}")
    meta = backend.decode(backend.client.get(backend.keys.meta(task_id)))

    backend.client.set(backend.keys.meta(task_id), serialized(meta, "msgpack")[2], keepttl=True)

    after = poll(f"results/{task_id}")
    assert (after.data, after.headers["ETag"]) == (before.data, before.headers["ETag"])
    assert made == [task_id] * 2


def test_while_redis_is_away_nothing_is_answered_from_memory(installation: Installation, poll: Poll) -> None:
    """Nobody could know whether it is still so."""
    task_id = ended(installation)
    assert poll(f"results/{task_id}").status_code == 200
    installation.redis.stop()
    try:
        assert_problem(poll(f"results/{task_id}"), 503)
    finally:
        installation.redis.start()
    assert poll(f"results/{task_id}").json["result"] == 3


class Book:
    """A ``ShownJobs`` that is filled without jobs."""

    def __init__(self, installation: Installation, limit: int) -> None:
        self.shown = ShownJobs(limit)
        self._record = installation.backend.records.get(installation.accept("ann"))

    def keep(self, name: str, *, view: str = "", payload: int = 100, body: int = 100) -> None:
        self.shown.keep(name, b"p" * payload, view, ShownJob(self._record, b"b" * body, "etag"))

    def has(self, name: str, *, view: str = "", payload: int = 100) -> bool:
        return self.shown.find(name, b"p" * payload, view) is not None


def test_those_asked_for_last_are_kept_in_so_many_bytes(installation: Installation) -> None:
    size = OVERHEAD + 200
    book = Book(installation, 10 * size)
    for number in range(10):
        book.keep(f"{number}")
    assert (len(book.shown), book.shown.size) == (10, 10 * size)
    assert book.has("0")

    book.keep("new")
    assert (book.has("0"), book.has("1"), book.has("new")) == (True, False, True)
    assert (len(book.shown), book.shown.size) == (10, 10 * size)

    for number in range(1_000):
        book.keep("0", view=f"{number}", payload=100 + number % 3)
        assert book.shown.size <= 10 * size
    assert book.shown.size == sum(entry.size for entry in book.shown._entries.values())


def test_one_large_job_does_not_drive_out_all_others(installation: Installation) -> None:
    book = Book(installation, 20_000)
    book.keep("small")
    book.keep("large", payload=1_000_000, body=1_000_000)
    assert (book.has("small"), book.has("large", payload=1_000_000)) == (True, False)

    book.keep("small", view="other", body=100_000)
    assert (len(book.shown), book.shown.size) == (0, 0)


def test_one_that_keeps_nothing(installation: Installation, poll: Poll, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(installation.app.extensions, "shown_jobs", ShownJobs(0))
    task_id = ended(installation)

    assert [poll(f"results/{task_id}").json["result"] for _ in range(2)] == [3, 3]
    assert len(installation.app.extensions["shown_jobs"]) == 0
