"""Passing on what a running job says: at once, or after an interval together with what it says meanwhile.

So a tight loop of calls costs Redis a few commands a second, and the last word of several in a row is passed on
without another call. What the loop pays for each call is a look at the clock.
"""

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Seconds until what could not be passed on is tried again.
_PAUSE = 1.0


class Outlet:
    """Calls ``pass_on`` for what is offered, never twice at a time. For any thread.

    Args:
        rate: how often a second at the most.
        pass_on: returns whether it has passed everything on; it must not raise.
    """

    def __init__(self, rate: float, pass_on: Callable[[], bool]) -> None:
        self._interval = 1 / rate
        self._pass_on = pass_on
        self._lock = threading.Lock()
        self._due = 0.0
        self._timer: threading.Timer | None = None

    def offer(self) -> None:
        """There is something. It is passed on now when that is due, else by a timer."""
        if self._timer is not None:
            return
        left = self._due - time.monotonic()
        if left > 0:
            self._set_timer(left)
            return
        if not self._lock.acquire(blocking=False):  # it is being passed on, and this may have come too late for that
            self._set_timer(self._interval)
            return
        try:
            self._go_when_due()
        finally:
            self._lock.release()

    def flush(self) -> None:
        """Pass on what there is, and have no timer after that."""
        with self._lock:
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            self._pass_on()
            self._due = time.monotonic() + self._interval

    def _go_when_due(self) -> None:
        left = self._due - time.monotonic()
        if left > 0:  # another thread has just gone
            self._set_timer(left)
        elif self._pass_on():
            self._due = time.monotonic() + self._interval
        else:
            self._due = time.monotonic() + _PAUSE
            self._set_timer(_PAUSE)

    def _set_timer(self, seconds: float) -> None:
        timer = threading.Timer(seconds, self._ring)
        timer.daemon = True
        timer.name = "job-outlet"
        self._timer = timer
        timer.start()

    def _ring(self) -> None:
        with self._lock:
            if self._timer is None:  # flushed meanwhile
                return
            self._timer = None
            try:
                self._go_when_due()
            except Exception:
                logger.exception("What a job has said could not be passed on")
