"""Reading keys of the result database for many at a time, without redis-py's layers above the connection.

``Redis.get`` takes five times the processor time of a command on the connection itself (redis/client.py,
``_execute_command``: retries, metrics, the pool's look at each connection that it gives out). And those who come
while others wait for their answers are asked for together: one command for them all, and one key is read once however
many want it.
"""

import threading
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from libs.flask_celery.gate import Gate
from libs.flask_celery.round_trips import round_trip

#: Reads under way at a time; more are gathered into the next one.
AT_ONCE = 4

#: Keys of one read, more or less: nobody is to wait for what thousands of others want.
MOST_KEYS = 128


class LeanReads:
    """Reads of one Redis, for any thread. ``pool`` is redis-py's, and makes the connections."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._gate = Gate(AT_ONCE)
        self._gathering: _Read | None = None
        self._idle: list[Any] = []

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """What the keys hold, in this order, not older than the call; None for what is no string, too.

        Raises: redis-py's errors, as its own client does when it does not try again.
        """
        if self._gathering is None and self._gate.has_room():  # nobody is waited for, so nobody could join
            with self._gate.place():
                values = self._ask(keys)
            return [values[key] for key in keys]
        with self._lock:
            read, leads = self._gathering, False
            if read is None or len(read.keys) >= MOST_KEYS:
                read, leads = _Read(), True
                self._gathering = read
            elif read.is_over is None:
                read.is_over = threading.Event()
            read.keys.update(dict.fromkeys(keys))
        if leads:
            self._answer(read)
        elif read.is_over is not None:
            read.is_over.wait()
            if read.error is not None:
                raise copy(read.error)
        return [read.values[key] for key in keys]

    def _answer(self, read: "_Read") -> None:
        """For all who have joined by the time there is a place. Raises: as ``get``."""
        try:
            with self._gate.place():
                self._close_to_others(read)
                read.values = self._ask(list(read.keys))
        except Exception as error:
            read.error = error
            raise
        finally:
            self._close_to_others(read)
            if read.values is None and read.error is None:  # whoever asked for all has been ended
                read.error = RedisConnectionError("A read that others had joined was broken off.")
            if read.is_over is not None:
                read.is_over.set()

    def _close_to_others(self, read: "_Read") -> None:
        with self._lock:
            if self._gathering is read:
                self._gathering = None

    def _ask(self, keys: Sequence[str]) -> Mapping[str, bytes | None]:
        while True:
            connection, is_fresh = self._taken()
            try:
                values = round_trip(connection, "MGET", *keys)
            except BaseException as error:
                connection.disconnect()
                self._pool.release(connection)
                # Redis may have closed it while nobody looked, as when it restarts.
                if isinstance(error, RedisConnectionError) and not is_fresh:
                    continue
                raise
            self._idle.append(connection)
            return dict(zip(keys, values, strict=True))

    def _taken(self) -> tuple[Any, bool]:
        """A connection, and whether the pool has just looked at it."""
        while self._idle:
            connection = self._idle.pop()
            # Not the parent's of a process that was forked, nor one to a server that was Sentinel's master before.
            if self._pool.owns_connection(connection) and not connection.should_reconnect():
                return connection, False
            self._pool.release(connection)
        return self._pool.get_connection(), True


class _Read:
    """One command under way, or about to be."""

    def __init__(self) -> None:
        self.keys: dict[str, None] = {}
        self.values: Any = None
        self.error: Exception | None = None
        self.is_over: threading.Event | None = None  # when there are others than the one who asks
