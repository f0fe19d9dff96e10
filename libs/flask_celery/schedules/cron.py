"""Cron expressions in a time zone, as a schedule that Celery's beat understands.

Celery's own crontab has one zone for all, and on the days on which clocks change it skips or repeats. Here an
expression says what a clock on the wall shows, and every time it names comes once:

* A time that the change to summer time leaves out comes when the clocks have changed (02:30 at 03:00).
* A time that the change back shows twice comes the first time.
* What comes in every hour of the day comes in every hour that passes, whatever the clocks show.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import BaseSchedule, crontab, schedstate
from cronsim import CronSim, CronSimError

FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_BOUNDS = ("0-59", "0-23", "1-31", "1-12 or JAN-DEC", "0-7 or SUN-SAT")

#: Each field alone, so that what is wrong can be said of it.
_ANY = ("0", "0", "1", "1", "*")

#: An expression is read again for each time that is asked for, so it has a bound.
LONGEST = 200


class CronError(ValueError):
    """An expression or a time zone that cannot be used; a sentence that says why."""


def time_zone(name: str) -> ZoneInfo:
    """The zone of this name (IANA's). Raises: CronError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise CronError("Not a time zone. Give a name such as Europe/Berlin.") from error


class Cron(BaseSchedule):  # type: ignore[misc]
    """Five fields: minute, hour, day of month, month, day of week.

    Args:
        expression: with lists, ranges, steps, names of months and days, ``L``, ``LW`` and ``MON#2``.
        timezone: whose clock it is about.
        both_days: a day must fit both of its fields, as Celery has it, where cron takes either when both are given.

    Raises: CronError, also for what never comes, such as 30 February.
    """

    def __init__(self, expression: str, timezone: str = "UTC", *, both_days: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.expression = " ".join(expression.split())
        self.timezone = timezone
        self.both_days = both_days
        self.zone = time_zone(timezone)
        _check(self.expression)
        self._by_the_wall = CronSim(self.expression, datetime(2000, 1, 1)).hours != set(range(24))
        if self.next_after(datetime(2000, 1, 1, tzinfo=UTC)) is None:
            raise CronError("There is no such day in any year.")

    @classmethod
    def of_crontab(cls, celery_crontab: crontab, timezone: str) -> "Cron":
        """The same as one of Celery's, on the clock of ``timezone``."""
        numbers = (
            celery_crontab.minute,
            celery_crontab.hour,
            celery_crontab.day_of_month,
            celery_crontab.month_of_year,
            celery_crontab.day_of_week,
        )
        sizes = (60, 24, 31, 12, 7)
        fields = (
            "*" if len(field) == size else ",".join(map(str, sorted(field)))
            for field, size in zip(numbers, sizes, strict=True)
        )
        return cls(" ".join(fields), timezone, both_days=True)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after ``moment``, an aware one, in UTC. None when there is none in fifty years."""
        return next(self.times_after(moment), None)

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """Every time after ``moment``, an aware one, in UTC and in their order, each once."""
        last = moment
        for time in self._wall_times(moment) if self._by_the_wall else self._passing_times(moment):
            if time > last:
                last = time
                yield time

    def remaining_estimate(self, last_run_at: datetime) -> timedelta | None:
        """For schedulers of Celery's: how long it is from now to the first time after ``last_run_at``."""
        following = self.next_after(last_run_at)
        return None if following is None else following - self.now().astimezone(UTC)

    def is_due(self, last_run_at: datetime) -> schedstate:
        """For schedulers of Celery's: whether a time has come since, and in how many seconds to ask again."""
        remaining = self.remaining_estimate(last_run_at)
        is_due = remaining is not None and remaining <= timedelta(0)
        following = self.remaining_estimate(self.now()) if is_due else remaining
        return schedstate(is_due, None if following is None else following.total_seconds())

    def _wall_times(self, moment: datetime) -> Iterator[datetime]:
        # From a day before: what a change of clocks moves may have been due already by the clock on the wall.
        for wall in self._simulated(moment.astimezone(self.zone).replace(tzinfo=None) - timedelta(days=1)):
            yield _on_the_clock(wall, self.zone)

    def _passing_times(self, moment: datetime) -> Iterator[datetime]:
        for time in self._simulated(moment.astimezone(self.zone)):
            yield time.astimezone(UTC)

    def _simulated(self, start: datetime) -> CronSim:
        minute, hour, *days = self.expression.split(" ")
        # cronsim tells what comes in every hour by the star, and would go by the wall with 0-23.
        expression = " ".join((minute, hour if self._by_the_wall else "*", *days))
        simulated = CronSim(expression, start)
        simulated.day_and = simulated.day_and or self.both_days
        return simulated

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cron) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash((self.expression, self.timezone))

    def __repr__(self) -> str:
        return f"<cron: {self.expression} {self.timezone}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _cron, (self.expression, self.timezone, self.both_days)


def _cron(expression: str, timezone: str, both_days: bool) -> Cron:
    return Cron(expression, timezone, both_days=both_days)


def _on_the_clock(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clock of a zone shows ``wall`` first or, if it leaves that out, the next minute that it shows."""
    while True:
        moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            return moment
        wall += timedelta(minutes=1)


def _check(expression: str) -> None:
    """Raises: CronError, which names the field."""
    fields = expression.split(" ")
    if len(fields) != len(FIELDS):
        raise CronError(f"Give five fields ({', '.join(FIELDS)}), such as 0 10,17 * * *.")
    if len(expression) > LONGEST:
        raise CronError(f"Give {LONGEST} characters at the most.")
    for position, field in enumerate(fields):
        alone = [*_ANY[:position], field, *_ANY[position + 1 :]]
        if position == FIELDS.index("day of month"):
            alone[3] = "1"  # a month of 31 days
        try:
            CronSim(" ".join(alone), datetime(2000, 1, 1))
        except (CronSimError, AssertionError, TypeError, ValueError) as error:
            raise CronError(f"The {FIELDS[position]} {field!r} is not one of {_BOUNDS[position]}.") from error
    try:
        CronSim(expression, datetime(2000, 1, 1))
    except CronSimError as error:
        raise CronError("There is no such day in any year.") from error
