"""Calls about schedules: what each asks, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from . import listing, requests
from .errors import refusal
from .flow import Flow, Request
from .model import Submission
from .reading import read_object, read_problem, submission_of
from .schedules import Schedule, ScheduleChanges, ScheduleOptions, schedule_of
from .sending import Terms, send

_NOT_FOUND = 404


def listed(terms: Terms) -> Flow[None]:
    """Emits those in the service's code, then one's own, the newest first."""
    return listing.listed(terms, "schedules", "schedules", schedule_of)


def known(terms: Terms, schedule_id: str) -> Flow[Schedule]:
    """As it is now."""
    return (yield from _told(terms, requests.page(_path(schedule_id))))


def created(
    terms: Terms, task: str, params: Mapping[str, Any], options: ScheduleOptions, idempotency_key: str | None
) -> Flow[Schedule]:
    """Under a key, the given one or a new one: sent again it is the same schedule."""
    said = {"task": task, "params": dict(params), **options}
    return (yield from _told(terms, requests.keyed("schedules", idempotency_key or str(uuid4()), said)))


def changed(terms: Terms, schedule_id: str, changes: ScheduleChanges) -> Flow[Schedule]:
    """After that. Said again it is the same, so a reply that was lost does no harm."""
    return (yield from _told(terms, requests.change(_path(schedule_id), changes)))


def run_now(terms: Terms, schedule_id: str, idempotency_key: str | None) -> Flow[Submission]:
    """Its job, once, whatever replies are lost."""
    request = requests.keyed(f"{_path(schedule_id)}/run", idempotency_key or str(uuid4()))
    reply = (yield from send(terms, request)).reply
    return submission_of(read_object(reply), reply.headers, request.idempotency_key)


def removed(terms: Terms, schedule_id: str) -> Flow[None]:
    """Gone, by this request or one whose reply was lost. Raises: NotFoundError when there was none."""
    answer = yield from send(terms, Request("DELETE", _path(schedule_id)), tolerated=frozenset({_NOT_FOUND}))
    if answer.reply.status == _NOT_FOUND and not answer.after_loss:
        raise refusal(read_problem(answer.reply))


def _told(terms: Terms, request: Request) -> Flow[Schedule]:
    return schedule_of(read_object((yield from send(terms, request)).reply))


def _path(schedule_id: str) -> str:
    return f"schedules/{requests.segment(schedule_id)}"
