"""What has failed for good: jobs that can be run again, and messages that nobody can read."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.errors import ExpiredJobError, UnknownJobError
from libs.flask_celery.message_copy import expanded
from libs.flask_celery.parking import DEAD_LETTERS
from libs.flask_celery.repeat import run_again

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One of them. ``task`` is None for a message without a job, which cannot be run again."""

    id: str  # the job's, or the message's own
    task: str | None
    owner: str
    queue: str
    failed_at: datetime
    reason: str


class DeadLetters:
    """The dead letters of one deployment. Methods raise redis-py's connection errors."""

    def __init__(self, celery_app: "FlaskCelery") -> None:
        self._app = celery_app
        self._backend = celery_app.backend
        self._failed = celery_app.backend.keys.failed

    def newest(self, limit: int = 100, *, task: str | None = None) -> list[DeadLetter]:
        """The newest first, failed jobs and unreadable messages together."""
        letters = [*self._failed_jobs(limit, task), *([] if task else self._unreadable_messages(limit))]
        return sorted(letters, key=lambda letter: letter.failed_at, reverse=True)[:limit]

    def retry(self, task_id: str) -> str:
        """Run a failed job again and take it off the list; a second call answers with the same new job.

        Returns: the new job's id.
        Raises: UnknownJobError, ExpiredJobError, UnfinishedJobError, NotRepeatableError.
        """
        new_id = run_again(self._app, task_id, once=True)
        self._backend.client.zrem(self._failed, task_id)
        return new_id

    def drop(self, letter_id: str) -> bool:
        """Take one off the list. Returns: whether it was there."""
        if self._backend.client.zrem(self._failed, letter_id):
            return True
        with broker_channel(self._app) as channel:
            if channel is None:
                return False
            client, key = channel.plain_client, channel.prefixed(DEAD_LETTERS)
            found = [entry for entry in client.lrange(key, 0, -1) if json.loads(entry).get("id") == letter_id]
            return sum(client.lrem(key, 1, bytes_to_str(entry)) for entry in found) > 0

    def _failed_jobs(self, limit: int, task: str | None) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        start = 0
        while entries := self._backend.client.zrevrange(self._failed, start, start + _AT_ONCE - 1, withscores=True):
            start += len(entries)
            for member, failed_at in entries:
                letter = self._failed_job(bytes_to_str(member), datetime.fromtimestamp(failed_at / 1000, tz=UTC))
                if task is None or letter.task == task:
                    letters.append(letter)
                if len(letters) == limit:
                    return letters
        return letters

    def _failed_job(self, task_id: str, failed_at: datetime) -> DeadLetter:
        try:
            record = self._backend.records.get(task_id)
        except (UnknownJobError, ExpiredJobError) as error:
            # The result has expired; what it was submitted with is kept longer.
            owner = getattr(error, "owner", "")
            copy = self._backend.client.get(self._backend.keys.message(task_id))
            task, queue = (None, "") if copy is None else (expanded(copy)[0]["headers"]["task"], expanded(copy)[1])
            return DeadLetter(task_id, task, owner, queue, failed_at, "The error has expired.")
        failure = record.failure
        reason = f"{failure.type}: {failure.message}" if failure else ""
        return DeadLetter(task_id, record.task, record.owner, record.queue or "", failed_at, reason)

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
