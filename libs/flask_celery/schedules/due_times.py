"""When a schedule is due: times in ms, so that one due time has one name wherever it is written.

A due time is decided once, kept with the schedule, and goes by the one before, not by when beat got round to it: an
interval does not drift.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from celery.schedules import BaseSchedule, schedule

from libs.flask_celery.schedules.cron import Cron


@dataclass(frozen=True, slots=True)
class Turn:
    """What to do about a schedule that is due.

    Args:
        run: the due time to run for; None when all of what was missed is too long ago.
        following: the due time after that, in the future; None when there is none.
    """

    run: int | None
    following: int | None


def first_due(timing: BaseSchedule, now: int) -> int | None:
    """When a new schedule is due first; an interval begins with a whole one."""
    return _after(timing, now, now)


def turn_of(timing: BaseSchedule, due: int, now: int, grace: int) -> Turn:
    """What is due at ``due`` is run once, for the newest time of what was missed, if that is within ``grace`` ms."""
    newest: int | None = due
    if isinstance(timing, schedule):
        newest = due + (now - due) // _every(timing) * _every(timing)
    elif isinstance(timing, Cron):
        earliest = max(due, now - grace)
        for time in timing.times_after(as_time(earliest - 1)):
            if as_ms(time) > now:
                break
            newest = as_ms(time)
    in_time = newest is not None and now - newest <= grace
    return Turn(newest if in_time else None, _after(timing, due, now))


def next_due_times(timing: BaseSchedule, due: int, count: int) -> list[int]:
    """``due`` and those after it, as far as they can be told without beat."""
    return list(islice(_times_from(timing, due), count))


def as_time(milliseconds: int) -> datetime:
    """In UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def as_ms(moment: datetime) -> int:
    """Unix time in ms."""
    return round(moment.timestamp() * 1000)


def _after(timing: BaseSchedule, due: int, now: int) -> int | None:
    if isinstance(timing, schedule):
        return due + ((now - due) // _every(timing) + 1) * _every(timing)
    if isinstance(timing, Cron):
        following = timing.next_after(as_time(now))
        return None if following is None else as_ms(following)
    # A kind that a developer has brought along, or solar: Celery's contract is the time from now on.
    remaining: timedelta | None = timing.remaining_estimate(as_time(now))
    return None if remaining is None else max(now + round(remaining.total_seconds() * 1000), now + 1)


def _times_from(timing: BaseSchedule, due: int) -> Iterator[int]:
    yield due
    if isinstance(timing, schedule):
        step = _every(timing)
        yield from (due + number * step for number in range(1, 1_000))
    elif isinstance(timing, Cron):
        yield from map(as_ms, timing.times_after(as_time(due)))


def _every(timing: Any) -> int:
    milliseconds: float = timing.run_every.total_seconds() * 1000
    return max(round(milliseconds), 1)
