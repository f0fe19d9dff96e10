"""What one connection to Redis is subscribed to, and what it hears there.

redis-py's own ``PubSub`` reconnects and subscribes again behind its caller's back (redis/client.py, ``_execute``),
who then cannot know that something may have been missed. Here a connection that fails is of no more use.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from redis.exceptions import TimeoutError as RedisTimeoutError

#: Seconds without a word from Redis after which it is asked for a sign of life, and those it has for giving one.
SILENCE = 1.0
ANSWER = 1.0


class Subscription:
    """A subscribed connection of a pool; for one thread. Every method raises redis-py's connection errors."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._connection = pool.get_connection()
        self._channels: set[bytes] = set()
        # Subscribed, left and subscribed again before the first reply: that one does not speak for the last.
        self._replies_due: Counter[bytes] = Counter()
        self._heard_at = time.monotonic()
        self._asked = False
        try:
            # A Redis that still loads its data takes subscriptions, and refuses this and every read.
            self._send("PING")
            self._connection.read_response()
        except BaseException:
            self.close()
            raise

    @property
    def socket(self) -> Any:
        """To be selected on. What it has to say may have been received already, so ``read`` is asked anyhow."""
        return self._connection._sock

    def change(self, *, wanted: Collection[bytes], unwanted: Collection[bytes]) -> None:
        """Subscribe and unsubscribe where it is not so yet; :meth:`hears` tells when it has come to pass."""
        added = [channel for channel in wanted if channel not in self._channels]
        removed = [channel for channel in unwanted if channel in self._channels]
        if removed:
            self._send("UNSUBSCRIBE", *removed)
            self._channels.difference_update(removed)
        if added:
            self._send("SUBSCRIBE", *added)
            self._channels.update(added)
            self._replies_due.update(added)

    def hears(self, channel: bytes) -> bool:
        """Whether whatever is published there from now on will be read here."""
        return channel in self._channels and channel not in self._replies_due

    def read(self) -> Iterator[tuple[bytes, bool]]:
        """Channels with a message (True), and those where listening has begun (False). Does not wait."""
        while self._connection.can_read(0):
            # A reply to PING is bytes, everything else a list of its kind, its channel and more.
            reply = self._connection.read_response(push_request=True, disconnect_on_error=False)
            self._heard_at, self._asked = time.monotonic(), False
            if not isinstance(reply, list):
                continue
            kind, channel = reply[0], reply[1]
            if kind == b"message":
                yield channel, True
            elif kind == b"subscribe":
                self._replies_due[channel] -= 1
                if not self._replies_due[channel]:
                    del self._replies_due[channel]
                if self.hears(channel):
                    yield channel, False

    def check(self) -> None:
        """See that Redis is there, as a connection to one that is frozen or cut off stays open.

        To be called after ``read``, once in a while. Raises: redis-py's TimeoutError.
        """
        silence = time.monotonic() - self._heard_at
        if self._asked and silence > SILENCE + ANSWER:
            raise RedisTimeoutError("Redis has gone silent.")
        if not self._asked and silence > SILENCE:
            self._send("PING")
            self._asked = True
            self._heard_at = time.monotonic() - SILENCE

    def close(self) -> None:
        """Give the connection back, unsubscribed because it is closed."""
        self._connection.disconnect()
        self._pool.release(self._connection)

    def _send(self, *command: Any) -> None:
        self._connection.send_command(*command, check_health=False)
