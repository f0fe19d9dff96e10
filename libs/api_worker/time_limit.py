"""A time limit that is set for each request of a connection."""

from typing import Any

from gevent import get_hub, getcurrent


class OverTimeError(BaseException):
    """No whole request came in time. As gevent's Timeout, nobody's ``except Exception`` is to take it."""


class TimeLimit:
    """For blocks of one greenlet, one after the other. gevent's Timeout makes a timer for each."""

    def __init__(self, seconds: float) -> None:
        # It repeats, since only such timers can be started anew: others go on where they were stopped (libev's
        # manual, ``ev_timer_again``).
        self._timer: Any = get_hub().loop.timer(seconds, seconds)
        self._throw: Any = getcurrent().throw

    def __enter__(self) -> None:
        self._timer.again(self._throw, OverTimeError, update=True)

    def __exit__(self, *_: object) -> None:
        self._timer.stop()

    def close(self) -> None:
        """It is not needed any more."""
        self._timer.close()
