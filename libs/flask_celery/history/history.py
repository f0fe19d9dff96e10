"""A job's past as it is kept beside its record: its events, and what its runs have logged."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from libs.flask_celery.history.scripts import LOG, READ_EVENTS, READ_LOG
from libs.flask_celery.ledger import now_ms
from libs.flask_celery.records import JobProgress, JobRecord
from libs.flask_celery.states import JobState, state_named

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin


class EventKind(StrEnum):
    """What an event tells of."""

    STATE = "state"  # the record is in another state, or in the same one anew
    PROGRESS = "progress"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A state that a job has come into. ``retries`` is None where nobody knew."""

    state: JobState
    retries: int | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a job's log. Lines are numbered from 1; ``run`` counts the runs of the job, retries or not."""

    number: int
    run: int
    at: datetime
    level: str
    retries: int
    message: str


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that has become of a job. Events are numbered from 1, without gaps; 0 is its acceptance."""

    number: int
    kind: EventKind
    at: datetime
    data: StateChange | JobProgress | LogLine


@dataclass(frozen=True, slots=True)
class EventPage:
    """A job and its events after one of them, as they were at one moment.

    ``last`` is the number of the newest event. ``is_gone`` says that there were events after the one asked for that
    are not kept any more, or that there never was such a one; then ``events`` is empty. ``shown`` is for those who
    show the same page to many: what they have made of it, by whatever else it depends on.
    """

    record: JobRecord
    last: int
    events: tuple[JobEvent, ...] = ()
    is_gone: bool = False
    shown: dict[Any, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines of a job's log; ``dropped`` is how many before them are not kept, ``last`` the newest line's number."""

    lines: tuple[LogLine, ...]
    dropped: int
    last: int


class JobHistory:
    """The past of the jobs of one result database. Every method raises redis-py's connection errors."""

    def __init__(self, backend: "JobBackendMixin") -> None:
        self._backend = backend

    def events(self, task_id: str, after: int | None) -> EventPage:
        """The events after number ``after``, none when that is None. Raises: UnknownJobError, ExpiredJobError."""
        arguments = [task_id, "" if after is None else after, now_ms()]
        payload, owner, last, is_gone, events = self._backend.run_record_script(READ_EVENTS, task_id, arguments)
        if payload is None:
            raise self._backend.records.missing(task_id, owner)
        record = self._backend.records.read(task_id, payload)
        return EventPage(record, last, tuple(map(_event, events)), bool(is_gone))

    def log(self, task_id: str, *, after: int, limit: int) -> LogPage:
        """``limit`` lines after number ``after``."""
        last, dropped, lines = self._backend.run_record_script(READ_LOG, task_id, [task_id, after, limit])
        return LogPage(tuple(_line(json.loads(line)) for line in lines), dropped, last)

    def add_lines(
        self, task_id: str, fence: int, run: str, before: int, lines: Sequence[str], *, has_ended: bool
    ) -> bytes:
        """Add what a run has said, once however often it is sent.

        Args:
            run: a name of the run without spaces.
            before: how many lines it had said before these; those that were not sent are missing from then on.
            lines: each as ``telling.encoded_line`` makes it.
            has_ended: whether this run has ended the job.

        Returns: as the LOG script.
        """
        settings = self._backend.telling
        arguments = [
            *(task_id, fence, "ended" if has_ended else "", run, before),
            *(settings.log_lines, settings.log_bytes, now_ms(), *lines),
        ]
        answer: bytes = self._backend.run_record_script(LOG, task_id, arguments)
        return answer


def _event(text: bytes) -> JobEvent:
    number, kind, at, data = json.loads(text)
    kind = EventKind(kind)
    told: StateChange | JobProgress | LogLine
    if kind is EventKind.STATE:
        told = StateChange(state_named(data["state"]), data.get("retries"))
    elif kind is EventKind.PROGRESS:
        told = JobProgress(**data)
    else:
        told = _line(data)
    return JobEvent(number, kind, _time(at), told)


def _line(fields: Iterable[Any]) -> LogLine:
    number, run, at, level, retries, message = fields
    return LogLine(number, run, _time(at), level, retries, message)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
