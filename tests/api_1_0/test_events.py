"""Events over HTTP, in one process: where a stream begins and ends, and what is answered when it cannot be one."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.api_1_0.events import SEND_PATIENCE
from tests.conftest import wait_until
from tests.functional.event_streams import Event, read_events
from tests.installation import API, Installation, an_installation, assert_problem

PROGRESS = {"current": 1, "total": 2, "message": "half"}


@pytest.fixture
def follow(installation: Installation, ann: dict[str, str]) -> Callable[..., TestResponse]:
    """``follow(task_id, last="3")`` reads a stream to its end."""

    def get(task_id: str, last: str | None = None, query: str = "", headers: dict[str, str] = ann) -> TestResponse:
        headers = headers if last is None else {**headers, "Last-Event-ID": last}
        return installation.client.get(f"{API}/results/{task_id}/events{query}", headers=headers, buffered=True)

    return get


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def store(installation: Installation, task_id: str, state: str, result: Any = None) -> None:
    if state == "PROGRESS":
        assert installation.backend.store_state(task_id, PROGRESS, state, progress=PROGRESS)
    else:
        assert installation.backend.store_state(task_id, result, state)


def ended_job(installation: Installation) -> str:
    """Its events: 1 STARTED, 2 PROGRESS, 3 progress, 4 SUCCESS."""
    task_id = installation.accept("ann")
    for state in ("STARTED", "PROGRESS", "SUCCESS"):
        store(installation, task_id, state, 3)
    return task_id


def events(answer: TestResponse) -> list[Event]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/event-stream"
    return list(read_events(answer.text.splitlines()))


def names(answer: TestResponse) -> list[tuple[str | None, str]]:
    """Ids with states, or with the event's name where it tells of none."""
    return [(event.id, event.data.get("state", event.kind)) for event in events(answer)]


def wait_for_follower(installation: Installation) -> None:
    wait_until(lambda: len(installation.app.extensions["job_watch"]) == 1, what="the follower")


def test_a_stream_opens_with_the_present_state_goes_on_and_ends_with_the_job(
    installation: Installation, background: ThreadPoolExecutor, follow: Callable[..., TestResponse]
) -> None:
    task_id = installation.accept("ann")
    stream = background.submit(lambda: events(follow(task_id)))
    wait_for_follower(installation)
    time.sleep(0.2)

    for state in ("STARTED", "PROGRESS", "SUCCESS"):
        store(installation, task_id, state, 3)

    told = stream.result(30)
    assert [event.id for event in told] == ["0", "1", "2", "3", "4"]
    assert [event.data.get("state") for event in told] == ["PENDING", "STARTED", "PROGRESS", None, "SUCCESS"]
    opening, progress, end = told[0].data, told[3].data, told[4].data
    assert (opening["ready"], opening["at"], opening["job"]["task_id"]) == (False, None, task_id)
    assert {name: progress[name] for name in PROGRESS} == PROGRESS
    assert progress["at"].endswith("Z")
    # The end carries the result, just as the poll shows it.
    assert (end["ready"], end["job"]["result"]) == (True, 3)
    result = installation.client.get(f"{API}/results/{task_id}", headers=installation.headers("ann")).json
    assert end["job"] == result
    assert result["links"]["events"] == f"{API}/results/{task_id}/events"
    assert len(installation.app.extensions["job_watch"]) == 0


def test_headers_for_proxies_and_when_to_come_again(
    installation: Installation, follow: Callable[..., TestResponse]
) -> None:
    answer = follow(ended_job(installation))

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    first, _, milliseconds = answer.text.splitlines()[0].partition(": ")
    assert first == "retry"
    assert 1_000 <= int(milliseconds) <= 3_000


@pytest.mark.parametrize(
    ("last", "query", "expected"),
    [
        ("1", "", [("2", "PROGRESS"), ("3", "progress"), ("4", "SUCCESS")]),
        (None, "?last_event_id=3", [("4", "SUCCESS")]),
        ("3", "?last_event_id=0", [("4", "SUCCESS")]),
        ("0", "", [("1", "STARTED"), ("2", "PROGRESS"), ("3", "progress"), ("4", "SUCCESS")]),
        (None, "", [("4", "SUCCESS")]),
        (None, "?last_event_id=", [("4", "SUCCESS")]),
    ],
)
def test_a_stream_goes_on_after_the_event_that_the_client_has(
    installation: Installation,
    follow: Callable[..., TestResponse],
    last: str | None,
    query: str,
    expected: list[tuple[str, str]],
) -> None:
    assert names(follow(ended_job(installation), last, query)) == expected


def test_only_the_newest_state_carries_the_job(
    installation: Installation, follow: Callable[..., TestResponse]
) -> None:
    told = [event for event in events(follow(ended_job(installation), "0")) if event.kind == "state"]

    assert [event.data["job"] is None for event in told] == [True, True, False]


def test_who_has_everything_of_a_final_job_is_answered_204(
    installation: Installation, follow: Callable[..., TestResponse]
) -> None:
    answer = follow(ended_job(installation), "4")

    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("unknown", ["5", "999999999999999999", "-1", "x", "1.0", "٣", "1 "])
def test_an_event_that_is_not_known_is_an_error_and_then_the_present_state(
    installation: Installation, follow: Callable[..., TestResponse], unknown: str
) -> None:
    task_id = ended_job(installation)

    gone, present = events(follow(task_id, query=f"?last_event_id={unknown}"))

    assert (gone.kind, gone.id, gone.data["status"]) == ("error", None, 410)
    assert "not kept" in gone.data["detail"]
    assert (present.kind, present.id, present.data["job"]["result"]) == ("state", "4", 3)


def test_history_that_is_gone_is_an_error_and_then_the_present_state(
    installation: Installation, follow: Callable[..., TestResponse]
) -> None:
    task_id = ended_job(installation)
    installation.backend.client.ltrim(installation.backend.keys.events(task_id), -2, -1)

    assert names(follow(task_id, "1")) == [(None, "error"), ("4", "SUCCESS")]
    assert names(follow(task_id, "2")) == [("3", "progress"), ("4", "SUCCESS")]


def test_a_job_that_is_not_there(
    installation: Installation, follow: Callable[..., TestResponse], bob: dict[str, str]
) -> None:
    task_id = ended_job(installation)

    assert_problem(follow("unknown"), 404)
    assert_problem(follow(task_id, headers=bob), 404)
    assert_problem(follow(task_id, "4", headers=bob), 404)
    installation.expire(task_id)
    assert_problem(follow(task_id, "4"), 410)


def test_head_and_options_hold_nobody(installation: Installation, ann: dict[str, str]) -> None:
    address = f"{API}/results/{installation.accept('ann')}/events"

    head = installation.client.head(address, headers=ann)
    options = installation.client.options(address, headers=ann)

    assert (head.status_code, head.headers["Content-Type"], head.data) == (200, "text/event-stream", b"")
    assert (options.status_code, set(options.headers["Allow"].split(", "))) == (200, {"GET", "HEAD", "OPTIONS"})


def test_when_too_many_are_held_the_next_is_a_503_and_who_comes_again_a_stream_that_says_so(
    installation: Installation, follow: Callable[..., TestResponse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation.app.extensions["job_watch"], "_limit", 0)
    task_id = installation.accept("ann")

    refused = follow(task_id)
    assert_problem(refused, 503)
    assert refused.headers["Retry-After"] == "10"

    again = follow(task_id, "0")
    assert [(event.kind, event.data["status"]) for event in events(again)] == [("error", 503)]
    assert again.text.startswith("retry: 10000\n")


def test_redis_away(
    installation: Installation, background: ThreadPoolExecutor, follow: Callable[..., TestResponse]
) -> None:
    """Who follows is told and let go; who comes again is told so in a stream, which browsers come back from."""
    task_id = installation.accept("ann")
    stream = background.submit(lambda: events(follow(task_id)))
    wait_for_follower(installation)
    time.sleep(0.2)
    installation.redis.stop()
    try:
        told = stream.result(15)
        assert [(event.kind, event.data.get("status")) for event in told] == [("state", None), ("error", 503)]
        assert_problem(follow(task_id), 503)
        assert [(event.kind, event.id) for event in events(follow(task_id, "0"))] == [("error", None)]
    finally:
        installation.redis.start()


def test_a_beat_is_heard_when_nothing_is_told(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with an_installation(tmp_path_factory.mktemp("beat"), EVENT_HEARTBEAT="0.1") as installation:
        task_id, headers = installation.accept("ann"), installation.headers("ann")
        timer = threading.Timer(1.0, lambda: store(installation, task_id, "SUCCESS"))
        timer.start()

        answer = installation.client.get(f"{API}/results/{task_id}/events", headers=headers, buffered=True)

        assert 3 <= answer.text.splitlines().count(":") <= 10
        assert [event.kind for event in events(answer)] == ["state", "state"]
        timer.join()
        config = installation.app.config["TASKGATE"]
        assert replace(config, event_heartbeat=15.0) != config  # which is the default


def test_a_process_that_is_about_to_end_lets_streams_and_held_polls_go(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        an_installation(tmp_path_factory.mktemp("ending")) as installation,
        ThreadPoolExecutor(2) as background,
    ):
        task_id, headers = installation.accept("ann"), installation.headers("ann")
        hub = installation.app.extensions["job_watch"]

        def get(path: str) -> TestResponse:
            # Read where it was begun, as a server does.
            return installation.client.get(f"{API}/results/{task_id}{path}", headers=headers, buffered=True)

        calls = [background.submit(get, path) for path in ("/events", "?wait=25")]
        wait_until(lambda: len(hub) == 2, what="both")
        began = time.monotonic()

        hub.dismiss()

        stream, poll = (call.result(30) for call in calls)
        assert time.monotonic() - began < 5
        assert names(stream) == [("0", "PENDING")]
        assert (poll.status_code, poll.json["state"]) == (200, "PENDING")
        assert_problem(get("/events"), 503)
        assert get("?wait=25").json["state"] == "PENDING"
        assert time.monotonic() - began < 10


def test_a_stream_keeps_no_connection_to_the_database(
    installation: Installation, background: ThreadPoolExecutor, follow: Callable[..., TestResponse]
) -> None:
    from app.extensions import db

    task_id, new = installation.accept("ann"), installation.headers("ann")
    stream = background.submit(lambda: follow(task_id, headers=new).text)
    wait_for_follower(installation)
    with installation.app.app_context():
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    store(installation, task_id, "SUCCESS")
    stream.result(30)


def test_a_client_that_takes_nothing_is_given_up(installation: Installation, ann: dict[str, str]) -> None:
    """Its connection has a time-out while it is streamed to, and is given back to gunicorn as it was."""
    task_id = installation.accept("ann")
    ours, clients = socket.socketpair()
    with ours, clients:
        answer = installation.client.get(
            f"{API}/results/{task_id}/events", headers=ann, environ_overrides={"gunicorn.socket": ours}
        )
        assert ours.gettimeout() == SEND_PATIENCE
        answer.close()
        assert ours.gettimeout() is None
    assert len(installation.app.extensions["job_watch"]) == 0
