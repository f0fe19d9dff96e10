"""What commands print: values on standard output, all that is only for people who watch on standard error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from libs.job_client import (
    Job,
    JobEvent,
    JobStatus,
    LogEvent,
    LogLine,
    LostEvents,
    Progress,
    ProgressEvent,
    StateEvent,
)

if TYPE_CHECKING:
    from rich.progress import Progress as Bars


def print_json(value: Any) -> None:
    """One document, on one line."""
    click.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def print_result(job: JobStatus) -> None:
    """What a job has returned, to be read by people; text as it is."""
    text = job.result if isinstance(job.result, str) else json.dumps(job.result, ensure_ascii=False, indent=2)
    click.echo(text)


def job_line(job: JobStatus) -> str:
    """A job in a list."""
    when = "" if job.submitted_at is None else f"{job.submitted_at:%Y-%m-%dT%H:%M:%SZ}"
    failure = "" if job.error is None else "  " + " ".join(str(job.error).split())
    return f"{job.task_id}  {when}  {job.state:<8}  {job.task or ''}{failure}"


def log_line(line: LogLine) -> str:
    """A line of a job's log."""
    return f"{line.at:%H:%M:%S} {line.level:<8} {line.message}"


def log_fields(line: LogLine) -> dict[str, Any]:
    """The same for scripts."""
    return {name: getattr(line, name) for name in ("number", "at", "level", "message", "run", "retries")}


def event_fields(event: JobEvent) -> dict[str, Any]:
    """An event for scripts."""
    match event:
        case StateEvent():
            job = None if event.job is None else event.job.as_json
            return {"event": "state", "id": event.id, "state": event.state, "at": event.at, "job": job}
        case ProgressEvent(progress=told):
            fields = {"current": told.current, "total": told.total, "message": told.message}
            return {"event": "progress", "id": event.id, **fields, "at": event.at}
        case LogEvent():
            return {"event": "log", "id": event.id, **log_fields(event.line)}
        case LostEvents():
            return {"event": "lost", "detail": event.problem.detail}


class Watching:
    """A job's progress bar and log on a terminal; on anything else the lines alone."""

    def __init__(self, job: Job) -> None:
        from rich.console import Console  # noqa: PLC0415 - only who watches waits for it
        from rich.markup import escape  # noqa: PLC0415
        from rich.progress import Progress as Bars  # noqa: PLC0415

        self._escaped = escape
        console = Console(stderr=True, highlight=False)
        self._bars: Bars = Bars(console=console, transient=True, disable=not console.is_terminal)
        self._bar = self._bars.add_task(job.task_id, total=None)

    def __enter__(self) -> Watching:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, event: JobEvent) -> None:
        """A state or a log line above the bar; progress in it."""
        match event:
            case StateEvent():
                self._say(str(event.state))
            case ProgressEvent():
                self.progress(event.progress)
            case LogEvent():
                self._say(log_line(event.line))
            case LostEvents():
                self._say("Some events are not kept any more.")

    def progress(self, told: Progress) -> None:
        """In the bar."""
        said = self._escaped(told.message) or "Running"
        self._bars.update(self._bar, completed=told.current, total=told.total, description=said)

    def _say(self, text: str) -> None:
        self._bars.console.print(text, markup=False, soft_wrap=True)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not for JSON")
