"""What a submission may ask for beside its params."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Options:
    """How a job is to run. Times are seconds from the submission, or aware moments.

    Args:
        delay: not before so many seconds.
        at: not before that.
        expires: a job that has not started by then never does.
        cancel_after: seconds after which a job that has not ended is cancelled.
        priority: 0, the most urgent, to 9.
        queue: one of the task's ``queues``.
        webhook: the address that is told of its end.
        idempotency_key: your name for this submission. Without one each call is a submission of its own, under a
            key that is made for it, so that a lost reply makes no second job.
    """

    delay: float | None = None
    at: datetime | None = None
    expires: float | datetime | None = None
    cancel_after: float | None = None
    priority: int | None = None
    queue: str | None = None
    webhook: str | None = None
    idempotency_key: str | None = None

    def query(self) -> tuple[tuple[str, str], ...]:
        """Those that are of the address. Raises: ValueError for a time without its zone."""
        values = {
            "delay": self.delay,
            "at": self.at,
            "expires": self.expires,
            "priority": self.priority,
            "queue": self.queue,
            "webhook": self.webhook,
        }
        return tuple((name, in_query(value)) for name, value in values.items() if value is not None)

    def headers(self) -> dict[str, str]:
        """Those that are headers."""
        return {} if self.cancel_after is None else {"Cancel-After": f"{self.cancel_after:g}"}


def in_query(value: str | float | bool | datetime) -> str:
    """Raises: ValueError for a time without its zone, which would be anybody's guess."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("A time wants its zone, such as datetime.now(UTC).")
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
