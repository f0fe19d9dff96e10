"""Polling: ETags and 304, and answers that are held until there is something new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.api_keys import Scope
from app.extensions import db
from tests.conftest import wait_until
from tests.installation import API, Installation, assert_problem

#: Seconds for which requests are held here; nothing that is waited for takes as long.
HELD = 25

PROGRESS = {"current": 1, "total": 2, "message": "x"}


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def poll(installation: Installation, ann: dict[str, str]) -> Callable[..., TestResponse]:
    """``poll("results/<id>?wait=1", etag)`` with ann's key."""

    def get(path: str, etag: str | None = None, headers: dict[str, str] = ann) -> TestResponse:
        return installation.client.get(
            f"{API}/{path}", headers=headers if etag is None else {**headers, "If-None-Match": etag}
        )

    return get


@contextmanager
def held(
    installation: Installation, background: ThreadPoolExecutor, call: Callable[[], Any]
) -> Iterator[Future[Any]]:
    """A call that has come to wait, and must have its answer when the block has ended, in a fraction of its time."""
    hub = installation.app.extensions["job_watch"]
    before = len(hub)
    future = background.submit(call)
    wait_until(lambda: len(hub) > before or future.done(), what="the call to be held")
    time.sleep(0.1)
    assert not future.done(), future.result().text
    yield future
    started = time.monotonic()
    future.result(HELD)
    assert time.monotonic() - started < HELD / 3


def store(installation: Installation, task_id: str, state: str, result: Any = None) -> None:
    assert installation.backend.store_state(task_id, PROGRESS if state == "PROGRESS" else result, state)


def test_the_same_representation_is_a_304(installation: Installation, poll: Callable[..., TestResponse]) -> None:
    task_id = installation.accept("ann")
    first = poll(f"results/{task_id}")
    etag = first.headers["ETag"]

    same = poll(f"results/{task_id}", etag)
    assert (first.status_code, same.status_code, same.data) == (200, 304, b"")
    assert etag.startswith('"')
    assert (same.headers["ETag"], same.headers["Retry-After"]) == (etag, first.headers["Retry-After"])
    assert same.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-store"
    assert "Content-Type" not in same.headers

    store(installation, task_id, "PROGRESS")
    other = poll(f"results/{task_id}", etag)
    assert (other.status_code, other.json["state"]) == (200, "PROGRESS")
    assert other.headers["ETag"] != etag


def test_a_final_one_is_a_304_too_and_names_no_time(
    installation: Installation, poll: Callable[..., TestResponse]
) -> None:
    task_id = installation.accept("ann")
    store(installation, task_id, "SUCCESS", 3)
    etag = poll(f"results/{task_id}").headers["ETag"]

    answer = poll(f"results/{task_id}?wait={HELD}", etag)

    assert (answer.status_code, "Retry-After" in answer.headers) == (304, False)


@pytest.mark.parametrize("known", ["W/{}", '"other", {}', "*"])
def test_how_a_client_may_name_what_it_has(
    installation: Installation, poll: Callable[..., TestResponse], known: str
) -> None:
    task_id = installation.accept("ann")
    etag = poll(f"results/{task_id}").headers["ETag"]

    assert poll(f"results/{task_id}", known.format(etag)).status_code == 304
    assert poll(f"results/{task_id}", '"other"').status_code == 200


def test_an_admin_sees_more_and_so_has_another_etag(
    installation: Installation, poll: Callable[..., TestResponse]
) -> None:
    root = installation.headers("root", Scope.ADMIN)
    task_id = installation.accept("ann")
    ours, admins = poll(f"results/{task_id}"), poll(f"results/{task_id}", headers=root)

    assert ours.headers["ETag"] != admins.headers["ETag"]
    assert poll(f"results/{task_id}", ours.headers["ETag"], headers=root).status_code == 200


def test_without_an_etag_it_is_held_until_the_job_is_final(
    installation: Installation, background: ThreadPoolExecutor, poll: Callable[..., TestResponse]
) -> None:
    task_id = installation.accept("ann")
    with held(installation, background, lambda: poll(f"results/{task_id}?wait={HELD}")) as answer:
        store(installation, task_id, "STARTED")
        store(installation, task_id, "PROGRESS")
        time.sleep(0.2)
        assert not answer.done()
        store(installation, task_id, "SUCCESS", 3)

    assert (answer.result().status_code, answer.result().json["result"]) == (200, 3)


def test_with_an_etag_it_is_held_until_there_is_another_one(
    installation: Installation, background: ThreadPoolExecutor, poll: Callable[..., TestResponse]
) -> None:
    task_id = installation.accept("ann")
    etag = poll(f"results/{task_id}").headers["ETag"]
    with held(installation, background, lambda: poll(f"results/{task_id}?wait={HELD}", etag)) as answer:
        store(installation, task_id, "PROGRESS")
    assert answer.result().json["state"] == "PROGRESS"

    etag = answer.result().headers["ETag"]
    with held(installation, background, lambda: poll(f"results/{task_id}?wait={HELD}", etag)) as answer:
        store(installation, task_id, "PROGRESS")  # which changes nothing
        time.sleep(0.2)
        assert not answer.done()
        store(installation, task_id, "FAILURE", {"exc_type": "ValueError", "exc_message": ["x"], "exc_module": ""})
    assert answer.result().json["error"] == {"type": "ValueError", "message": "x"}


def test_an_etag_of_something_else_holds_nothing(
    installation: Installation, poll: Callable[..., TestResponse]
) -> None:
    started = time.monotonic()

    answer = poll(f"results/{installation.accept('ann')}?wait={HELD}", '"of before"')

    assert (answer.status_code, answer.json["state"]) == (200, "PENDING")
    assert time.monotonic() - started < HELD / 3


@pytest.mark.parametrize(("etag", "status"), [(False, 200), (True, 304)])
def test_when_the_time_is_over_it_is_answered_as_it_is(
    installation: Installation, poll: Callable[..., TestResponse], etag: bool, status: int
) -> None:
    task_id = installation.accept("ann")
    known = poll(f"results/{task_id}").headers["ETag"] if etag else None
    started = time.monotonic()

    answer = poll(f"results/{task_id}?wait=0.5", known)

    assert time.monotonic() - started >= 0.5
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "1")
    assert len(installation.app.extensions["job_watch"]) == 0


@pytest.mark.parametrize("wait", ["-1", "30.5", "nan", "inf", "long", ""])
def test_a_wait_that_cannot_be(installation: Installation, poll: Callable[..., TestResponse], wait: str) -> None:
    assert_problem(poll(f"results/{installation.accept('ann')}?wait={wait}"), 422, "wait")


def test_a_wait_for_nothing_ends_at_once(
    installation: Installation, poll: Callable[..., TestResponse], bob: dict[str, str]
) -> None:
    expired = installation.accept("ann")
    store(installation, expired, "SUCCESS", 1)
    installation.expire(expired)
    started = time.monotonic()

    assert_problem(poll(f"results/unknown?wait={HELD}"), 404)
    assert_problem(poll(f"results/{installation.accept('ann')}?wait={HELD}", headers=bob), 404)
    assert_problem(poll(f"results/{expired}?wait={HELD}"), 410)
    assert time.monotonic() - started < HELD / 3


def test_when_too_many_are_held_the_next_is_answered_at_once(
    installation: Installation,
    background: ThreadPoolExecutor,
    poll: Callable[..., TestResponse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(installation.app.extensions["job_watch"], "_limit", 1)
    task_id = installation.accept("ann")
    with held(installation, background, lambda: poll(f"results/{task_id}?wait={HELD}")):
        started = time.monotonic()
        answer = poll(f"results/{task_id}?wait={HELD}")
        assert (answer.status_code, answer.json["state"], answer.headers["Retry-After"]) == (200, "PENDING", "1")
        assert time.monotonic() - started < HELD / 3
        store(installation, task_id, "SUCCESS", 1)


def test_a_held_request_keeps_no_connection_to_the_database(
    installation: Installation, background: ThreadPoolExecutor, poll: Callable[..., TestResponse]
) -> None:
    task_id = installation.accept("ann")
    new = installation.headers("ann")  # which is not remembered yet, so SQL is asked
    with held(installation, background, lambda: poll(f"results/{task_id}?wait={HELD}", headers=new)):
        with installation.app.app_context():
            assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        store(installation, task_id, "SUCCESS", 1)
