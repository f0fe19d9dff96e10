"""Short jobs that start without asking, because their claim has: what that may not change."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.app.task import Context
from redis import Redis

from libs.flask_celery import JobState, StateChange
from libs.flask_celery.acceptance import FENCE_HEADER
from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.current_job import ActiveJob
from libs.flask_celery.delivery_scripts import CLAIM
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.figures.counting import read_counts
from libs.flask_celery.permits import PERMITTED_UNTIL, VOID_AFTER, UntoldStart
from tests.conftest import Worker, wait_until
from tests.delivery.conftest import Marks, times_read

TASK = "test.work"


@pytest.fixture
def channel(celery_app: Celery) -> Any:
    with celery_app.connection_for_read() as connection:
        yield connection.default_channel


def claimed(channel: ClaimingChannelMixin, *, short: bool = True) -> tuple[str, int, bool]:
    """The tag of the queue's next message, its number, and whether its job may start."""
    tag = str(uuid4())
    names = channel.lists_of("default")
    tasks = [TASK, 1] if short else []
    arguments = [*['"default"'] * len(names), 0, 0, *channel._where_records_are(), 0, *tasks]
    [(_, _, fence, _, permitted)] = channel.run_script(CLAIM, [*channel.lease_keys, *names], [tag, *arguments])
    return tag, int(fence), bool(permitted)


def run_of(backend: Any, task_id: str, fence: int, *, permitted_for: float = 0.0, retries: int = 0) -> Context:
    """A run, as a worker has it."""
    facts = SubmissionFacts(submitted_at=time.time_ns() // 1_000_000).to_header()
    properties = {PERMITTED_UNTIL: time.monotonic() + permitted_for}
    headers = {HEADER: facts, FENCE_HEADER: fence}
    run = Context(id=task_id, task=TASK, retries=retries, is_eager=False, properties=properties, **headers)
    run.active_job = ActiveJob(backend, run)
    run.reported = False
    return run


def events(backend: Any, task_id: str) -> list[str]:
    page = backend.history.events(task_id, 0)
    return [event.data.state.value for event in page.events if isinstance(event.data, StateChange)]


def test_a_short_job_may_start_as_it_is_claimed(celery_app: Celery, channel: ClaimingChannelMixin) -> None:
    celery_app.send_task(TASK, ("a",))
    celery_app.send_task(TASK, ("b",))

    assert claimed(channel)[2]
    assert not claimed(channel, short=False)[2]


@pytest.mark.parametrize(
    "options",
    [
        {"expires": datetime.now(UTC) + timedelta(hours=1)},
        {"headers": {"taskgate": {"submitted_at": 1, "owner": "ann", "deadline": 4_000_000_000_000}}},
        {"retries": 1},
    ],
    ids=["expires", "deadline", "retry"],
)
def test_one_of_which_there_is_something_to_learn_may_not(
    options: Any, celery_app: Celery, channel: ClaimingChannelMixin
) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",), **options).id
    if "headers" in options:
        backend.client.hset(backend.keys.ledger(task_id), "deadline", 4_000_000_000_000)

    assert not claimed(channel)[2]


@pytest.mark.parametrize("hours_ahead", [0, 5.5, -3], ids=["utc", "india", "brazil"])
@pytest.mark.parametrize(
    ("seconds", "may_start"), [(60, False), (-60, True), (86_400 * 400, False), (-86_400 * 400, True)]
)
def test_one_that_a_stock_client_has_queued_for_later_may_not_before_its_time(
    seconds: float,
    may_start: bool,
    hours_ahead: float,
    celery_app: Celery,
    channel: ClaimingChannelMixin,
    broker: "Redis[bytes]",
) -> None:
    """So who cancels it ends it at once."""
    job = celery_app.send_task(TASK, ("a",), countdown=3600)
    (held,) = broker.hvals("taskgate-delayed-messages")
    message = json.loads(held.split(b"\n", 3)[3])
    eta = datetime.now(timezone(timedelta(hours=hours_ahead))) + timedelta(seconds=seconds)
    message["headers"]["eta"] = eta.isoformat()
    broker.lpush("default", json.dumps(message))

    assert claimed(channel)[2] is may_start

    state = celery_app.backend.records.cancel(job.id)
    assert (state is JobState.REVOKED) is not may_start


def test_one_that_was_cancelled_or_is_claimed_already_may_not(
    celery_app: Celery, channel: ClaimingChannelMixin, broker: "Redis[bytes]"
) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",)).id
    message = broker.lindex("default", 0)
    assert claimed(channel)[2]
    broker.lpush("default", message)  # a second one of the same publication
    assert not claimed(channel)[2]

    backend.client.hdel(backend.keys.ledger(task_id), "claimed")
    broker.lpush("default", message)
    backend.cancel(task_id)
    assert not claimed(channel)[2]


def test_nothing_is_permitted_where_records_are_elsewhere(
    celery_app: Celery, channel: ClaimingChannelMixin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(channel), "_where_records_are", lambda self: ("", "", ""))
    celery_app.send_task(TASK, ("a",))

    assert not claimed(channel)[2]


def test_a_run_by_a_permit_tells_its_start_with_its_end(celery_app: Celery, channel: ClaimingChannelMixin) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",)).id
    _, fence, _ = claimed(channel)
    run = run_of(backend, task_id, fence, permitted_for=1)

    assert backend.store_state(task_id, {"pid": 1}, "STARTED", request=run)
    assert backend.records.get(task_id).state is JobState.PENDING
    assert backend.store_state(task_id, "a", "SUCCESS", request=run)

    assert events(backend, task_id) == ["STARTED", "SUCCESS"]
    times = [event.at for event in backend.history.events(task_id, 0).events]
    assert times == sorted(times)
    ledger = backend.client.hgetall(backend.keys.ledger(task_id))
    assert ledger[b"runs"] == b"1"
    assert not ledger.keys() & {b"claimed", b"fence"}
    counts = read_counts(backend.client.hgetall(backend.keys.counts))
    assert sum(counts.waits[TASK].by_bucket) == sum(counts.runs[TASK].by_bucket) == 1
    assert counts.outcomes[TASK, "SUCCESS"] == counts.ended[TASK, "SUCCESS"] == 1


@pytest.mark.parametrize("state", ["PROGRESS", "RETRY", "FAILURE"])
def test_whatever_is_stored_first_tells_it(state: str, celery_app: Celery, channel: ClaimingChannelMixin) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",)).id
    run = run_of(backend, task_id, claimed(channel)[1], permitted_for=1)
    error = backend.prepare_exception(ValueError("no"))

    backend.store_state(task_id, None, "STARTED", request=run)
    backend.store_state(task_id, error if state == "FAILURE" else None, state, request=run)

    assert events(backend, task_id) == ["STARTED", state]
    assert backend.client.hget(backend.keys.ledger(task_id), "runs") == b"1"


def test_a_job_that_turns_out_not_to_be_short_is_said_to_have_started(
    celery_app: Celery, channel: ClaimingChannelMixin
) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",)).id
    run = run_of(backend, task_id, claimed(channel)[1], permitted_for=1)

    backend.store_state(task_id, {"pid": 1}, "STARTED", request=run)

    wait_until(lambda: backend.records.get(task_id).state is JobState.STARTED, what="the start to be told")
    assert backend.client.hget(backend.keys.ledger(task_id), "claimed") is None
    assert backend.store_state(task_id, "a", "SUCCESS", request=run)
    assert events(backend, task_id) == ["STARTED", "SUCCESS"]


def test_a_permit_that_is_over_is_none(celery_app: Celery, channel: ClaimingChannelMixin) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",)).id
    run = run_of(backend, task_id, claimed(channel)[1])

    backend.store_state(task_id, {"pid": 1}, "STARTED", request=run)

    assert backend.records.get(task_id).state is JobState.STARTED


def test_who_was_frozen_with_a_permit_is_overtaken_by_a_later_one(
    celery_app: Celery, channel: ClaimingChannelMixin, broker: "Redis[bytes]"
) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",)).id
    tag, first, _ = claimed(channel)
    channel.qos.restore_by_tag(tag)
    _, second, permitted = claimed(channel)
    assert permitted

    frozen = run_of(backend, task_id, first)
    assert not backend.store_state(task_id, {"pid": 1}, "STARTED", request=frozen)
    assert frozen.overtaken
    assert not backend.store_state(task_id, "a", "SUCCESS", request=run_of(backend, task_id, first))
    run = run_of(backend, task_id, second, permitted_for=1)
    assert backend.store_state(task_id, {"pid": 1}, "STARTED", request=run)
    assert backend.store_state(task_id, "b", "SUCCESS", request=run)
    assert backend.records.get(task_id).result == "b"


def test_cancelling_one_that_is_about_to_start_asks_it_to_stop(
    celery_app: Celery, channel: ClaimingChannelMixin
) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",)).id
    run = run_of(backend, task_id, claimed(channel)[1], permitted_for=1)

    assert backend.records.cancel(task_id) is JobState.STARTED

    backend.store_state(task_id, {"pid": 1}, "STARTED", request=run)
    progress = {"current": 1, "total": 2, "message": ""}
    assert backend.store_state(task_id, progress, "PROGRESS", request=run, progress=progress)
    assert run.cancel_requested


def test_one_that_was_given_back_is_cancelled_at_once(celery_app: Celery, channel: ClaimingChannelMixin) -> None:
    task_id = celery_app.send_task(TASK, ("a",)).id
    tag, _, permitted = claimed(channel)
    assert permitted

    channel.qos.restore_by_tag(tag)

    assert celery_app.backend.records.cancel(task_id) is JobState.REVOKED


def test_so_is_one_whose_worker_has_not_been_heard_of(celery_app: Celery, channel: ClaimingChannelMixin) -> None:
    backend = celery_app.backend
    task_id = celery_app.send_task(TASK, ("a",)).id
    _, fence, _ = claimed(channel)

    backend.client.hset(backend.keys.ledger(task_id), "claimed", fence - round(VOID_AFTER * 1e6))

    assert backend.records.cancel(task_id) is JobState.REVOKED


def test_a_start_is_told_once_by_whoever_is_first() -> None:
    told: list[int] = []
    start = UntoldStart(told.append)
    start.tell()
    start.tell()
    with start as at:
        assert at is None
    assert told == [start.at]

    failing = UntoldStart(lambda at: 1 // 0)
    failing.tell()
    with failing as at:
        assert at == failing.at


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "solo", "threads", "gevent"])
def test_short_jobs_and_one_that_is_not(
    pool: str,
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    backend = celery_app.backend
    backend.client.hset(backend.keys.run_times, TASK, 1)
    worker = counting_worker("--pool", pool, "--concurrency", "1")
    reads = times_read(broker)
    wait_until(lambda: times_read(broker) > reads + 1, what="the run times")

    ids = [celery_app.send_task(TASK, (f"j{number}",)).id for number in range(30)]
    wait_until(lambda: all(backend.records.get(task_id).state is JobState.SUCCESS for task_id in ids), timeout=60)
    long = celery_app.send_task(TASK, ("long", 3)).id
    wait_until(lambda: backend.records.get(long).state is JobState.STARTED, what="the long one's start")
    assert marks.ends("long") == 0
    wait_until(lambda: backend.records.get(long).state is JobState.SUCCESS)

    for task_id in [*ids, long]:
        assert events(backend, task_id) == ["STARTED", "SUCCESS"]
        record = backend.records.get(task_id)
        assert record.started_at is not None
        assert record.started_at <= record.finished_at
    assert [marks.starts(f"j{number}") for number in range(30)] == [1] * 30
    counts = read_counts(backend.client.hgetall(backend.keys.counts))
    assert counts.outcomes == {(TASK, "SUCCESS"): 31}
    assert sum(counts.waits[TASK].by_bucket) == 31
    worker.stop()
