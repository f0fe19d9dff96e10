"""Beat in this process, on a real Redis: what is due is submitted once, whatever happens to beats."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from celery.app.task import Context
from celery.schedules import schedule as every
from flask import g
from redbeat import RedBeatSchedulerEntry
from redis.exceptions import ConnectionError as RedisConnectionError

from libs.flask_celery import Cron, FlaskCelery, Schedule, Schedules
from libs.flask_celery.context import fill_g
from libs.flask_celery.ledger import now_ms
from libs.flask_celery.message_copy import expanded
from libs.flask_celery.schedules.beat import BATCH, JobScheduler
from tests.conftest import RedisServer
from tests.schedules.conftest import Clock

HOUR = every(3600)


def test_what_is_due_is_submitted_for_its_owner(
    beat: JobScheduler, schedules: Schedules, make: Callable[..., Schedule], clock: Clock
) -> None:
    made, later = make(HOUR, options={"priority": 3}), make(HOUR)
    due = clock.make_due(made)

    beat.tick()

    [job] = clock.jobs()
    assert (job.owner, job.schedule_id, job.task) == ("ann", made.id, "maintenance.adds")
    now = schedules.get(made.id)
    assert (now.due, now.last_task_id, now.runs, now.error) == (due + 3_600_000, job.task_id, 1, None)
    assert now.last_run_at is not None
    assert schedules.get(later.id).last_task_id is None


def test_a_job_is_told_when_it_was_due(
    beat: JobScheduler, schedules: Schedules, make: Callable[..., Schedule], clock: Clock, celery_app: FlaskCelery
) -> None:
    due = clock.make_due(make(HOUR), ago=5)

    beat.tick()

    [job] = clock.jobs()
    message, _ = expanded(celery_app.backend.client.get(celery_app.backend.keys.message(job.task_id)))
    with celery_app.flask_app.app_context():
        fill_g(Context(message["headers"]))
        assert g.due_at == datetime.fromtimestamp(due / 1000, tz=UTC)
        fill_g(Context({}))
        assert g.due_at is None


def test_beat_sleeps_until_the_next_due_time_and_no_longer_than_its_interval(
    beat: JobScheduler, make: Callable[..., Schedule], clock: Clock
) -> None:
    assert beat.tick() == 1

    clock.make_due(make(HOUR), ago=-0.5)

    assert 0 < beat.tick() <= 0.5


def test_more_than_a_batch_is_submitted_without_a_pause(
    beat: JobScheduler, make: Callable[..., Schedule], clock: Clock
) -> None:
    for _ in range(BATCH + 1):
        clock.make_due(make(HOUR))

    assert beat.tick() == 0
    beat.tick()

    assert len(clock.jobs()) == BATCH + 1


def test_a_beat_that_is_killed_before_it_writes_down_what_it_submitted_repeats_nothing(
    start_beat: Callable[[], JobScheduler],
    schedules: Schedules,
    make: Callable[..., Schedule],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make(HOUR)
    due = clock.make_due(made)

    class KilledError(BaseException):
        """Nothing of the beat goes on."""

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    first, second = start_beat(), start_beat()
    with monkeypatch.context() as patch:
        patch.setattr(first, "_advance", killed)
        with pytest.raises(KilledError):
            first.tick()
    assert schedules.get(made.id).due == due
    first._lead.give_up()

    second.tick()

    [job] = clock.jobs()
    assert schedules.get(made.id).due == due + 3_600_000
    assert schedules.get(made.id).last_task_id == job.task_id


def test_two_beats_that_both_believe_to_lead_submit_once(
    start_beat: Callable[[], JobScheduler], make: Callable[..., Schedule], clock: Clock
) -> None:
    """As when one was frozen, or its lock was deleted, in the middle of its turn."""
    made = make(HOUR)
    due = clock.make_due(made)
    first, second = start_beat(), start_beat()
    for beat in (first, second):
        beat._see_to(clock.schedules.keys.schedule(made.id), due)

    clock.make_due(made, ago=(now_ms() - due) / 1000)  # the one has written less than the other believed
    clock.client.hset(clock.schedules.keys.schedule(made.id), "due", due)
    first._see_to(clock.schedules.keys.schedule(made.id), due)

    assert len(clock.jobs()) == 1


def test_one_leads_and_the_other_takes_over(
    start_beat: Callable[[], JobScheduler], make: Callable[..., Schedule], clock: Clock
) -> None:
    first, second = start_beat(), start_beat()
    first.tick()
    clock.make_due(make(HOUR))

    assert second.tick() == 1
    assert clock.jobs() == []
    first.close()
    second.tick()

    assert len(clock.jobs()) == 1


def test_a_beat_that_loses_its_lock_asks_for_it_again(
    start_beat: Callable[[], JobScheduler], make: Callable[..., Schedule], clock: Clock
) -> None:
    first, second = start_beat(), start_beat()
    first.tick()
    clock.client.delete(clock.schedules.keys.lock)
    second.tick()
    clock.make_due(make(HOUR))

    first.tick()
    assert clock.jobs() == []
    second.close()
    first.tick()

    assert len(clock.jobs()) == 1


def test_beat_outlives_a_redis_that_is_away(
    beat: JobScheduler,
    make: Callable[..., Schedule],
    clock: Clock,
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    beat.tick()
    clock.make_due(make(HOUR))
    redis_server.stop(kill=True)
    try:
        with caplog.at_level(logging.WARNING, "libs.flask_celery.schedules.beat"):
            assert [beat.tick(), beat.tick()] == [1, 1]
        assert caplog.text.count("does not answer") == 1
    finally:
        redis_server.start()

    for _ in range(3):  # the first attempts may find the connections of before
        beat.tick()

    assert len(clock.jobs()) == 1


@pytest.mark.parametrize("ago", [3700, 7500])
def test_what_was_missed_is_run_once_for_the_newest_due_time(
    ago: float, beat: JobScheduler, schedules: Schedules, make: Callable[..., Schedule], clock: Clock
) -> None:
    made = make(HOUR)
    due = clock.make_due(made, ago=ago)

    beat.tick()
    beat.tick()

    assert len(clock.jobs()) == 1
    following = schedules.get(made.id).due
    assert following is not None
    assert (following - due) % 3_600_000 == 0
    assert now_ms() < following <= now_ms() + 3_600_000


def test_what_was_missed_for_too_long_is_passed_over_and_that_is_said(
    beat: JobScheduler,
    schedules: Schedules,
    make: Callable[..., Schedule],
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = make(every(86_400))
    due = clock.make_due(made, ago=3601)

    with caplog.at_level(logging.WARNING, "libs.flask_celery.schedules.beat"):
        beat.tick()

    assert clock.jobs() == []
    now = schedules.get(made.id)
    assert now.missed is not None
    assert (round(now.missed.timestamp() * 1000), now.due) == (due, due + 86_400_000)
    assert made.id in caplog.text


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"task": "gone.away"}, "no task 'gone.away'"), ({"params": {"a": 1, "c": 2}}, "not valid")],
    ids=["task", "params"],
)
def test_a_schedule_that_cannot_be_run_says_so_and_stops_no_other(
    fields: dict[str, object],
    error: str,
    beat: JobScheduler,
    schedules: Schedules,
    make: Callable[..., Schedule],
    clock: Clock,
) -> None:
    bad, good = make(HOUR, **fields), make(HOUR)
    due = clock.make_due(bad, ago=1)
    clock.make_due(good)

    beat.tick()

    assert [job.schedule_id for job in clock.jobs()] == [good.id]
    now = schedules.get(bad.id)
    assert error in (now.error or "")
    assert (now.due, now.last_task_id) == (due + 3_600_000, None)


def test_what_nobody_can_read_stops_no_other(
    beat: JobScheduler, make: Callable[..., Schedule], clock: Clock, schedules: Schedules
) -> None:
    good, keys = make(HOUR), schedules.keys
    clock.client.hset(keys.schedule("odd"), mapping={"definition": '{"name": "odd"', "due": "7"})
    clock.client.zadd(keys.by_due, {keys.schedule("odd"): 1, keys.schedule("nothing"): 2})
    clock.make_due(good)

    beat.tick()

    assert len(clock.jobs()) == 1
    assert clock.client.zrange(keys.by_due, 0, -1) == [keys.schedule(good.id)]
    assert "cannot be read" in clock.client.hget(keys.schedule("odd"), "error")
    assert not clock.client.exists(keys.schedule("nothing"))


def test_a_job_that_is_not_accepted_is_tried_again(
    beat: JobScheduler, schedules: Schedules, make: Callable[..., Schedule], clock: Clock, celery_app: FlaskCelery
) -> None:
    made = make(HOUR)
    due = clock.make_due(made)
    celery_app.terms = replace(celery_app.terms, queue_limit=1)
    celery_app.send_task("maintenance.adds")

    beat.tick()

    assert clock.jobs() == []
    waiting = schedules.get(made.id)
    assert "takes no more" in (waiting.error or "")
    assert waiting.due == due
    celery_app.terms = replace(celery_app.terms, queue_limit=0)
    clock.client.zadd(schedules.keys.by_due, {schedules.keys.schedule(made.id): due / 1000})

    beat.tick()

    assert len(clock.jobs()) == 1
    assert schedules.get(made.id).error is None


def test_what_is_changed_while_it_runs_stays_changed(
    beat: JobScheduler,
    schedules: Schedules,
    make: Callable[..., Schedule],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Removed, paused and moved between the publish and the next due time's being written."""
    from libs.flask_celery.schedules import beat as module

    removed, paused, moved = make(HOUR), make(HOUR), make(HOUR)
    for one in (removed, paused, moved):
        clock.make_due(one)
    submit_due = module.submit_due

    def change_meanwhile(app: FlaskCelery, schedule: Schedule, due: int) -> str:
        task_id = submit_due(app, schedule, due)
        if schedule.id == removed.id:
            schedules.remove(schedule)
        elif schedule.id == paused.id:
            schedules.change(replace(schedule, enabled=False), starts_anew=True)
        else:
            schedules.change(replace(schedule, timing=every(60)), starts_anew=True)
        return task_id

    monkeypatch.setattr(module, "submit_due", change_meanwhile)
    beat.tick()

    assert len(clock.jobs()) == 3
    assert not clock.client.exists(schedules.keys.schedule(removed.id))
    now_paused, now_moved = schedules.get(paused.id), schedules.get(moved.id)
    assert (now_paused.enabled, now_paused.due, now_paused.runs) == (False, None, 1)
    assert now_moved.timing == every(60)
    assert now_moved.due is not None
    assert now_moved.due <= now_ms() + 60_000
    assert clock.client.zrange(schedules.keys.by_due, 0, -1) == [schedules.keys.schedule(moved.id)]


def test_what_redbeats_own_api_has_saved_is_run_too(
    beat: JobScheduler, celery_app: FlaskCelery, schedules: Schedules
) -> None:
    entry = RedBeatSchedulerEntry("theirs", "maintenance.adds", every(3600), kwargs={"a": 1, "b": 2}, app=celery_app)
    entry.save()
    celery_app.redbeat_redis.zadd(schedules.keys.by_due, {entry.key: now_ms() / 1000 - 1})

    beat.tick()

    now = schedules.get("theirs")
    assert now.last_task_id is not None
    assert celery_app.backend.records.get(now.last_task_id).schedule_id == "theirs"
    assert RedBeatSchedulerEntry.from_key(entry.key, app=celery_app).total_run_count == 1


def test_a_cron_is_kept_with_its_zone(schedules: Schedules, make: Callable[..., Schedule]) -> None:
    timing = Cron("0 10,17 * * *", "Asia/Shanghai")

    made = make(timing)

    assert schedules.get(made.id).timing == timing
    assert {time.hour for time in made.next_runs(4)} == {2, 9}


def test_redis_errors_of_a_publish_leave_the_due_time_as_it_is(
    beat: JobScheduler,
    schedules: Schedules,
    make: Callable[..., Schedule],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from libs.flask_celery.schedules import beat as module

    made = make(HOUR)
    due = clock.make_due(made)

    def away(*_: object) -> str:
        raise RedisConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(module, "submit_due", away)
        assert beat.tick() == 1
    assert schedules.get(made.id).due == due

    beat.tick()

    assert len(clock.jobs()) == 1
