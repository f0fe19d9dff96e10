"""The records of jobs as Redis holds them, unread; and why there is none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.errors import ExpiredJobError, UnknownJobError
from libs.flask_celery.lean_reads import LeanReads

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin


class RecordPayloads:
    """Of one result database. Every method raises redis-py's connection errors when Redis is away."""

    def __init__(self, backend: "JobBackendMixin") -> None:
        self._backend = backend
        self._keys = backend.keys
        self._lean_reads: LeanReads | None = None

    def payload(self, task_id: str) -> bytes:
        """The record as it is now. Raises: UnknownJobError, ExpiredJobError."""
        (payload,) = self._read([task_id])
        if payload is None:
            owner = self._backend.client.hget(self._keys.ledger(task_id), "owner")
            # Between the two questions the job may have been accepted, which is not to have expired.
            payload = None if owner is None else self._backend.client.get(self._keys.meta(task_id))
            if payload is None:
                raise self.missing(task_id, owner)
        return payload

    def payloads(self, task_ids: Sequence[str]) -> list[bytes | UnknownJobError | ExpiredJobError]:
        """For each id what ``payload`` returns or raises. One round trip, and another for those without a record."""
        payloads = self._read(task_ids)
        missing = [task_id for task_id, payload in zip(task_ids, payloads, strict=True) if payload is None]
        with self._backend.client.pipeline(transaction=False) as pipe:
            for task_id in missing:
                pipe.hget(self._keys.ledger(task_id), "owner")
                pipe.get(self._keys.meta(task_id))  # again, as above
            answers = iter(pipe.execute() if missing else ())
        found: list[bytes | UnknownJobError | ExpiredJobError] = []
        for task_id, first in zip(task_ids, payloads, strict=True):
            owner, payload = (None, first) if first is not None else (next(answers), next(answers))
            found.append(self.missing(task_id, owner) if payload is None else payload)
        return found

    def missing(self, task_id: str, owner: bytes | None) -> UnknownJobError | ExpiredJobError:
        """Why there is no record, where ``owner`` is what the ledger says."""
        return UnknownJobError(task_id) if owner is None else ExpiredJobError(task_id, bytes_to_str(owner))

    def _read(self, task_ids: Sequence[str]) -> list[bytes | None]:
        if not task_ids:  # which Redis takes for an error
            return []
        keys = [self._keys.meta(task_id) for task_id in task_ids]
        client = self._backend.client
        if getattr(self._backend.app, "serves_clients", False):
            if self._lean_reads is None:
                self._lean_reads = LeanReads(client.connection_pool)
            return self._lean_reads.get(keys)
        # A worker has time to let the client try again.
        found: list[bytes | None] = client.mget(keys)
        return found
