"""A schedule: which job is to be submitted when, and what came of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from celery.schedules import BaseSchedule

from libs.flask_celery.schedules.due_times import as_time, first_due, next_due_times
from libs.flask_celery.schedules.stored import last_run, read_json, write_json


class ScheduleSource(StrEnum):
    """Who has made it."""

    API = "api"  # a principal, who owns it
    CODE = "code"  # ``beat_schedule``; read-only


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule at one moment.

    Args:
        id: of one in code, its name there.
        due: the next due time in ms; None when it is paused or never comes again.
        missed: the newest due time that was passed over, no beat having run in time.
        error: why its last turn submitted nothing.
    """

    id: str
    task: str
    timing: BaseSchedule
    params: Mapping[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # of ``Task.apply_async``
    enabled: bool = True
    source: ScheduleSource = ScheduleSource.API
    owner: str = ""
    name: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    version: int = 0
    due: int | None = None
    last_run_at: datetime | None = None
    runs: int = 0
    last_task_id: str | None = None
    missed: datetime | None = None
    error: str | None = None

    def next_runs(self, count: int) -> list[datetime]:
        """The next due times, soonest first."""
        return [] if self.due is None else [as_time(due) for due in next_due_times(self.timing, self.due, count)]

    def first_due(self, now: int) -> int | None:
        """When it is due first if it begins, or begins anew, at ``now`` (ms)."""
        return first_due(self.timing, now) if self.enabled else None

    def definition(self) -> str:
        """As redbeat keeps it."""
        return write_json(
            {
                "name": self.id,
                "task": self.task,
                "args": list(self.args),
                "kwargs": dict(self.params),
                "options": dict(self.options),
                "schedule": self.timing,
                "enabled": self.enabled,
            }
        )

    def about(self) -> str:
        """What redbeat has no place for."""
        return json.dumps(
            {
                "source": self.source,
                "owner": self.owner,
                "name": self.name,
                "created_at": None if self.created_at is None else self.created_at.isoformat(),
                "updated_at": None if self.updated_at is None else self.updated_at.isoformat(),
            }
        )

    def meta_after_run(self, run_at: datetime) -> str:
        """What redbeat keeps as ``meta`` once it has run again."""
        return write_json({"last_run_at": run_at, "total_run_count": self.runs + 1})


def read_schedule(fields: Mapping[str, str]) -> Schedule:
    """From its hash, one that redbeat wrote too.

    Raises: ValueError, TypeError, KeyError, AttributeError: it cannot be read, or its kind or zone is not known here.
    """
    definition, meta = read_json(fields["definition"]), read_json(fields.get("meta") or "{}")
    about = json.loads(fields.get("about") or '{"source": "code"}')
    return Schedule(
        id=definition["name"],
        task=definition["task"],
        timing=definition["schedule"],
        params=definition.get("kwargs") or {},
        args=tuple(definition.get("args") or ()),
        options=definition.get("options") or {},
        enabled=bool(definition.get("enabled", True)),
        source=ScheduleSource(about["source"]),
        owner=about.get("owner") or "",
        name=about.get("name"),
        created_at=_time(about.get("created_at")),
        updated_at=_time(about.get("updated_at")),
        version=int(fields.get("version") or 0),
        due=int(fields["due"]) if "due" in fields else None,
        last_run_at=last_run(meta),
        runs=int(meta.get("total_run_count") or 0),
        last_task_id=fields.get("last_task_id"),
        missed=as_time(int(fields["missed"])) if "missed" in fields else None,
        error=fields.get("error"),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
