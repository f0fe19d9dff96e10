"""``beat_schedule``, written by the beat that leads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery.schedules import crontab

from libs.flask_celery import Cron, FlaskCelery, Schedules, ScheduleSource
from libs.flask_celery.ledger import now_ms
from libs.flask_celery.schedules.beat import JobScheduler
from tests.schedules.conftest import Clock

SUMS: dict[str, Any] = {"task": "maintenance.adds", "schedule": 60.0, "kwargs": {"a": 1, "b": 2}}


@pytest.fixture
def lead(start_beat: Callable[[], JobScheduler], celery_app: FlaskCelery) -> Callable[..., JobScheduler]:
    """``lead(name=entry)`` is a beat that begins to lead with this ``beat_schedule``."""

    def lead(**entries: Any) -> JobScheduler:
        celery_app.conf.beat_schedule = entries
        beat = start_beat()
        beat.tick()
        return beat

    return lead


def test_every_kind_is_kept(lead: Callable[..., JobScheduler], schedules: Schedules) -> None:
    lead(
        seconds=SUMS,
        delta={**SUMS, "schedule": timedelta(minutes=1), "relative": True},
        crontab={**SUMS, "schedule": crontab(minute="0", hour="10")},
        cron={**SUMS, "schedule": Cron("0 10 * * *", "Asia/Shanghai"), "args": [], "options": {"queue": "q"}},
        text={**SUMS, "schedule": "0 10 * * *"},
        environment={**SUMS, "schedule": {"cron": "0 10 * * *", "timezone": "Asia/Shanghai"}},
        paused={**SUMS, "enabled": False},
    )

    kept = {schedule.id: schedule for schedule in schedules.in_code()}
    assert kept.keys() == {"seconds", "delta", "crontab", "cron", "text", "environment", "paused"}
    assert {schedule.source for schedule in kept.values()} == {ScheduleSource.CODE}
    assert kept["seconds"].timing == kept["delta"].timing
    assert kept["cron"].timing == kept["environment"].timing == Cron("0 10 * * *", "Asia/Shanghai")
    assert kept["cron"].options == {"queue": "q"}
    assert kept["text"].next_runs(5) == kept["crontab"].next_runs(5)
    assert kept["paused"].due is None
    assert all(
        schedule.due is not None and schedule.due > now_ms() for name, schedule in kept.items() if name != "paused"
    )


def test_a_restart_keeps_due_times_and_what_was_due_meanwhile_runs(
    lead: Callable[..., JobScheduler], schedules: Schedules, clock: Clock
) -> None:
    lead(sums=SUMS, later=SUMS).close()
    [later, sums] = schedules.in_code()
    due = clock.make_due(sums, ago=5)

    lead(sums=SUMS, later=SUMS)

    [unchanged, ran] = schedules.in_code()
    assert unchanged == later
    assert (ran.due, ran.runs) == (due + 60_000, 1)
    assert clock.jobs("")[0].schedule_id == "sums"


def test_another_timing_begins_anew_and_other_params_do_not(
    lead: Callable[..., JobScheduler], schedules: Schedules
) -> None:
    lead(sums=SUMS).close()
    [before] = schedules.in_code()

    lead(sums={**SUMS, "kwargs": {"a": 5, "b": 6}}).close()
    [other_params] = schedules.in_code()
    assert (other_params.params, other_params.due) == ({"a": 5, "b": 6}, before.due)
    lead(sums={**SUMS, "schedule": 3600.0})
    [other_timing] = schedules.in_code()

    assert other_timing.due is not None
    assert other_timing.due > now_ms() + 3_500_000


def test_what_is_in_the_code_no_longer_is_gone(
    lead: Callable[..., JobScheduler], schedules: Schedules, clock: Clock
) -> None:
    lead(sums=SUMS, other=SUMS).close()

    lead(other=SUMS).close()
    assert [schedule.id for schedule in schedules.in_code()] == ["other"]
    lead()

    assert schedules.in_code() == []
    assert clock.client.keys(f"{schedules.keys.prefix}*") == [schedules.keys.lock]


@pytest.mark.parametrize(
    "bad",
    [{"task": "x"}, {"schedule": 5.0}, {**SUMS, "schedule": "61 * * * *"}, {**SUMS, "colour": "red"}],
    ids=["no schedule", "no task", "no cron", "an unknown word"],
)
def test_an_entry_that_cannot_be_used_is_named_and_stops_no_other(
    bad: dict[str, Any],
    lead: Callable[..., JobScheduler],
    schedules: Schedules,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lead(bad=bad, sums=SUMS)

    assert [schedule.id for schedule in schedules.in_code()] == ["sums"]
    assert "'bad'" in caplog.text


def test_a_beat_that_does_not_lead_writes_nothing(
    lead: Callable[..., JobScheduler],
    start_beat: Callable[[], JobScheduler],
    schedules: Schedules,
    celery_app: FlaskCelery,
) -> None:
    """So that an older release that waits does not bring back what a newer one has dropped."""
    lead(sums=SUMS)
    celery_app.conf.beat_schedule = {"old": SUMS}

    start_beat().tick()

    assert [schedule.id for schedule in schedules.in_code()] == ["sums"]


def test_a_task_that_is_not_known_here_is_sent_by_name(
    lead: Callable[..., JobScheduler], schedules: Schedules, clock: Clock
) -> None:
    beat = lead(theirs={"task": "elsewhere.work", "schedule": 60.0, "args": (1,)})
    [theirs] = schedules.in_code()
    clock.make_due(theirs)

    beat.tick()

    assert clock.jobs("")[0].task == "elsewhere.work"
