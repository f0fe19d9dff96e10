"""How long the runs of each task have been taking.

The step that stores a success (``record_scripts.STORE``) moves the task's mean towards the run's time by a fifth, so
that it is the newest dozen of runs that count.
"""

import time
from typing import TYPE_CHECKING

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin

#: Seconds for which what was read serves: a hint for clients need not be exact, and they ask often.
FRESH = 5.0


class RunTimes:
    """Those of one result database, read in one piece, once in a while. For any thread."""

    def __init__(self, backend: "JobBackendMixin") -> None:
        self._backend = backend
        self._means: dict[str, float] = {}
        self._stale_at = 0.0

    def mean(self, task: str) -> float | None:
        """In seconds; None when no run of the task has ended well yet, or Redis is away and never told."""
        now = time.monotonic()
        if now >= self._stale_at:
            self._stale_at = now + FRESH  # first, so that others use the old ones meanwhile
            try:
                self._means = {name: milliseconds / 1000 for name, milliseconds in self.read().items()}
            except (RedisConnectionError, RedisTimeoutError):
                return self._means.get(task)
        return self._means.get(task)

    def read(self) -> dict[str, int]:
        """Of all tasks as they are now, in milliseconds. Raises: redis-py's errors."""
        read = self._backend.client.hgetall(self._backend.keys.run_times)
        return {name.decode(): int(milliseconds) for name, milliseconds in read.items()}
