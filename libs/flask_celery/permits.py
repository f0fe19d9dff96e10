"""Starting a short job without asking: the claim that brought it has asked already.

A run begins by storing STARTED, which is also how it learns that the job was cancelled or is run elsewhere. For a
job that takes a millisecond that is half of what it costs. So a claim (``delivery_scripts.CLAIM``) looks at the
ledgers of the short jobs that it takes, and permits the start of those of which there is nothing to learn: it notes
its number there as ``claimed``, and whoever cancels meanwhile finds the job about to run.

A permit is good for :data:`GOOD_FOR` seconds and void after :data:`VOID_AFTER`; a worker that was frozen in between
asks. A job that has started by one says so with the next thing that is stored of it, its end as a rule, or after
:data:`TOLD_AFTER` seconds, when it has turned out not to be short.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

#: Among the properties of what is delivered: until when it may start without asking, by this host's monotonic clock,
#: or 0. Not a header: a retry is published with those of its run.
PERMITTED_UNTIL = "taskgate_permitted_until"

#: Seconds from before the claim was sent, by the worker's clock.
GOOD_FOR = 1.0

#: Seconds from the claim, by the server's clock.
VOID_AFTER = 2.0

#: Seconds after which a job that has started is said to have.
TOLD_AFTER = 0.01

#: For scripts: whether a worker is about to start the job, or has, by a permit.
STARTING = f"""
local function is_starting(job)
  if not job.claimed then return false end
  local time = redis.call('TIME')
  return math.abs(time[1] * 1000000 + time[2] - job.claimed) < {VOID_AFTER * 1e6:.0f}
end
"""


def is_permitted(request: Any) -> bool:
    """Whether this run may begin without asking."""
    if getattr(request, "active_job", None) is None:  # nobody would tell of it
        return False
    return is_permitted_message(getattr(request, "properties", None) or {})


def is_permitted_message(properties: Mapping[str, Any]) -> bool:
    """Whether what was delivered with these, if somebody tells of it, may begin without asking."""
    until: float = properties.get(PERMITTED_UNTIL) or 0.0
    return time.monotonic() < until


#: After so many looks without a job, the thread that tells of them sleeps until there is one: while short jobs come
#: one after the other, waking it for each would cost more than to look a hundred times a second.
_QUIET_LOOKS = 20


class UntoldStart:
    """The beginning of a run that Redis has not heard of. For any thread.

    Args:
        told_by: stores STARTED, as said at the time (ms) that it is given.
    """

    def __init__(self, told_by: Callable[[int], object]) -> None:
        self.at = time.time_ns() // 1_000_000
        self.due = time.monotonic() + TOLD_AFTER
        self._told_by = told_by
        self._lock = threading.RLock()
        self._is_told = False

    def __enter__(self) -> int | None:
        """Nobody else tells it in this block, and after it there is no need to. Returns: when it was, in ms, or None
        when that is known.
        """
        self._lock.acquire()
        return None if self._is_told else self.at

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_told = self._is_told or kind is None
        self._lock.release()
        if self._is_told:
            _teller.forget(self)

    def tell(self) -> None:
        """Tell it now, unless that has been done. Whatever is in the way, the job's end tells it too."""
        try:
            with self as at:
                if at is not None:
                    self._told_by(at)
        except Exception as error:  # noqa: BLE001
            logger.debug("That a job has started could not be said: %r", error)


class _Teller:
    """Tells the beginnings that are due, in a thread that sleeps while there are none."""

    def __init__(self) -> None:
        self._waiting: dict[UntoldStart, None] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_idle = False

    def watch(self, start: UntoldStart) -> None:
        self._waiting[start] = None
        if self._thread is None or not self._thread.is_alive():  # the first one, also of a process that was forked
            self._changed = threading.Condition()
            self._thread = threading.Thread(target=self._run, name="untold-starts", daemon=True)
            self._thread.start()
        elif self._is_idle:
            with self._changed:
                self._changed.notify()

    def forget(self, start: UntoldStart) -> None:
        self._waiting.pop(start, None)

    def _run(self) -> None:
        quiet_looks = 0
        while True:
            quiet_looks = 0 if self._waiting else quiet_looks + 1
            if quiet_looks >= _QUIET_LOOKS:
                quiet_looks = 0
                with self._changed:
                    self._is_idle = True
                    # Another look, for what came before anybody could know that this thread sleeps.
                    self._changed.wait_for(lambda: bool(self._waiting), timeout=None)
                    self._is_idle = False
            time.sleep(TOLD_AFTER)
            for start in tuple(self._waiting):
                if time.monotonic() >= start.due:
                    start.tell()
                    self.forget(start)


_teller = _Teller()


def watch(start: UntoldStart) -> UntoldStart:
    """See that it is told when it is due."""
    _teller.watch(start)
    return start


def tell_start(request: Any) -> None:
    """A run that nothing more may be stored of has started, if nobody knows yet."""
    start: UntoldStart | None = getattr(request, "untold_start", None)
    if start is not None:
        start.tell()
