"""The deliveries of webhooks, and each attempt at one: what goes on, and for a while what is over.

In Redis, not in SQL: an attempt is noted by workers whatever the database does, and SQLite has one writer, so that an
attempt would wait for a job's transaction. It is bounded in both ways: what is over goes after a week, and before
that when an owner has more of it.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from app.webhooks.log_scripts import CLAIM, ENTER, LEAVE, NOTE, START
from libs.flask_celery import run_script

#: For how long a delivery is known after the last word on it, in ms.
KEPT = 7 * 24 * 3_600 * 1_000

#: How many deliveries of an owner are known that are over, and how many may go on. Of jobs that end beyond that it is
#: known that a webhook is owed, and they have their turn later.
MOST_OVER = 1_000
MOST_PENDING = 10_000

#: Attempts kept of one delivery.
_MOST_ATTEMPTS = 20

#: For how long one worker has those that it publishes, in ms.
_CLAIM = 10_000

#: Deliveries of an owner that are sent at a time; while the owner's receivers are slow, for so long (ms), so few.
AT_A_TIME = 8
_SLOW = 60_000
_AT_A_TIME_WHILE_SLOW = 1


class DeliveryStatus(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"  # to be sent, or to be sent again
    DELIVERED = "delivered"  # the receiver answered 2xx
    FAILED = "failed"  # the last try has failed
    GONE = "gone"  # the receiver answered 410 and is not asked again


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try."""

    at: datetime  # aware, in UTC
    status: int | None  # of HTTP
    error: str | None
    duration: int  # ms


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook on its way, or one that has been. Times are aware and in UTC."""

    id: str
    owner: str
    event: str  # "job" or "test"
    task_id: str | None
    url: str = field(repr=False)
    status: DeliveryStatus
    tries: int  # of this round: asked for anew, a delivery has as many again
    created_at: datetime
    next_try_at: datetime | None
    attempts: tuple[Attempt, ...]  # the newest ones, in their order


class UnfinishedError(Exception):
    """The delivery goes on, so that it cannot be started anew."""


class FullError(Exception):
    """The owner has as many deliveries under way as there may be."""


def delivery_id_of(task_id: str) -> str:
    """Of the webhook of a job. The script CLAIM makes it likewise."""
    return f"msg_{hashlib.sha1(task_id.encode(), usedforsecurity=False).hexdigest()}"


class DeliveryLog:
    """The log of one deployment. Every method raises redis-py's connection errors when Redis is away."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def claim(self, most: int) -> list[tuple[str, int]]:
        """Ids to publish a task for now, each with the number of its round; nobody else is given them for a while."""
        found = self._run(CLAIM, most, _now(), _CLAIM, MOST_PENDING, *_bounds())
        return [(key.decode(), int(number)) for key, number in zip(found[::2], found[1::2], strict=True)]

    def published(self, delivery_id: str) -> None:
        """Its task is in its queue."""
        self._client.zrem(f"{self._prefix}taskgate-webhooks-unpublished", delivery_id)

    def start_test(self, owner: str, url: str) -> str:
        """Have an event sent to ``url`` that means nothing. Returns: the delivery's id. Raises: FullError."""
        found = f"msg_{secrets.token_hex(20)}"
        self._start(found, owner, url)
        return found

    def start_anew(self, delivery: Delivery) -> None:
        """Have one that is over sent again. Raises: LookupError, UnfinishedError, FullError."""
        self._start(delivery.id, delivery.owner, "")

    def get(self, delivery_id: str) -> Delivery | None:
        """One of them, whoever's it is."""
        return self._read([delivery_id])[0]

    def newest(self, owner: str, *, before: tuple[int, str] | None = None) -> Iterator[tuple[int, Delivery]]:
        """An owner's, newest first, each with the time it was made in ms.

        Args:
            before: start after this ``(ms, id)``, the last one of the page before.
        """
        log, offset = f"{self._prefix}taskgate-webhooks-log-{owner}", 0
        highest: str | int = "+inf" if before is None else before[0]
        while page := self._client.zrevrangebyscore(log, highest, "-inf", start=offset, num=100, withscores=True):
            offset += len(page)
            entries = [(int(score), member.decode()) for member, score in page]
            position, before = before, min(entries[-1], before or entries[-1])
            wanted = [entry for entry in entries if position is None or entry < position]
            for (made, _), delivery in zip(wanted, self._read([found for _, found in wanted]), strict=True):
                if delivery is not None:
                    yield made, delivery

    def enter(self, delivery: Delivery, *, longest: float) -> bool:
        """Whether it may be sent now, for at most ``longest`` seconds: an owner has few at a time."""
        now = _now()
        limits = (AT_A_TIME, _AT_A_TIME_WHILE_SLOW)
        return bool(self._run(ENTER, delivery.id, delivery.owner, now, now + round(longest * 1_000), *limits))

    def leave(self, delivery: Delivery, *, slow: bool) -> None:
        """It has been sent. ``slow``: the receiver kept its worker waiting."""
        self._run(LEAVE, delivery.id, delivery.owner, _SLOW if slow else 0)

    def note(self, delivery: Delivery, attempt: Attempt, status: DeliveryStatus, next_in: float | None) -> None:
        """Keep what came of an attempt; ``next_in`` seconds there will be another."""
        next_try = "" if next_in is None else _now() + round(next_in * 1_000)
        said = json.dumps({**asdict(attempt), "at": attempt.at.isoformat()})
        said_now = (_now(), said, status.value, next_try, _MOST_ATTEMPTS)
        self._run(NOTE, delivery.id, delivery.owner, *said_now, *_bounds())

    def _start(self, delivery_id: str, owner: str, url: str) -> None:
        outcome = self._run(START, delivery_id, owner, _now(), MOST_PENDING, url, *_bounds())
        if outcome == b"UNKNOWN":
            raise LookupError(delivery_id)
        if outcome == b"PENDING":
            raise UnfinishedError
        if outcome == b"FULL":
            raise FullError

    def _read(self, ids: Sequence[str]) -> list[Delivery | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for found in ids:
                pipe.hgetall(f"{self._prefix}taskgate-webhook-{found}")
                pipe.lrange(f"{self._prefix}taskgate-webhook-attempts-{found}", 0, -1)
            answers = pipe.execute()
        return [
            _delivery(found, row, attempts)
            for found, row, attempts in zip(ids, answers[::2], answers[1::2], strict=True)
        ]

    def _run(self, script: str, *arguments: Any) -> Any:
        return run_script(self._client, script, [], [*arguments, self._prefix])


def _bounds() -> tuple[int, int]:
    return KEPT, MOST_OVER


def _delivery(found: str, row: Mapping[bytes, bytes], attempts: Sequence[bytes]) -> Delivery | None:
    if b"status" not in row:
        return None
    fields = {name.decode(): value.decode() for name, value in row.items()}
    status = DeliveryStatus(fields["status"])
    return Delivery(
        id=found,
        owner=fields["owner"],
        event=fields["event"],
        task_id=fields.get("task_id"),
        url=fields["url"],
        status=status,
        tries=int(fields["tries"]),
        created_at=_time(fields["created"]),
        next_try_at=_time(fields["next_try"]) if fields["next_try"] and status is DeliveryStatus.PENDING else None,
        attempts=tuple(map(_attempt, attempts)),
    )


def _attempt(said: bytes) -> Attempt:
    fields = json.loads(said)
    return Attempt(**{**fields, "at": datetime.fromisoformat(fields["at"])})


def _now() -> int:
    return time.time_ns() // 1_000_000


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(float(milliseconds)) / 1000, tz=UTC)
