"""What has failed for good: jobs that can be run again, and messages that nobody can read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.job_search import Position, Wanted, search
from libs.flask_celery.message_copy import expanded
from libs.flask_celery.parking import DEAD_LETTERS
from libs.flask_celery.records import JobFailure, JobRecord
from libs.flask_celery.repeat import run_again
from libs.flask_celery.submit import SubmittedJob

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

_MOST_JOBS = 100_001  # more than are kept (record_functions)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One of them. ``task`` is None for a message without a job, which cannot be run again."""

    id: str  # the job's, or the message's own
    task: str | None
    owner: str
    queue: str
    failed_at: datetime
    reason: str
    failure: JobFailure | None = None  # of a job, until its record expires


class DeadLetters:
    """The dead letters of one deployment. Methods raise redis-py's connection errors."""

    def __init__(self, celery_app: "FlaskCelery") -> None:
        self._app = celery_app
        self._backend = celery_app.backend
        self._failed = celery_app.backend.keys.failed

    def newest(self, limit: int = 100, *, task: str | None = None) -> list[DeadLetter]:
        """The newest first, failed jobs and unreadable messages together."""
        jobs, _ = self.page(Wanted(task=task), limit=limit, most_scanned=_MOST_JOBS)
        letters = [*jobs, *([] if task else self._unreadable_messages(limit))]
        return sorted(letters, key=lambda letter: letter.failed_at, reverse=True)[:limit]

    def page(
        self, wanted: Wanted, *, after: Position | None = None, limit: int, most_scanned: int
    ) -> tuple[list[DeadLetter], Position | None]:
        """Failed jobs, as ``job_search.search`` finds them by task, owner and the time they failed."""
        wanted = Wanted(wanted.task, wanted.owner, (), wanted.since, wanted.until, expired=True)
        found = search(self._backend, self._failed, wanted, after=after, limit=limit, most_scanned=most_scanned)
        return self._letters(found.jobs), found.next

    def retry(self, task_id: str) -> SubmittedJob:
        """Run a failed job again and take it off the list; a second call answers with the same new job.

        Raises: as ``run_again``.
        """
        return run_again(self._app, task_id, once=True)

    def drop(self, letter_id: str) -> bool:
        """Take one off the list. Returns: whether it was there."""
        if self.drop_job(letter_id):
            return True
        with broker_channel(self._app) as channel:
            if channel is None:
                return False
            client, key = channel.plain_client, channel.prefixed(DEAD_LETTERS)
            found = [entry for entry in client.lrange(key, 0, -1) if json.loads(entry).get("id") == letter_id]
            return sum(client.lrem(key, 1, bytes_to_str(entry)) for entry in found) > 0

    def drop_job(self, task_id: str) -> bool:
        """Take a failed job off the list. Returns: whether it was there."""
        return bool(self._backend.client.zrem(self._failed, task_id))

    def _letters(self, entries: Sequence[Position]) -> list[DeadLetter]:
        if not entries:
            return []
        records = self._backend.records.get_many([task_id for _, task_id in entries])
        letters = []
        for (failed, task_id), record in zip(entries, records, strict=True):
            failed_at = datetime.fromtimestamp(failed / 1000, tz=UTC)
            if not isinstance(record, JobRecord):
                letters.append(self._expired(task_id, getattr(record, "owner", ""), failed_at))
                continue
            failure = record.failure
            reason = f"{failure.type}: {failure.message}" if failure else ""
            queue = record.queue or ""
            letters.append(DeadLetter(task_id, record.task, record.owner, queue, failed_at, reason, failure))
        return letters

    def _expired(self, task_id: str, owner: str, failed_at: datetime) -> DeadLetter:
        """The result has expired; what it was submitted with is kept longer."""
        copy = self._backend.client.get(self._backend.keys.message(task_id))
        task, queue = (None, "") if copy is None else (expanded(copy)[0]["headers"]["task"], expanded(copy)[1])
        queue = self._app.queue_names.logical(queue)
        return DeadLetter(task_id, task, owner, queue, failed_at, "The error has expired.")

    def _unreadable_messages(self, limit: int) -> list[DeadLetter]:
        with broker_channel(self._app) as channel:
            if channel is None:
                return []
            entries = channel.plain_client.lrange(channel.prefixed(DEAD_LETTERS), 0, limit - 1)
        return [
            DeadLetter(
                id=str(entry.get("id", "")),
                task=None,
                owner="",
                queue=entry["queue"],
                failed_at=datetime.fromtimestamp(entry["parked_at"], tz=UTC),
                reason=f"{entry['reason']}: {entry['message'][:80]}",
            )
            for entry in map(json.loads, entries)
        ]
