"""Batches as Redis holds them: reading, listing and cancelling."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.batches.cancel import cancel_jobs
from libs.flask_celery.batches.errors import ExpiredBatchError, FinalBatchError, UnknownBatchError
from libs.flask_celery.batches.scripts import CANCEL_BATCH, FINAL, UNKNOWN
from libs.flask_celery.errors import ExpiredJobError, UnknownJobError
from libs.flask_celery.records import JobRecord
from libs.flask_celery.server_script import run_script
from libs.flask_celery.states import JobState

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin

#: Jobs that are read in one round trip.
PAGE = 100


@dataclass(frozen=True, slots=True)
class ThenJob:
    """The job that runs when a batch is over."""

    task: str
    task_id: str
    state: JobState | None  # None before it is submitted; REVOKED when it will not be
    is_submitted: bool = False  # there is such a job


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One batch at one moment. Times are aware and in UTC."""

    batch_id: str
    owner: str
    total: int  # items that were sent
    counts: Mapping[JobState, int]  # its jobs by state
    is_complete: bool  # every item has been accepted or refused; else that goes on, or has broken off
    then: ThenJob | None
    submitted_at: datetime
    cancelled_at: datetime | None
    finished_at: datetime | None  # when the last job became final
    expires_at: datetime | None

    @property
    def ready(self) -> bool:
        """Whether all of its jobs are final."""
        return self.finished_at is not None

    @property
    def accepted(self) -> int:
        """How many jobs it has."""
        return sum(self.counts.values())


class BatchRecords:
    """The batches of one result database. Every method raises redis-py's connection errors when Redis is away."""

    def __init__(self, backend: "JobBackendMixin") -> None:
        self._backend = backend
        self._keys = backend.keys

    def get(self, batch_id: str) -> BatchRecord:
        """Raises: UnknownBatchError, ExpiredBatchError."""
        fields = _texts(self._backend.client.hgetall(self._keys.batch(batch_id)))
        if "owner" not in fields:
            raise UnknownBatchError(batch_id)
        then_state = None
        if fields.get("then_id") and fields.get("finished"):
            then_state = self._backend.client.hget(self._keys.ledger(fields["then_id"]), "state")
        record = _record(batch_id, fields, then_state)
        if record.expires_at is not None and record.expires_at <= datetime.now(UTC):
            raise ExpiredBatchError(batch_id, record.owner)
        return record

    def newest(self, owner: str, *, before: tuple[int, str] | None = None) -> Iterator[tuple[int, BatchRecord]]:
        """An owner's batches, newest first, each with its time of submission in ms.

        Args:
            before: start after this ``(submitted ms, batch_id)``, the last one of the page before.
        """
        highest: str | int = "+inf" if before is None else before[0]
        offset = 0
        while page := self._backend.client.zrevrangebyscore(
            self._keys.owner_batches(owner), highest, "-inf", start=offset, num=PAGE, withscores=True
        ):
            offset += len(page)
            for member, score in page:
                position = (int(score), bytes_to_str(member))
                if before is not None and position >= before:
                    continue
                before = position
                try:
                    yield position[0], self.get(position[1])
                except (UnknownBatchError, ExpiredBatchError):
                    continue

    def jobs(
        self, batch_id: str, *, after: int = -1, limit: int = PAGE
    ) -> list[tuple[int, JobRecord | UnknownJobError | ExpiredJobError]]:
        """Its jobs in their order, each with its place; an error in the place of one whose result has expired.

        Args:
            after: the place of the last one of the page before.
        """
        members = self._backend.client.zrangebyscore(
            self._keys.batch_jobs(batch_id), f"({after}", "+inf", start=0, num=limit, withscores=True
        )
        found = self._backend.records.get_many([bytes_to_str(member) for member, _ in members]) if members else []
        return [(int(score), record) for (_, score), record in zip(members, found, strict=True)]

    def all_jobs(self, batch_id: str) -> Iterator[JobRecord | UnknownJobError | ExpiredJobError]:
        """All of them, read a page at a time."""
        after = -1
        while page := self.jobs(batch_id, after=after):
            yield from (record for _, record in page)
            after = page[-1][0]

    def cancel(self, batch_id: str, *, terminate: bool = False) -> None:
        """Cancel every job that is not final, as ``JobRecords.cancel`` does, and ``then`` with them.

        Raises: UnknownBatchError, FinalBatchError when all are final.
        """
        outcome = self.run(CANCEL_BATCH, [batch_id, *self._backend.kept_for()])
        if outcome == UNKNOWN:
            raise UnknownBatchError(batch_id)
        if outcome == FINAL:
            raise FinalBatchError(batch_id)
        after, jobs = -1.0, self._keys.batch_jobs(batch_id)
        while page := self._backend.client.zrangebyscore(
            jobs, f"({after:.0f}", "+inf", start=0, num=PAGE * 2, withscores=True
        ):
            cancel_jobs(self._backend, [bytes_to_str(member) for member, _ in page], terminate=terminate)
            after = page[-1][1]

    def run(self, script: str, arguments: Sequence[Any]) -> Any:
        """Run one of ``batches.scripts``."""
        return run_script(self._backend.client, script, [], [*arguments, self._keys.prefix])


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {bytes_to_str(name): bytes_to_str(value) for name, value in fields.items()}


def _record(batch_id: str, fields: Mapping[str, str], then_state: bytes | None) -> BatchRecord:
    then = None
    if "then" in fields:
        then = ThenJob(
            *(fields["then"], fields["then_id"], _then_state(then_state, "cancelled" in fields)),
            is_submitted=then_state is not None,
        )
    return BatchRecord(
        batch_id=batch_id,
        owner=fields["owner"],
        total=int(fields["total"]),
        counts={state: int(fields.get(state.value) or 0) for state in JobState},
        is_complete="sealed" in fields,
        then=then,
        submitted_at=_time(fields["submitted"]),
        cancelled_at=_time(fields["cancelled"]) if "cancelled" in fields else None,
        finished_at=_time(fields["finished"]) if "finished" in fields else None,
        expires_at=_time(fields["expires"]) if "expires" in fields else None,
    )


def _then_state(stored: bytes | None, is_cancelled: bool) -> JobState | None:
    if stored is None:
        return JobState.REVOKED if is_cancelled else None
    state = bytes_to_str(stored)
    return JobState(state) if state in JobState.__members__ else JobState.PROGRESS  # a word of the job's own


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC)
