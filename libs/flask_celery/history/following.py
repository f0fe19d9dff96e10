"""Following jobs: their events as they come, for thousands who follow at a time.

Who follows a job waits on the process's one subscription (``watch``) and is woken by what is told of it. One of those
who follow the same job then reads for all of them, and only what is new since the last time; each takes what comes
after the last event it has passed on, at its own pace. Nothing is queued for anybody: a follower that is slower than
the job finds what it has missed in Redis, or learns that it is gone.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from libs.flask_celery.gate import Gate
from libs.flask_celery.history.history import EventPage, JobHistory
from libs.flask_celery.history.scripts import EVENTS_KEPT
from libs.flask_celery.waiters import Watch

if TYPE_CHECKING:
    from libs.flask_celery.factory import FlaskCelery
    from libs.flask_celery.watch import WatchHub


class JobFollowers:
    """All who follow jobs in one process; they count among those who wait in its hub."""

    def __init__(self, celery_app: "FlaskCelery", hub: "WatchHub") -> None:
        self._celery_app = celery_app
        self._hub = hub
        self._lock = threading.Lock()
        self._tails: dict[str, _Tail] = {}

    def read(self, task_id: str, after: int | None, watch: Watch | None = None) -> EventPage:
        """As ``JobHistory.events``; by one who waits, as patiently as it waits."""
        history: JobHistory = self._celery_app.backend.history
        return self._hub.read(lambda: history.events(task_id, after), watch)

    @contextmanager
    def follow(self, task_id: str) -> Iterator["Following | None"]:
        """From here on nothing that is told of the job is missed.

        Returns: None when as many wait as may, or the process is about to end.
        Raises: redis-py's connection errors.
        """
        with self._hub.watch([task_id], events=True) as watch:
            if watch is None:
                yield None
                return
            with self._lock:
                tail = self._tails.setdefault(task_id, _Tail(self, task_id))
                tail.followers += 1
            try:
                yield Following(tail, watch)
            finally:
                with self._lock:
                    tail.followers -= 1
                    if not tail.followers:
                        del self._tails[task_id]


class Following:
    """One who follows one job."""

    def __init__(self, tail: "_Tail", watch: Watch) -> None:
        self._tail = tail
        self._watch = watch

    def pages(self, after: int | None, *, seconds: float, beat: float) -> Iterator[EventPage | None]:
        """What comes after event number ``after``, without an end that falls between two pages.

        The first page is the job as it is now. The last one is that of a final job; it ends earlier when ``seconds``
        are over or the process is about to end. None says that there was nothing for ``beat`` seconds.
        Raises: redis-py's connection errors when Redis is away; UnknownJobError, ExpiredJobError.
        """
        fresh = time.monotonic()
        ends_at, quiet_since = fresh + seconds, fresh
        is_first = True
        while True:
            page = self._tail.page(after, fresh, self._watch)
            if is_first or page.events or page.is_gone:
                yield page
                quiet_since = time.monotonic()
            is_first, after = False, page.last
            if page.record.state.ready:
                return
            while not self._watch.wait(min(quiet_since + beat, ends_at) - time.monotonic()):
                if time.monotonic() >= ends_at:
                    return
                yield None
                quiet_since = time.monotonic()
            if self._watch.dismissed or time.monotonic() >= ends_at:
                return
            fresh = self._watch.woken_at


class _Tail:
    """The newest events of a job that is followed here."""

    def __init__(self, followers: JobFollowers, task_id: str) -> None:
        self.followers = 0
        self._read = followers.read
        self._task_id = task_id
        self._one_at_a_time = Gate(1)
        self._page: EventPage | None = None
        self._read_at = 0.0

    def page(self, after: int | None, fresh: float, watch: Watch) -> EventPage:
        """What is after that event, no older than ``fresh``, a time of the monotonic clock."""
        with self._one_at_a_time.place():
            page = self._newest(fresh, watch)
        if after is None or after == page.last:
            return replace(page, events=())
        if page.last - len(page.events) <= after < page.last:
            return replace(page, events=page.events[after - page.last :])
        return self._read(self._task_id, after, watch)  # further back, or ahead of what others have read

    def _newest(self, fresh: float, watch: Watch) -> EventPage:
        if self._page is None or self._read_at < fresh:
            before, read_at = self._page, time.monotonic()
            page = self._read(self._task_id, None if before is None else before.last, watch)
            kept = () if before is None or page.is_gone else before.events
            self._page = replace(page, events=(kept + page.events)[-EVENTS_KEPT:], is_gone=False)
            self._read_at = read_at
        return self._page
