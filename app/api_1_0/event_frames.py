"""How events are written into a stream."""

import random
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import g

from app.api_1_0.representing import shown_value
from app.api_1_0.schemas import LogLineSchema, ProgressEventSchema, StateEventSchema
from app.api_keys import Principal, Scope
from app.json_values import dumps
from app.problem import ProblemError, problem_fields
from libs.flask_celery import EventPage, JobEvent, JobProgress, StateChange

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
        return error_frame(_GONE) + _present_state(principal, page, None)
    if snapshot:
        return _present_state(principal, page, None)
    states = [event for event in page.events if isinstance(event.data, StateChange)]
    newest = states[-1] if states else None
    return "".join(
        _present_state(principal, page, event) if event is newest else _event_frame(event) for event in page.events
    )


def error_frame(problem: ProblemError) -> str:
    """Without an id: who comes again goes on after what it had."""
    return _frame("error", problem_fields(problem))


def retry_frame(seconds: float | None = None) -> str:
    """When to come again, should the stream end."""
    return f"retry: {round((seconds or random.uniform(*_COME_AGAIN)) * 1000)}\n\n"


def _present_state(principal: Principal, page: EventPage, event: JobEvent | None) -> str:
    """With the job as this principal may see it. Made once for all who are shown the same: it takes its time."""
    number = page.last if event is None else event.number
    key = (number, event is None, Scope.ADMIN in principal.scopes, g.get("locale"), str(g.get("zone")))
    if key not in page.shown:
        record = page.record
        told = StateChange(record.state, record.retries) if event is None else event.data
        data = _shown_state(told, None if event is None else event.at, shown_value(principal, record))
        page.shown[key] = _frame("state", data, number)
    return page.shown[key]


def _event_frame(event: JobEvent) -> str:
    told = event.data
    if isinstance(told, StateChange):
        data = _shown_state(told, event.at, None)
    elif isinstance(told, JobProgress):
        data = _PROGRESS.dump({"current": told.current, "total": told.total, "message": told.message, "at": event.at})
    else:
        data = _LOG_LINE.dump(told)
    return _frame(event.kind, data, event.number)


def _shown_state(told: Any, at: datetime | None, job: object) -> Any:
    return _STATE.dump({"state": told.state, "retries": told.retries, "at": at, "job": job})


def _frame(event: str, data: Any, number: int | None = None) -> str:
    """JSON has no line ends but as escapes, so the data is one line."""
    named = "" if number is None else f"id: {number}\n"
    return f"{named}event: {event}\ndata: {dumps(data)}\n\n"
