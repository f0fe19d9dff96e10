"""So many at a time at a server, where thousands may want to be at the same moment; the others stand in line.

Both libraries underneath refuse instead: redis-py's pool raises above 100 connections (``max_connections`` of
``ConnectionPool``), kombu's when none is free within ``broker_pool_acquire_timeout``. Either would tell a client that
Redis is away when it is well. More connections are no cure: making hundreds of them at once takes longer than a
command may take, and then all fail.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

#: What kombu and redis-py raise when the server is away or silent.
UNAVAILABLE = (OperationalError, RedisConnectionError, RedisTimeoutError)

#: Commands, or publishes, at a time. The server runs one at a time anyway.
AT_ONCE = 32

#: Seconds that one stands in line at the most, so that nothing waits for ever. A held request may take as long.
LONGEST_LINE = 30.0

#: So many failures without a success between them, and the server is taken to be away. One may be a single
#: connection's.
_FAILURES = 3


class Gate:
    """The places at one server, for any thread."""

    def __init__(self, places: int = AT_ONCE) -> None:
        # Not a semaphore: with thousands in line, threading's takes longer than what they stand in line for.
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._places.put(None)
        self._failures = 0  # in a row
        self._failed_at = 0.0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, in turn. What is raised in the block says whether the server is there.

        Raises: redis-py's ConnectionError when others have found it away meanwhile, so that those in line do not wait
            for one time-out after another.
        """
        came = time.monotonic()
        try:
            self._places.get(timeout=LONGEST_LINE)
        except Empty as error:
            raise RedisConnectionError("Too many want something of the server at the same time.") from error
        try:
            if self._failures >= _FAILURES and self._failed_at > came:
                raise RedisConnectionError("The server is away.")
            yield
            self._failures = 0
        except UNAVAILABLE:
            self._failures += 1
            self._failed_at = time.monotonic()
            raise
        finally:
            self._places.put(None)
