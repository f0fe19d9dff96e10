"""A few readers of Redis at a time, where thousands may want to read at the same moment."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

_T = TypeVar("_T")


class ReadGate:
    """Many are woken at once by a job that many wait for, and all of them when Redis is back.

    A connection for each would be a crowd: making them takes longer than a read may take, and then all fail.
    """

    def __init__(self, at_once: int) -> None:
        self._places = threading.Semaphore(at_once)
        self._failed_at = 0.0

    def read(self, read: Callable[[], _T]) -> _T:
        """``read()``, in turn.

        Raises: what it raises; redis-py's ConnectionError when one that was before it in the line found Redis away,
            so that those behind do not wait for one time-out after another.
        """
        came = time.monotonic()
        with self._places:
            if self._failed_at > came:
                raise RedisConnectionError("Redis is away.")
            try:
                return read()
            except (RedisConnectionError, RedisTimeoutError):
                self._failed_at = time.monotonic()
                raise
