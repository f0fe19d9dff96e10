"""How events are written into a stream."""

import random
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import json

from app.api_1_0.representing import represent
from app.api_1_0.schemas import LogLineSchema, ProgressEventSchema, StateEventSchema
from app.api_keys import Principal
from app.problem import ProblemError, problem_fields
from libs.flask_celery import EventPage, JobEvent, JobProgress, JobRecord, JobState, StateChange

#: What is sent when there is nothing to say, so that nobody takes the stream for dead.
COMMENT = ":\n\n"

#: Seconds after which a client comes again, about: those of a process that has ended shall not come as one.
_COME_AGAIN = (1.0, 3.0)

_STATE, _PROGRESS, _LOG_LINE = StateEventSchema(), ProgressEventSchema(), LogLineSchema()

_GONE = ProblemError(
    HTTPStatus.GONE,
    "Some of the events after the one you have are not kept any more. This goes on from the present state.",
)


def frames(principal: Principal, page: EventPage, *, snapshot: bool) -> str:
    """The events of a page; or the present state in their place, for ``snapshot`` and where some are gone."""
    if page.is_gone:
        return error_frame(_GONE) + _snapshot(principal, page)
    if snapshot:
        return _snapshot(principal, page)
    states = [event.number for event in page.events if isinstance(event.data, StateChange)]
    newest = states[-1] if states else None
    return "".join(
        _event_frame(principal, event, page.record if event.number == newest else None) for event in page.events
    )


def error_frame(problem: ProblemError) -> str:
    """Without an id: who comes again goes on after what it had."""
    return _frame("error", problem_fields(problem))


def retry_frame(seconds: float | None = None) -> str:
    """When to come again, should the stream end."""
    return f"retry: {round((seconds or random.uniform(*_COME_AGAIN)) * 1000)}\n\n"


def _snapshot(principal: Principal, page: EventPage) -> str:
    record = page.record
    return _frame("state", _shown_state(principal, record.state, record.retries, None, record), page.last)


def _event_frame(principal: Principal, event: JobEvent, record: JobRecord | None) -> str:
    """``record``: for the newest state."""
    told = event.data
    if isinstance(told, StateChange):
        data = _shown_state(principal, told.state, told.retries, event.at, record)
    elif isinstance(told, JobProgress):
        data = _PROGRESS.dump({"current": told.current, "total": told.total, "message": told.message, "at": event.at})
    else:
        data = _LOG_LINE.dump(told)
    return _frame(event.kind, data, event.number)


def _shown_state(
    principal: Principal, state: JobState, retries: int | None, at: datetime | None, record: JobRecord | None
) -> Any:
    job = None if record is None else represent(principal, record).value
    return _STATE.dump({"state": state, "retries": retries, "at": at, "job": job})


def _frame(event: str, data: Any, number: int | None = None) -> str:
    """JSON has no line ends but as escapes, so the data is one line."""
    named = "" if number is None else f"id: {number}\n"
    return f"{named}event: {event}\ndata: {json.dumps(data)}\n\n"
