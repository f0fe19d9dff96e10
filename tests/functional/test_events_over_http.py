"""Events over real HTTP: gunicorn, Redis and a worker, killed and stopped under those who follow a job."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from app.job_tokens import JobAccess
from libs.flask_celery import JobState
from tests.conftest import wait_until
from tests.functional.event_streams import Event, Follower
from tests.functional.job_runs import JobRuns, job_runs, start_probe_worker
from tests.installation import API, ApiServer


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRuns]:
    # None of this is about a disk that is slow to sync.
    settings = {"EVENT_HEARTBEAT": "0.5", "CELERY_REDIS_SOCKET_TIMEOUT": "10"}
    with job_runs(tmp_path_factory.mktemp("events"), **settings) as runs:
        start_probe_worker(runs, "--pool", "threads", "--concurrency", "4")
        yield runs


@pytest.fixture(scope="module")
def server(runs: JobRuns) -> ApiServer:
    return runs.installation.start_api()


@pytest.fixture(scope="module")
def ann(runs: JobRuns) -> dict[str, str]:
    return runs.installation.headers("ann")


def address(server: ApiServer, task_id: str) -> str:
    return f"{server.url}{API}/results/{task_id}/events"


def token(runs: JobRuns, task_id: str) -> str:
    issued: str = runs.installation.app.extensions["job_tokens"].issue(JobAccess(task_id, "ann"))
    return issued


def step_on_record(runs: JobRuns, task_id: str) -> int:
    progress = runs.record(task_id).progress
    return progress.current if progress else 0


def steps_of(events: list[Event]) -> list[int]:
    return [event.data["current"] for event in events if event.kind == "progress"]


def assert_complete(events: list[Event], first: int = 0) -> None:
    """Every event from the first one on, in order, each once."""
    ids = [int(event.id) for event in events if event.id is not None]
    assert ids == list(range(first, first + len(ids)))


def test_a_job_from_its_submission_to_its_end(runs: JobRuns, server: ApiServer, ann: dict[str, str]) -> None:
    job = runs.publish("take_steps", 3, by="ann", countdown=0.5)
    follower = Follower(address(server, job.id), ann)
    follower.wait_for("state", state="STARTED")
    wait_until(lambda: ":" in follower.lines, what="a beat")
    for step in (1, 2, 3):
        runs.say_go(job.id)
        follower.wait_for("progress", current=step)

    events = follower.wait_for_the_end()

    assert_complete(events)
    kinds = [event.data.get("state") or event.data.get("message") or event.kind for event in events]
    assert [kind for kind in kinds if kind != "progress"] == [
        *("PENDING", "STARTED", "step 1", "PROGRESS", "step 2", "step 3", "SUCCESS")
    ]
    assert steps_of(events) == [1, 2, 3]
    assert events[-1].data["job"]["result"] == "arrived"
    assert httpx.get(address(server, job.id), headers={**ann, "Last-Event-ID": follower.last}).status_code == 204


def test_a_submission_names_its_events_and_its_token_opens_them(
    runs: JobRuns, server: ApiServer, ann: dict[str, str]
) -> None:
    submit = f"{server.url}{API}/tasks/maintenance.adds/jobs"
    job = httpx.post(submit, json={"a": 1, "b": 2}, headers=ann).json()

    events = Follower(
        f"{server.url}{job['links']['events']}?access_token={job['access_token']}", {}
    ).wait_for_the_end()
    as_bearer = Follower(
        f"{server.url}{job['links']['events']}", {"Authorization": f"Bearer {job['access_token']}"}, "0"
    ).wait_for_the_end()

    assert events[-1].data["job"]["result"] == 3
    assert_complete(as_bearer, first=1)
    assert job["access_token"] not in server.log


def test_a_stream_goes_on_without_a_gap_or_a_double_after_the_api_was_killed(
    runs: JobRuns, server: ApiServer, ann: dict[str, str]
) -> None:
    job = runs.publish("take_steps", 4, by="ann")
    before = Follower(address(server, job.id), ann)
    before.wait_for("state", state="STARTED")  # what is older than the opening stands in its job
    runs.say_go(job.id)
    before.wait_for("progress", current=1)

    server.kill()
    seen = before.wait_for_the_end()
    runs.say_go(job.id)
    wait_until(lambda: step_on_record(runs, job.id) == 2, what="the step that nobody could tell")
    runs.installation.start_api(server.port)
    after = Follower(address(server, job.id), ann, before.last)
    after.wait_for("progress", current=2)
    for step in (3, 4):
        runs.say_go(job.id)
        after.wait_for("progress", current=step)

    events = seen + after.wait_for_the_end()
    assert_complete(events, first=int(events[0].id or 0))
    assert steps_of(events) == [1, 2, 3, 4]
    assert (events[-1].data["state"], [event for event in events if event.kind == "error"]) == ("SUCCESS", [])


def test_retries_and_cancelling_are_told(runs: JobRuns, server: ApiServer, ann: dict[str, str]) -> None:
    retried = runs.publish("log_much", 1, "retry", by="ann")
    runs.ended(retried.id)
    cancelled = runs.publish("write_row", "cancelled while followed", "until cancelled", by="ann")
    follower = Follower(address(server, cancelled.id), ann)
    follower.wait_for("state", state="PROGRESS")
    runs.celery.backend.records.cancel(cancelled.id)

    events = Follower(address(server, retried.id), ann, "0").wait_for_the_end()

    states = [(event.data["state"], event.data["retries"]) for event in events if event.kind == "state"]
    assert states == [
        *(("STARTED", 0), ("PROGRESS", 0), ("RETRY", 0), ("STARTED", 1), ("PROGRESS", 1), ("SUCCESS", 1)),
    ]
    assert follower.wait_for_the_end()[-1].data["job"]["state"] == "REVOKED"


def test_redis_stopped_and_started_again_under_a_stream(
    runs: JobRuns, server: ApiServer, ann: dict[str, str]
) -> None:
    task_id = runs.installation.accept("ann")

    def say(step: int) -> None:
        progress = {"current": step, "total": 2, "message": ""}
        assert runs.celery.backend.store_state(task_id, progress, "PROGRESS", progress=progress)

    before = Follower(address(server, task_id), ann)
    before.wait_for("state", state="PENDING")
    say(1)
    before.wait_for("progress", current=1)

    runs.installation.redis.stop()
    try:
        seen = before.wait_for_the_end()
        assert (seen[-1].kind, seen[-1].data["status"]) == ("error", 503)
        again = Follower(address(server, task_id), ann, before.last)
        assert [event.kind for event in again.wait_for_the_end()] == ["error"]
        assert httpx.get(address(server, task_id), headers=ann, timeout=20).status_code == 503
    finally:
        runs.installation.redis.start()
    say(2)
    after = Follower(address(server, task_id), ann, before.last)
    after.wait_for("progress", current=2)
    runs.celery.backend.store_state(task_id, 3, "SUCCESS")

    events = seen[:-1] + after.wait_for_the_end()
    assert_complete(events)
    assert steps_of(events) == [1, 2]


def test_a_gunicorn_that_is_stopped_lets_streams_and_held_polls_go(runs: JobRuns, ann: dict[str, str]) -> None:
    server = runs.installation.start_api()
    job = runs.publish("wait", by="ann")
    runs.wait_for_state(job.id, JobState.STARTED)
    stream = Follower(address(server, job.id), ann)
    poll = Follower(f"{server.url}{API}/results/{job.id}?wait=25", ann)
    stream.wait_for("state", state="STARTED")
    wait_until(lambda: stream.lines.count(":") > 1, what="beats")
    began = time.monotonic()

    server.process.terminate()

    wait_until(lambda: stream.has_ended and poll.has_ended, timeout=20, what="both ends")
    took = time.monotonic() - began
    assert took < 3
    assert poll.response is not None
    assert (poll.response.status_code, '"STARTED"' in "".join(poll.lines)) == (200, True)
    server.process.wait(20)
    print(f"\nlet go {took:.2f} s after SIGTERM, gone after {time.monotonic() - began:.2f} s")
    assert "graceful timeout" not in server.log
    runs.say_go(job.id)
