"""Waiting until something about a job changes, without asking Redis again and again.

Each state that is stored is published on the channel named like the record (``record_scripts.STORE``). One connection
of the process listens to the channels somebody waits on; one thread, a greenlet under gevent, reads it and wakes who
waits. The thread begins with the first who waits and ends soon after the last, so a process may fork before it
serves.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from libs.flask_celery.subscription import SILENCE, Subscription
from libs.flask_celery.waiters import Waiters, Watch

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery

_T = TypeVar("_T")

logger = logging.getLogger(__name__)

#: Seconds for which nobody is told that the subscription is broken: a Redis that restarts may be back by then.
PATIENCE = 0.5
_PAUSE = 0.05  # seconds between attempts to have it again

#: Seconds that the connection is kept when nobody waits.
LINGER = 2.0

#: Seconds in which a subscription must have been confirmed. That Redis is away is found out by the one who listens,
#: and sooner; a process that is only short of processor time is not to take itself for cut off.
_CONFIRMED = 5.0


class WatchHub:
    """All who wait in one process; ``limit`` is how many may."""

    def __init__(self, celery_app: "FlaskCelery", limit: int) -> None:
        self._celery_app = celery_app
        self._limit = limit
        #: Told how many wait, whenever that changes.
        self.on_change: Callable[[int], None] = lambda _: None
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._waiters = Waiters()
        self._listener: _Listener | None = None
        self._is_dismissed = False

    def __len__(self) -> int:
        return len(self._waiters)

    @contextmanager
    def watch(self, task_ids: Collection[str], *, events: bool = False) -> Iterator[Watch | None]:
        """From here on what is stored about these jobs wakes the watch. So read them now: before was too early.

        Args:
            events: have what the jobs log wake it, too.

        Returns: None when as many wait as may, or nobody may any more.
        Raises: redis-py's connection errors.
        """
        if self._pid != os.getpid():
            self._begin()  # the thread has stayed with the parent
        keys = self._celery_app.backend.keys
        names = [keys.meta, keys.events] if events else [keys.meta]
        watch = Watch({name(task_id).encode() for name in names for task_id in task_ids})
        if not self._enter(watch):
            yield None
            return
        try:
            watch.wait_until_heard(_CONFIRMED)
            yield watch
        finally:
            self._leave(watch)

    def read(self, read: Callable[[], _T], watch: Watch | None = None) -> _T:
        """``read()``, about jobs that are waited for; by one who waits, as patiently as it waits.

        Redis may go away in the very moment in which somebody reads, and be back as soon as for the others, who only
        listen. Raises: what ``read`` does.
        """
        gives_up_at = None
        while True:
            try:
                return read()
            except (RedisConnectionError, RedisTimeoutError):
                now = time.monotonic()
                gives_up_at = gives_up_at or now + PATIENCE
                if watch is None or now >= gives_up_at:
                    raise
                watch.wait(_PAUSE)  # or until the process listens again

    def dismiss(self) -> None:
        """Have nobody wait any more: the process is about to end, and is not to be kept by those it holds."""
        self._is_dismissed = True
        self._waiters.dismiss()

    def close(self) -> None:
        """Close the connection at once, instead of after a while. For a process in which nobody waits any more."""
        with self._waiters.lock:
            listener = self._listener
            if listener is not None:
                listener.linger = 0.0
                listener.ring()
        if listener is not None:
            listener.join()

    def _enter(self, watch: Watch) -> bool:
        with self._waiters.lock:
            if self._is_dismissed or len(self._waiters) >= self._limit:
                return False
            self._waiters.add(watch)
            if self._listener is None or self._listener.has_ended:
                self._listener = _Listener(self._celery_app, self._waiters)
                self._listener.start()
            self._listener.ring()
            self.on_change(len(self._waiters))
        return True

    def _leave(self, watch: Watch) -> None:
        with self._waiters.lock:
            self._waiters.remove(watch)
            self.on_change(len(self._waiters))
            if self._listener is not None:
                self._listener.ring()


class _Listener(threading.Thread):
    """Keeps one connection subscribed to what is waited for; ends when nothing has been for a while."""

    def __init__(self, celery_app: "FlaskCelery", waiters: Waiters) -> None:
        super().__init__(name="job-watch", daemon=True)
        self.linger = LINGER
        self.has_ended = False
        self._celery_app = celery_app
        self._waiters = waiters
        self._last_needed = time.monotonic()
        self._broken_since: float | None = None
        self._bell, self._doorbell = socket.socketpair()
        for end in (self._bell, self._doorbell):
            end.setblocking(False)

    def ring(self) -> None:
        """Have it look. The caller holds the waiters' lock."""
        if not self.has_ended:
            with suppress(BlockingIOError):  # it has been rung often enough
                self._doorbell.send(b"\0")

    def run(self) -> None:
        """The thread."""
        try:
            while self._is_needed():
                try:
                    self._listen()
                except (RedisError, OSError) as error:
                    logger.info("The subscription to jobs is broken: %r", error)
                    self._waiters.lost()
                    now = time.monotonic()
                    self._broken_since = self._broken_since or now
                    if now - self._broken_since >= PATIENCE:
                        self._waiters.give_up()
                    time.sleep(_PAUSE)
        finally:
            with self._waiters.lock:
                if not self.has_ended:  # but for an error of ours
                    self.has_ended = True
                    self._waiters.lost()
                    self._waiters.give_up()
                self._bell.close()
                self._doorbell.close()

    def _is_needed(self) -> bool:
        with self._waiters.lock:
            if self.has_ended:
                return False
            now = time.monotonic()
            if len(self._waiters):
                self._last_needed = now
            elif now - self._last_needed >= self.linger:
                self.has_ended = True  # with the lock held: who comes now starts another one
                return False
            return True

    def _listen(self) -> None:
        """Raises: whatever breaks the connection."""
        subscription = Subscription(self._celery_app.backend.client.connection_pool)
        self._broken_since = None
        try:
            self._waiters.lost()
            with selectors.DefaultSelector() as selector:
                selector.register(self._bell, selectors.EVENT_READ)
                selector.register(subscription.socket, selectors.EVENT_READ)
                while self._is_needed():
                    self._follow(subscription)
                    selector.select(min(SILENCE, self.linger))
                    for channel, is_message in subscription.read():
                        if is_message:
                            self._waiters.wake(channel)
                        else:
                            self._waiters.heard(channel)
                    subscription.check()
        finally:
            subscription.close()

    def _follow(self, subscription: Subscription) -> None:
        with suppress(BlockingIOError):
            while self._bell.recv(4096):
                pass
        wanted, unwanted = self._waiters.take_changed()
        subscription.change(wanted=wanted, unwanted=unwanted)
        for channel in wanted:
            if subscription.hears(channel):
                self._waiters.heard(channel)
