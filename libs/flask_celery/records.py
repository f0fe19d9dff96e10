"""Jobs as Redis holds them: reading, listing and cancelling. Results are read here, never through ``AsyncResult``,
which would rebuild a stored exception's class in the process that reads it (``celery/backends/base.py:616``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from libs.flask_celery.broker_side import forget_delayed
from libs.flask_celery.errors import ExpiredJobError, FinalJobError, UnknownJobError
from libs.flask_celery.record_payloads import RecordPayloads
from libs.flask_celery.states import JobState, state_named


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is: ``current`` of ``total`` in the job's own unit; ``total`` is None when it cannot know."""

    current: int
    total: int | None
    message: str


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job failed; ``type`` is the exception's class name."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file a job produced; ``size`` in bytes, ``key`` is where the application's store has it."""

    name: str
    size: int
    content_type: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job at one moment. Times are aware and in UTC."""

    task_id: str
    task: str | None
    owner: str
    state: JobState
    queue: str | None
    result: Any
    failure: JobFailure | None
    progress: JobProgress | None
    files: tuple[JobFile, ...]
    retries: int
    submitted_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    next_run_at: datetime | None  # of a job that waits for its time or for another try
    retry_of: str | None  # the job that this one runs again
    retried_as: str | None  # the newest job that runs this one again
    batch_id: str | None  # the batch it was submitted with
    schedule_id: str | None  # the schedule that has submitted it
    traceback: str | None


class JobRecords(RecordPayloads):
    """The jobs of one result database.

    Every method raises redis-py's connection errors when Redis is away; how long that takes is the role's
    ``redis_socket_timeout`` (see ``celery_config``).
    """

    def get(self, task_id: str) -> JobRecord:
        """Raises: UnknownJobError, ExpiredJobError."""
        return self.read(task_id, self.payload(task_id))

    def get_many(self, task_ids: Sequence[str]) -> list[JobRecord | UnknownJobError | ExpiredJobError]:
        """For each id what ``get`` returns or raises. One round trip, and a second one for those without a record."""
        return [
            self.read(task_id, found) if isinstance(found, bytes) else found
            for task_id, found in zip(task_ids, self.payloads(task_ids), strict=True)
        ]

    def newest(self, owner: str, *, before: tuple[int, str] | None = None) -> Iterator[tuple[int, JobRecord]]:
        """An owner's jobs, newest first, each with its time of submission in ms; read a hundred at a time.

        Args:
            before: start after this ``(submitted ms, task_id)``, the last one of the page before.
        """
        index = self._keys.owner(owner)
        highest: str | int = "+inf" if before is None else before[0]
        offset = 0
        while True:
            page = self._backend.client.zrevrangebyscore(
                index, highest, "-inf", start=offset, num=100, withscores=True
            )
            if not page:
                return
            offset += len(page)
            entries = [(int(score), _decoded(member)) for member, score in page]
            # Jobs that came in meanwhile push the ranks on: what was read before is not read again.
            position, before = before, min(entries[-1], before or entries[-1])
            yield from self._records([entry for entry in entries if position is None or entry < position])

    def _records(self, entries: Sequence[tuple[int, str]]) -> Iterator[tuple[int, JobRecord]]:
        if not entries:
            return
        payloads = self._backend.client.mget([self._keys.meta(task_id) for _, task_id in entries])
        for (submitted, task_id), payload in zip(entries, payloads, strict=True):
            if payload is not None:  # else it has expired
                yield submitted, self.read(task_id, payload)

    def read(self, task_id: str, payload: bytes) -> JobRecord:
        """The record that Redis holds as ``payload``."""
        record = self.read_alone(task_id, payload)
        # A stock worker writes Celery's fields alone, so the rest is still in the ledger.
        return record if record.task is not None else self._completed_from_ledger(record)

    def read_alone(self, task_id: str, payload: bytes) -> JobRecord:
        """The same as far as ``payload`` says it: without a ``task`` there is more of it in the ledger."""
        record = record_from_meta(task_id, self._backend.decode(payload))
        if record.queue is not None:
            record = replace(record, queue=self._backend.app.queue_names.logical(record.queue))
        return record

    def cancel(self, task_id: str, *, terminate: bool = False) -> JobState:
        """Cancel a job: at once while it waits, by a request to the job itself while it runs.

        Args:
            terminate: have the process of a running job ended, listen to the request or not.

        Returns: REVOKED when it will not run; the state it is in when it has been asked to stop.
        Raises: UnknownJobError, FinalJobError.
        """
        outcome, state = self._backend.cancel(task_id, terminate=terminate)
        if outcome == "UNKNOWN":
            raise UnknownJobError(task_id)
        if outcome == "FINAL":
            raise FinalJobError(task_id, JobState(state))
        if outcome == "REVOKED":
            forget_delayed(self._backend.app, task_id)
            return JobState.REVOKED
        return JobState(state)

    def _completed_from_ledger(self, record: JobRecord) -> JobRecord:
        owner, task, submitted = (
            None if value is None else _decoded(value)
            for value in self._backend.client.hmget(self._keys.ledger(record.task_id), "owner", "task", "submitted")
        )
        return JobRecord(
            **{
                **{name: getattr(record, name) for name in JobRecord.__slots__},
                "owner": owner or "",
                "task": task or None,
                "submitted_at": None if submitted is None else _time(int(submitted)),
            }
        )


def record_from_meta(task_id: str, meta: Mapping[str, Any]) -> JobRecord:
    """A record from the decoded ``celery-task-meta-…`` of this library, of a stock worker or of a stock client."""
    state = state_named(str(meta.get("status", JobState.PENDING)))
    result = meta.get("result")
    failure = None
    if state in (JobState.FAILURE, JobState.REVOKED):
        failure = _failure(result)
    files = tuple(
        JobFile(str(entry["name"]), int(entry["size"]), str(entry["content_type"]), str(entry.get("key") or ""))
        for entry in meta.get("files") or ()
    )
    progress = meta.get("progress")
    return JobRecord(
        task_id=task_id,
        task=meta.get("name"),
        owner=str(meta.get("owner") or ""),
        state=state,
        queue=meta.get("queue"),
        result=result if state is JobState.SUCCESS else None,
        failure=failure,
        progress=None if not progress else JobProgress(**progress),
        files=files,
        retries=int(meta.get("retries") or 0),
        submitted_at=_time(meta.get("submitted_at")),
        started_at=_time(meta.get("started_at")),
        finished_at=_finished_at(meta.get("date_done")) if state.ready else None,
        expires_at=_time(meta.get("expires_at")),
        next_run_at=_time(meta.get("next_run_at")) if state in (JobState.PENDING, JobState.RETRY) else None,
        retry_of=meta.get("retry_of"),
        retried_as=meta.get("retried_as"),
        batch_id=meta.get("batch_id"),
        schedule_id=meta.get("schedule_id"),
        traceback=meta.get("traceback"),
    )


def _failure(stored: object) -> JobFailure:
    """From Celery's ``{"exc_type", "exc_message", "exc_module"}``; no class is looked up or called.

    A stock worker that pickles its results stores the exception itself.
    """
    if isinstance(stored, BaseException):
        stored = {"exc_type": type(stored).__qualname__, "exc_message": stored.args}
    if not isinstance(stored, Mapping):
        return JobFailure(type="Exception", message=str(stored or ""))
    message = stored.get("exc_message", "")
    if isinstance(message, (list, tuple)):
        message = "; ".join(str(part) for part in message)
    return JobFailure(type=str(stored.get("exc_type", "Exception")), message=str(message))


def _time(milliseconds: object) -> datetime | None:
    if not isinstance(milliseconds, int):
        return None
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def _finished_at(date_done: object) -> datetime | None:
    if not isinstance(date_done, str):
        return None
    finished = datetime.fromisoformat(date_done)
    # Celery writes the configured zone's offset; a stock worker with enable_utc off writes none, meaning UTC.
    return (finished if finished.tzinfo else finished.replace(tzinfo=UTC)).astimezone(UTC)


def _decoded(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
