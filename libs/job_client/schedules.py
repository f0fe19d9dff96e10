"""Schedules as the server tells of them, and what can be said of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from .reading import time_of


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a task's jobs are submitted by themselves: by ``cron`` or ``every`` so many seconds."""

    schedule_id: str
    name: str | None
    task: str
    params: Mapping[str, Any]
    cron: str | None
    every: float | None
    timezone: str | None  # None where it does not matter
    enabled: bool
    queue: str | None
    priority: int | None
    in_code: bool  # of the service itself: nobody's to change
    owner: str | None
    next_runs: Sequence[datetime]  # soonest first; none of one that is paused
    last_run_at: datetime | None
    last_task_id: str | None
    missed_at: datetime | None  # the last due time that was passed over
    error: str | None  # why its last turn has submitted no job
    as_json: Mapping[str, Any] = field(repr=False)


class ScheduleOptions(TypedDict, total=False):
    """What may be said of one; what is not said stays or, of a new one, is the server's default.

    Either ``cron`` (minute, hour, day of month, month, day of week, by the clock of ``timezone``) or ``every``
    (seconds). ``enabled`` False pauses it.
    """

    cron: str
    every: int
    timezone: str
    name: str | None
    enabled: bool
    queue: str | None
    priority: int | None


class ScheduleChanges(ScheduleOptions, total=False):
    """What is to be another."""

    params: Mapping[str, Any]


def schedule_of(data: Mapping[str, Any]) -> Schedule:
    """A schedule as it is shown."""
    return Schedule(
        schedule_id=data["id"],
        name=data["name"],
        task=data["task"],
        params=data["params"],
        cron=data["cron"],
        every=data["every"],
        timezone=data["timezone"],
        enabled=data["enabled"],
        queue=data["queue"],
        priority=data["priority"],
        in_code=data["source"] == "code",
        owner=data["owner"],
        next_runs=tuple(map(time_of, data["next_runs"])),
        last_run_at=_time(data["last_run_at"]),
        last_task_id=data["last_task_id"],
        missed_at=_time(data["missed_at"]),
        error=data["error"],
        as_json=data,
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else time_of(text)
