"""Which due time a late beat runs, and which comes after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.schedules import BaseSchedule, schedule

from libs.flask_celery import Cron
from libs.flask_celery.schedules.due_times import Turn, as_ms, first_due, next_due_times, turn_of

HOUR = 3_600_000
DUE = as_ms(datetime(2026, 5, 4, 10, 0, tzinfo=UTC))
DAILY, HOURLY, EVERY_2 = Cron("0 10 * * *"), Cron("0 * * * *"), schedule(timedelta(seconds=2))


class OfTheirOwn(BaseSchedule):  # type: ignore[misc]
    """A kind that a developer has written: Celery's contract and no more."""

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        return timedelta(minutes=5)


@pytest.mark.parametrize(
    ("timing", "late", "expected"),
    [
        (DAILY, 0, Turn(DUE, DUE + 24 * HOUR)),
        (DAILY, HOUR, Turn(DUE, DUE + 24 * HOUR)),
        (DAILY, HOUR + 1, Turn(None, DUE + 24 * HOUR)),
        (DAILY, 24 * HOUR + 5, Turn(DUE + 24 * HOUR, DUE + 48 * HOUR)),
        (HOURLY, 5 * HOUR + 7, Turn(DUE + 5 * HOUR, DUE + 6 * HOUR)),
        (HOURLY, 1000 * HOUR, Turn(DUE + 1000 * HOUR, DUE + 1001 * HOUR)),
        (EVERY_2, 0, Turn(DUE, DUE + 2_000)),
        (EVERY_2, 1_999, Turn(DUE, DUE + 2_000)),
        (EVERY_2, 7_001, Turn(DUE + 6_000, DUE + 8_000)),
        (schedule(timedelta(days=1)), HOUR + 1, Turn(None, DUE + 24 * HOUR)),
    ],
)
def test_a_late_turn(timing: Any, late: int, expected: Turn) -> None:
    assert turn_of(timing, DUE, DUE + late, grace=HOUR) == expected


def test_an_interval_does_not_drift() -> None:
    due = DUE
    for _ in range(1000):
        turn = turn_of(EVERY_2, due, due + 137, grace=HOUR)  # always a little late
        assert turn.run == due
        assert turn.following is not None
        due = turn.following

    assert due == DUE + 1000 * 2_000


def test_the_first_due_time_lies_ahead() -> None:
    assert first_due(EVERY_2, DUE) == DUE + 2_000
    assert first_due(DAILY, DUE) == DUE + 24 * HOUR
    assert first_due(OfTheirOwn(), DUE) == DUE + 300_000


def test_a_kind_of_ones_own_goes_by_celerys_contract() -> None:
    assert turn_of(OfTheirOwn(), DUE, DUE + 10, grace=HOUR) == Turn(DUE, DUE + 10 + 300_000)
    assert next_due_times(OfTheirOwn(), DUE, 5) == [DUE]
