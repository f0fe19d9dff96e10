"""So many at a time at a server, where thousands may want to be at the same moment; the others stand in line.

Both libraries underneath refuse instead: redis-py's pool raises above 100 connections (``max_connections`` of
``ConnectionPool``), kombu's when none is free within ``broker_pool_acquire_timeout``. Either would tell a client that
Redis is away when it is well. More connections are no cure: making hundreds of them at once takes longer than a
command may take, and then all fail.
"""

import time
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

    def has_room(self) -> bool:
        """Whether nobody would have to stand in line who came now."""
        return not self._places.empty()

    def place(self) -> "_Place":
        """To hold a place, in turn. What is raised in the block says whether the server is there.

        Entering raises redis-py's ConnectionError when others have found it away meanwhile, so that those in line do
        not wait for one time-out after another.
        """
        return _Place(self)


class _Place:
    """A place, for one block. No generator: with that it would take three times as long."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        gate = self._gate
        came = time.monotonic()
        try:
            gate._places.get(timeout=LONGEST_LINE)
        except Empty as error:
            raise RedisConnectionError("Too many want something of the server at the same time.") from error
        if gate._failures >= _FAILURES and gate._failed_at > came:
            gate._failures += 1
            gate._failed_at = time.monotonic()
            gate._places.put(None)
            raise RedisConnectionError("The server is away.")

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        gate = self._gate
        if kind is None:
            gate._failures = 0
        elif issubclass(kind, UNAVAILABLE):
            gate._failures += 1
            gate._failed_at = time.monotonic()
        gate._places.put(None)
