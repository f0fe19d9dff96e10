"""The schedules of a deployment, kept in the Redis of the results: made, read, changed and removed.

Every method raises redis-py's connection errors when Redis is away.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from celery.utils import uuid

from libs.flask_celery.errors import (
    IdempotencyConflictError,
    ScheduleChangedError,
    ScheduleLimitError,
    UnknownScheduleError,
)
from libs.flask_celery.schedules.due_times import as_ms
from libs.flask_celery.schedules.schedule import Schedule, read_schedule
from libs.flask_celery.schedules.scripts import CHANGE, CREATE, REMOVE
from libs.flask_celery.server_script import run_script

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

logger = logging.getLogger(__name__)

#: What reading a schedule raises that was written by another version, or by hand.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError)


class ScheduleKeys:
    """The names of what Redis holds about schedules; redbeat's own where it has one."""

    def __init__(self, prefix: str) -> None:
        self.prefix = f"{prefix}redbeat:"
        self.by_due = f"{self.prefix}:schedule"
        self.in_code = f"{self.prefix}:statics"
        self.lock = f"{self.prefix}:lock"
        self.all = f"{prefix}taskgate-schedules"
        self._of_owner = f"{prefix}taskgate-schedules-of-"
        self._idempotency = f"{prefix}taskgate-idempotency-"

    def schedule(self, schedule_id: str) -> str:
        """Its hash."""
        return f"{self.prefix}{schedule_id}"

    def owner(self, owner: str) -> str:
        """The ids of an owner's, by the time they were made."""
        return f"{self._of_owner}{owner}"

    def idempotency(self, owner: str, key: str) -> str:
        """Apart from the keys of submissions: a client may number each kind by itself."""
        return self._idempotency + sha256(f"schedule\n{owner}\n{key}".encode()).hexdigest()[:40]


class Schedules:
    """Of one deployment."""

    def __init__(self, celery_app: "FlaskCelery") -> None:
        self._client = celery_app.backend.client
        self._idempotency_ttl = celery_app.terms.idempotency_ttl
        self.keys = ScheduleKeys(celery_app.backend.keys.prefix)

    def create(
        self, schedule: Schedule, *, limit: int = 0, idempotency_key: str | None = None, content: Any = None
    ) -> tuple[Schedule, bool]:
        """Keep a new schedule, under an id of its own.

        Args:
            limit: how many its owner may have; 0 is no limit.
            content: what must be the same when the key is used again.

        Returns: the schedule, and whether it was made earlier under the same key.
        Raises: ScheduleLimitError, IdempotencyConflictError; UnknownScheduleError when the key's was removed.
        """
        now = datetime.now(UTC)
        made = replace(schedule, id=uuid(), created_at=now, updated_at=now, version=1)
        made = replace(made, due=made.first_due(as_ms(now)))
        key = "" if idempotency_key is None else self.keys.idempotency(schedule.owner, idempotency_key)
        fingerprint = sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:40]
        outcome, schedule_id = run_script(
            self._client,
            CREATE,
            [
                self.keys.schedule(made.id),
                self.keys.by_due,
                self.keys.owner(made.owner),
                self.keys.all,
            ],
            [
                *(made.id, as_ms(now), limit, key, fingerprint, self._idempotency_ttl),
                *(made.definition(), made.about(), "" if made.due is None else made.due),
            ],
        )
        if outcome == b"FULL":
            raise ScheduleLimitError(limit)
        if outcome == b"CONFLICT":
            raise IdempotencyConflictError(schedule_id.decode())
        return (made, False) if outcome == b"CREATED" else (self.get(schedule_id.decode()), True)

    def get(self, schedule_id: str) -> Schedule:
        """Raises: UnknownScheduleError, for one that cannot be read too."""
        found = next(self._read([schedule_id]), None)
        if found is None:
            raise UnknownScheduleError(schedule_id)
        return found

    def newest(
        self, owner: str | None, *, limit: int, before: tuple[int, str] | None = None
    ) -> list[tuple[int, Schedule]]:
        """An owner's, or with None everybody's, newest first, each with the time in ms at which it was made.

        Args:
            before: start after this ``(made at, id)``, the last one of the page before.
        """
        index = self.keys.all if owner is None else self.keys.owner(owner)
        highest: int | str = "+inf" if before is None else before[0]
        # More than the page, since some of the first may have been made in the very ms at which the one before ended.
        found = self._client.zrevrangebyscore(index, highest, "-inf", start=0, num=limit + 100, withscores=True)
        entries = [(int(made_at), member.decode()) for member, made_at in found]
        page = {member: made_at for made_at, member in entries if before is None or (made_at, member) < before}
        ids = list(page)[:limit]
        return [(page[schedule.id], schedule) for schedule in self._read(ids)]

    def in_code(self) -> list[Schedule]:
        """Those that the beat that leads has found in ``beat_schedule``, by name."""
        return list(self._read(sorted(name.decode() for name in self._client.smembers(self.keys.in_code))))

    def change(self, schedule: Schedule, *, starts_anew: bool) -> Schedule:
        """Write a schedule back that was read and changed.

        Args:
            starts_anew: its next due time is another one, counted from now.

        Raises: UnknownScheduleError; ScheduleChangedError when somebody else has changed it since it was read.
        """
        now = datetime.now(UTC)
        changed = replace(schedule, updated_at=now)
        due: int | str | None = changed.first_due(as_ms(now)) if starts_anew else "keep"
        outcome = run_script(
            self._client,
            CHANGE,
            [self.keys.schedule(schedule.id), self.keys.by_due],
            [schedule.version, changed.definition(), changed.about(), "" if due is None else due],
        )
        self._check(outcome, schedule.id)
        return self.get(schedule.id)

    def remove(self, schedule: Schedule, *, whatever_version: bool = True) -> None:
        """Raises: UnknownScheduleError; ScheduleChangedError when it is to be the version that was read."""
        keys = [
            self.keys.schedule(schedule.id),
            self.keys.by_due,
            self.keys.owner(schedule.owner),
            self.keys.all,
        ]
        version = "" if whatever_version else schedule.version
        self._check(run_script(self._client, REMOVE, keys, [schedule.id, version]), schedule.id)

    def _check(self, outcome: bytes, schedule_id: str) -> None:
        if outcome == b"UNKNOWN":
            raise UnknownScheduleError(schedule_id)
        if outcome == b"OTHER":
            raise ScheduleChangedError(schedule_id)

    def _read(self, ids: Sequence[str]) -> Iterator[Schedule]:
        with self._client.pipeline(transaction=False) as pipe:
            for schedule_id in ids:
                pipe.hgetall(self.keys.schedule(schedule_id))
            hashes = pipe.execute()
        for schedule_id, fields in zip(ids, hashes, strict=True):
            if not fields:
                continue
            try:
                yield read_schedule({name.decode(): value.decode() for name, value in fields.items()})
            except UNREADABLE as error:
                logger.warning("The schedule %r cannot be read: %r", schedule_id, error)
