"""Who waits for which channel: the book that those who wait and the thread that listens for them share."""

import threading
import time
from collections.abc import Collection

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class Watch:
    """One who waits for something to change on its channels."""

    def __init__(self, channels: Collection[bytes]) -> None:
        self.channels = frozenset(channels)
        self._unheard = set(channels)
        self._woken = threading.Event()
        self._away = False
        self.woken_at = 0.0  # on the monotonic clock; what is read later is as new as what it was woken for
        self.dismissed = False  # nobody is to wait any more

    def wait_until_heard(self, timeout: float) -> None:
        """Wait until nothing can be published on its channels without waking it. Raises: redis-py's errors."""
        deadline = time.monotonic() + timeout
        while self._unheard and not self.dismissed:
            if not self.wait(deadline - time.monotonic()) and self._unheard:
                raise RedisTimeoutError("Redis did not answer to a subscription in time.")
        self._woken.clear()  # what is read after this is not older than what would have woken it

    def wait(self, timeout: float) -> bool:
        """Wait until something may have changed, for ``timeout`` seconds; not at all when it is ``dismissed``.

        Returns: False when they are over.

        Read either way: being woken does not say that something has changed, and while the subscription is broken
        nobody is woken. Raises: redis-py's ConnectionError when Redis stays away.
        """
        woken = self.dismissed or self._woken.wait(timeout)
        self._woken.clear()
        if self._away:
            raise RedisConnectionError("Redis has gone away while somebody waited for a job.")
        return woken

    def wake(self) -> None:
        """There was a message. While not everything is heard it waits for that first, and is woken then."""
        if not self._unheard:
            self.woken_at = time.monotonic()
            self._woken.set()

    def dismiss(self) -> None:
        """Have it wait no more, however much of its time is left."""
        self.dismissed = True
        self._woken.set()

    def heard(self, channel: bytes) -> None:
        """The channel is listened to from now on. Once all are, it is woken: it may have missed something."""
        if channel in self._unheard:
            self._unheard.discard(channel)
            self.wake()

    def lost(self) -> None:
        """Nothing is heard any more."""
        self._unheard = set(self.channels)

    def give_up(self) -> None:
        """Have it raise: nothing is heard, and that has been so for long enough."""
        if self._unheard:
            self._away = True
            self._woken.set()


class Waiters:
    """All watches of a process, by channel. For any thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._watches: set[Watch] = set()
        self._by_channel: dict[bytes, set[Watch]] = {}
        self._changed: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, watch: Watch) -> None:
        """It waits from now on."""
        with self.lock:
            self._watches.add(watch)
            for channel in watch.channels:
                self._by_channel.setdefault(channel, set()).add(watch)
            self._changed |= watch.channels

    def remove(self, watch: Watch) -> None:
        """It does not any more."""
        with self.lock:
            self._watches.discard(watch)
            for channel in watch.channels:
                watches = self._by_channel[channel]
                watches.discard(watch)
                if not watches:
                    del self._by_channel[channel]
            self._changed |= watch.channels

    def take_changed(self) -> tuple[set[bytes], set[bytes]]:
        """Channels whose watches have come or gone since this was asked last: those with watches, those without."""
        with self.lock:
            changed, self._changed = self._changed, set()
            wanted = {channel for channel in changed if channel in self._by_channel}
        return wanted, changed - wanted

    def wake(self, channel: bytes) -> None:
        """There was a message."""
        with self.lock:
            for watch in self._by_channel.get(channel, ()):
                watch.wake()

    def heard(self, channel: bytes) -> None:
        """It is listened to from now on."""
        with self.lock:
            for watch in self._by_channel.get(channel, ()):
                watch.heard(channel)

    def lost(self) -> None:
        """Every channel has to be subscribed to anew."""
        with self.lock:
            for watch in self._watches:
                watch.lost()
            self._changed = set(self._by_channel)

    def dismiss(self) -> None:
        """Have nobody wait any more."""
        with self.lock:
            for watch in self._watches:
                watch.dismiss()

    def give_up(self) -> None:
        """Tell those of whose channels not all are heard that Redis is away."""
        with self.lock:
            for watch in self._watches:
                watch.give_up()
