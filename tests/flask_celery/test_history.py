"""A job's events and its log: told in the step that does what they tell, bounded, and by the run that counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery.app.task import Context

from libs.flask_celery import (
    EventKind,
    ExpiredJobError,
    FlaskCelery,
    JobProgress,
    JobState,
    LogLine,
    StateChange,
    TellingSettings,
    UnknownJobError,
)
from libs.flask_celery.acceptance import FENCE_HEADER
from libs.flask_celery.history.history import JobHistory
from libs.flask_celery.history.scripts import EVENT_BYTES, EVENTS_KEPT
from libs.flask_celery.history.telling import LONGEST_LINE, encoded_line

ADDS = "maintenance.adds"


@pytest.fixture
def history(celery_app: FlaskCelery) -> JobHistory:
    history: JobHistory = celery_app.backend.history
    return history


def publish(celery_app: FlaskCelery) -> str:
    task_id: str = celery_app.tasks[ADDS].delay(1, 2).id
    return task_id


def run_of(task_id: str, *, fence: int = 0, retries: int = 0) -> Context:
    """A run of the job, as its delivery has it."""
    return Context(id=task_id, task=ADDS, retries=retries, is_eager=False, **{FENCE_HEADER: fence})


def told(history: JobHistory, task_id: str, after: int = 0) -> list[Any]:
    """What the events say, states by their names."""
    return [
        event.data.state.value if isinstance(event.data, StateChange) else event.data
        for event in history.events(task_id, after).events
    ]


def say(history: JobHistory, task_id: str, *messages: str, run: str = "a", before: int = 0, fence: int = 0) -> bytes:
    lines = [encoded_line(1_764_000_000_000, "info", 0, message) for message in messages]
    return history.add_lines(task_id, fence, run, before, lines, has_ended=False)


def logged(history: JobHistory, task_id: str) -> list[tuple[int, str]]:
    return [(line.number, line.message) for line in history.log(task_id, after=0, limit=10_000).lines]


def test_every_state_of_the_record_is_an_event_and_acceptance_is_number_0(
    celery_app: FlaskCelery, history: JobHistory
) -> None:
    task_id = publish(celery_app)
    page = history.events(task_id, 0)
    assert (page.record.state, page.last, page.events, page.is_gone) == (JobState.PENDING, 0, (), False)

    store = celery_app.backend.store_state
    store(task_id, None, "STARTED")
    progress = {"current": 1, "total": 2, "message": "half"}
    store(task_id, progress, "PROGRESS", progress=progress)
    store(task_id, progress, "PROGRESS", progress=progress | {"current": 2})
    store(task_id, None, "RETRY")
    store(task_id, {}, "UPLOADING")
    store(task_id, 3, "SUCCESS")

    page = history.events(task_id, 0)
    assert [event.number for event in page.events] == list(range(1, 8))
    assert (page.last, page.record.state, page.record.result) == (7, JobState.SUCCESS, 3)
    progress_events = [JobProgress(1, 2, "half"), JobProgress(2, 2, "half")]
    assert told(history, task_id) == ["STARTED", "PROGRESS", *progress_events, "RETRY", "PROGRESS", "SUCCESS"]


def test_cancelling_is_told(celery_app: FlaskCelery, history: JobHistory) -> None:
    task_id = publish(celery_app)

    celery_app.backend.records.cancel(task_id)

    assert told(history, task_id) == ["REVOKED"]


def test_what_is_refused_tells_nothing(celery_app: FlaskCelery, history: JobHistory) -> None:
    task_id = publish(celery_app)
    store = celery_app.backend.store_state
    assert store(task_id, None, "STARTED", request=run_of(task_id, fence=2))

    assert not store(task_id, 1, "SUCCESS", request=run_of(task_id, fence=1))
    assert store(task_id, 2, "SUCCESS", request=run_of(task_id, fence=2))
    assert not store(task_id, 3, "FAILURE")

    assert told(history, task_id) == ["STARTED", "SUCCESS"]


def test_what_comes_after_an_event(celery_app: FlaskCelery, history: JobHistory) -> None:
    task_id = publish(celery_app)
    for state in ("STARTED", "RETRY", "STARTED"):
        celery_app.backend.store_state(task_id, None, state)

    assert told(history, task_id, 1) == ["RETRY", "STARTED"]
    assert told(history, task_id, 3) == []
    for unknown in (4, -1, 10**15):
        page = history.events(task_id, unknown)
        assert (page.is_gone, page.events, page.last) == (True, (), 3)
    assert history.events(task_id, None).events == ()


def test_only_the_newest_events_are_kept_and_of_many_lines_at_once_the_newest_are_told(
    celery_app: FlaskCelery, history: JobHistory
) -> None:
    task_id = publish(celery_app)
    said, told_of_each = 0, 100
    while said <= 2 * EVENTS_KEPT:
        say(history, task_id, *("x" for _ in range(2 * told_of_each)), before=said)
        said += 2 * told_of_each

    last = history.events(task_id, None).last
    assert last == said / 2 > EVENTS_KEPT
    assert history.events(task_id, last - EVENTS_KEPT - 1).is_gone
    kept = history.events(task_id, last - EVENTS_KEPT)
    assert [event.number for event in kept.events] == list(range(last - EVENTS_KEPT + 1, last + 1))
    lines = [event.data.number for event in kept.events[-told_of_each - 1 :] if isinstance(event.data, LogLine)]
    assert lines == [said - 2 * told_of_each, *range(said - told_of_each + 1, said + 1)]


def test_large_events_are_bounded_by_their_bytes(celery_app: FlaskCelery, history: JobHistory) -> None:
    task_id = publish(celery_app)
    progress = {"current": 1, "total": None, "message": "x" * LONGEST_LINE}
    for _ in range(EVENT_BYTES // LONGEST_LINE + 5):
        celery_app.backend.store_state(task_id, progress, "PROGRESS", progress=progress)

    kept = celery_app.backend.client.lrange(celery_app.backend.keys.events(task_id), 0, -1)
    assert EVENT_BYTES - 2 * LONGEST_LINE < sum(map(len, kept)) <= EVENT_BYTES
    assert history.events(task_id, 0).is_gone


def test_events_and_log_live_as_long_as_the_record(celery_app: FlaskCelery, history: JobHistory) -> None:
    client, keys = celery_app.backend.client, celery_app.backend.keys
    task_id = publish(celery_app)
    celery_app.backend.store_state(task_id, None, "STARTED")
    say(history, task_id, "hello")
    lists = [keys.events(task_id), keys.log(task_id)]
    assert [client.pttl(name) for name in lists] == [-1, -1]

    celery_app.backend.store_state(task_id, 3, "SUCCESS")
    history.add_lines(task_id, 0, "a", 1, [encoded_line(0, "info", 0, "after the end")], has_ended=True)

    record = client.pttl(keys.meta(task_id))
    assert record > 0
    for name in lists:
        assert 0 < client.pttl(name) <= record
    client.delete(keys.meta(task_id))
    with pytest.raises(ExpiredJobError):
        history.events(task_id, 0)
    with pytest.raises(UnknownJobError):
        history.events("never was", 0)


def test_what_a_stock_worker_writes_is_told_once_when_somebody_looks(
    celery_app: FlaskCelery, history: JobHistory
) -> None:
    client, key = celery_app.backend.client, celery_app.backend.keys.meta
    task_id = publish(celery_app)
    for state in ("STARTED", "SUCCESS"):
        record = {"status": state, "result": 5, "traceback": None, "children": [], "task_id": task_id}
        client.set(key(task_id), json.dumps(record), ex=60)
        assert history.events(task_id, 0).record.state is JobState(state)
        assert history.events(task_id, 0).events[-1].data == StateChange(JobState(state), None)

    assert told(history, task_id) == ["STARTED", "SUCCESS"]
    assert 0 < client.ttl(celery_app.backend.keys.events(task_id)) <= 60


def test_an_end_that_the_reconciler_notices_first_is_told_too(celery_app: FlaskCelery, history: JobHistory) -> None:
    """Or who has followed so far would be told that there is nothing more, and never of the end."""
    task_id = publish(celery_app)
    record = {"status": "SUCCESS", "result": 5, "traceback": None, "children": [], "task_id": task_id}
    celery_app.backend.client.set(celery_app.backend.keys.meta(task_id), json.dumps(record), ex=60)

    for _ in range(2):
        celery_app.backend.count_out(task_id)

        assert told(history, task_id) == ["SUCCESS"]
    assert 0 < celery_app.backend.client.ttl(celery_app.backend.keys.events(task_id)) <= 60


def test_lines_are_numbered_told_and_paged(celery_app: FlaskCelery, history: JobHistory) -> None:
    task_id = publish(celery_app)
    celery_app.backend.store_state(task_id, None, "STARTED", request=run_of(task_id))

    assert say(history, task_id, "one", 'two\n"quoted"', "drei \U0001f600") == b"STORED"

    page = history.log(task_id, after=1, limit=1)
    assert [(line.number, line.run, line.message) for line in page.lines] == [(2, 1, 'two\n"quoted"')]
    assert (page.dropped, page.last) == (0, 3)
    events = history.events(task_id, 1).events
    assert [(event.number, event.kind) for event in events] == [(number, EventKind.LOG) for number in (2, 3, 4)]
    assert isinstance(events[2].data, LogLine)
    assert (events[2].data.number, events[2].data.message) == (3, "drei \U0001f600")
    assert history.log(task_id, after=3, limit=10).lines == ()


def test_lines_sent_again_after_a_lost_reply_are_added_once(celery_app: FlaskCelery, history: JobHistory) -> None:
    task_id = publish(celery_app)
    say(history, task_id, "1", "2")

    say(history, task_id, "1", "2")
    say(history, task_id, "2", "3", before=1)
    say(history, task_id, "first of another run", run="b")

    assert logged(history, task_id) == [(1, "1"), (2, "2"), (3, "3"), (4, "first of another run")]


def test_lines_that_could_not_be_sent_leave_a_gap(celery_app: FlaskCelery, history: JobHistory) -> None:
    task_id = publish(celery_app)
    say(history, task_id, "1")

    say(history, task_id, "5", before=4)

    assert logged(history, task_id) == [(1, "1"), (5, "5")]


def test_the_log_is_bounded_by_lines_and_bytes_and_says_how_many_are_dropped(
    celery_app: FlaskCelery, history: JobHistory
) -> None:
    celery_app.telling = TellingSettings(log_lines=3)
    by_lines, by_bytes = publish(celery_app), publish(celery_app)
    say(history, by_lines, *map(str, range(1, 6)))
    celery_app.telling = TellingSettings(log_bytes=500)
    say(history, by_bytes, *("x" * 100 for _ in range(10)))

    page = history.log(by_lines, after=0, limit=10)
    assert ([line.number for line in page.lines], page.dropped) == ([3, 4, 5], 2)
    assert history.log(by_lines, after=1, limit=10).dropped == 1
    page = history.log(by_bytes, after=0, limit=10)
    assert ([line.number for line in page.lines], page.dropped) == ([8, 9, 10], 7)


def test_a_run_that_was_overtaken_adds_no_line(celery_app: FlaskCelery, history: JobHistory) -> None:
    task_id = publish(celery_app)
    for fence in (1, 2):
        celery_app.backend.store_state(task_id, None, "STARTED", request=run_of(task_id, fence=fence))

    assert say(history, task_id, "of the first", fence=1) == b"OVERTAKEN"
    assert say(history, task_id, "of the second", fence=2, run="b") == b"STORED"
    celery_app.backend.store_state(task_id, 3, "SUCCESS", request=run_of(task_id, fence=2))
    assert say(history, task_id, "of the first, too late", fence=1, before=1) == b"OVER"

    (line,) = history.log(task_id, after=0, limit=10).lines
    assert (line.number, line.run, line.message) == (1, 2, "of the second")


def test_a_job_that_is_not_known_has_no_log(celery_app: FlaskCelery, history: JobHistory) -> None:
    assert say(history, "nobodys", "x") == b"OVER"

    assert celery_app.backend.client.keys("*nobodys*") == []


@pytest.mark.parametrize("level", ["", "INFO", "fatal"])
def test_a_level_that_is_none(level: str) -> None:
    with pytest.raises(ValueError, match="level of a log line"):
        encoded_line(0, level, 0, "x")


def test_a_long_line_is_cut() -> None:
    message = json.loads(f"[{encoded_line(0, 'info', 0, 'x' * (LONGEST_LINE + 1))}]")[3]

    assert (len(message), message[-2:]) == (LONGEST_LINE, "x…")
