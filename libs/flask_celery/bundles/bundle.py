"""Jobs that a worker has handed to a process of its pool together, as the worker's main process sees them.

The pool takes them for one call. While they are as short as they should be, nothing is heard of one before all have
ended. When one takes longer, the bundle is *broken up*: those that have not begun go back to their queue, and the one
that runs becomes the call, with its time limits, as if it had been handed over alone.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from weakref import ref

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import TaskRevokedError

from libs.flask_celery.bundles.members import accept, give_back, places_of_final
from libs.flask_celery.bundles.running import RAISED, End, run_bundle
from libs.flask_celery.bundles.tokens import Tokens
from libs.flask_celery.giving_back import Stage, is_given_back, reach

logger = logging.getLogger(__name__)

#: Seconds between two looks at what runs. What runs at two of them has turned out not to be short.
LOOK = 0.05

#: Seconds between those at the call of one that runs alone, which the pool may forget about.
LATER_LOOK = 1.0

#: What the process that ran it says of the job that ran: it, and no other, has done this to its process.
_OF_THE_RUN = (WorkerLostError, Terminated, TimeLimitExceeded, SystemExit, KeyboardInterrupt, MemoryError)


class Loop(Protocol):
    """The worker's event loop (kombu's ``Hub``)."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Any:
        """Call it in ``delay`` seconds; for the loop's thread. Returns: what has ``cancel()``."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> object:
        """Call it in the loop's thread; for any."""


class Bundle:
    """Where Celery wants a request, as far as handing it over is concerned.

    Methods are for the event loop's thread, :meth:`break_up` and :meth:`tags` for any.

    Args:
        requests: at least two, of one channel.
        tokens: nobody else's until ``ended`` is called.
        ended: is called once, when nothing more becomes of it.
    """

    def __init__(
        self, requests: Sequence[Any], tokens: Tokens, loop: Loop, ended: Callable[["Bundle"], object]
    ) -> None:
        self.channel = requests[0].message.channel
        self.tokens = tokens
        self._open = dict(enumerate(requests))
        self._loop = loop
        self._ended = ended
        self._lock = threading.RLock()
        self._look_due: Any = None
        self._left = -1  # at the last look
        self._pool: Any = None
        self._call: Any = None  # the pool's
        self._accepted: tuple[int, float] | None = None  # by which process, and when
        self._is_broken = False
        self._alone: Any = None  # the request that the call stands for since it was broken up

    @property
    def task_id(self) -> str:
        """Of the first one, for logs."""
        first = next(iter(self._open.values()), None)
        return first.id if first else ""

    @property
    def beyond_call(self) -> int:
        """How many messages it holds beyond the one that a call may."""
        return max(0, len(self._open) - 1)

    def tags(self) -> set[str]:
        """Delivery tags of what it holds, unless the pool has forgotten about it."""
        call = self._call
        if call is not None and call._job not in call._cache:
            return set()
        return {request.message.delivery_tag for request in tuple(self._open.values())}

    def execute_using_pool(self, pool: Any) -> None:
        """Hand it over. Raises: TaskRevokedError when nothing is left of it, or the pool takes nothing any more."""
        with self._lock:
            members = [request for request in self._open.values() if not request.revoked()]
            self._open = dict(enumerate(members))
            if members:
                self._hand_over(pool, members)
            if self._call is None:
                self.break_up()
                raise TaskRevokedError
            self._look_due = self._loop.call_later(LOOK, self._look)

    def _hand_over(self, pool: Any, members: Sequence[Any]) -> None:
        for request in members:
            request.bundle = self
            reach(request.message, Stage.DISPATCHED)
        self._pool = pool
        self._call = pool.apply_async(
            run_bundle,
            args=(self.tokens.put(len(members)), [request.run() for request in members]),
            accept_callback=self._on_accepted,
            timeout_callback=self._on_timeout,
            callback=self._on_ends,
            error_callback=self._on_error,
        )

    def break_up(self) -> None:
        """Take back what has not begun, now."""
        with self._lock:
            if self._is_broken or (self._call is not None and self._call.ready()):
                return
            self._is_broken = True
            waiting = list(self._open) if self._call is None else self.tokens.take_rest()
            for place in reversed(waiting):
                give_back(self._open.pop(place))
            if self._call is None:
                self._end()
            self._stand_alone()

    def _look(self) -> None:
        with self._lock:
            if self._call.ready():
                return
            if self._call._job not in self._call._cache:  # the pool was emptied as the connection was lost
                self.break_up()
                self._end()
                return
            left = self.tokens.left()
            if left == self._left and self._accepted:
                self.break_up()
            self._left = left
            self._look_due = self._loop.call_later(LATER_LOOK if self._is_broken else LOOK, self._look)

    def _stand_alone(self) -> None:
        """The call is the running job's alone from here on."""
        if not (self._open and self._accepted):
            return
        self._alone = request = self._open[max(self._open)]
        earlier = {place: other for place, other in self._open.items() if other is not request}
        for place in places_of_final(earlier):
            self._settle(self._open.pop(place), (0, None, 0.0))
        call, pool = self._call, self._pool._pool
        request._apply_result = ref(call)
        accept(request, self._accepted[0], time.monotonic() - LOOK)
        time_limit, soft_time_limit = request.time_limits
        call._soft_timeout = soft_time_limit or request.task.soft_time_limit or pool.soft_timeout
        call._timeout = time_limit or request.task.time_limit or pool.timeout
        self._loop.call_soon(self._keep_limits)  # whose timers are for its own thread

    def _keep_limits(self) -> None:
        if not self._call.ready():
            self._call._on_timeout_cancel(self._call)
            self._call._on_timeout_set(self._call, self._call._soft_timeout, self._call._timeout)

    # What the pool calls.

    def _on_accepted(self, pid: int, time_accepted: float) -> None:
        with self._lock:
            self._accepted = pid, time_accepted
            if self._is_broken:
                self._stand_alone()

    def _on_timeout(self, soft: bool, timeout: float) -> None:
        if self._alone is not None:
            self._alone.on_timeout(soft, timeout)

    def _on_ends(self, ends: dict[int, End]) -> None:
        with self._lock:
            for place, request in tuple(self._open.items()):
                if place in ends:
                    self._settle(request, ends[place])
                else:
                    give_back(request)
            self._end()

    def _on_error(self, einfo: Any) -> None:
        """Of what has ended, the next delivery finds out whether that is on record or it has to be run again."""
        with self._lock:
            for place in self.tokens.take_rest():
                give_back(self._open.pop(place))
            error = einfo.exception
            error = error.exc if isinstance(error, ExceptionWithTraceback) else error
            suspect = self._alone
            if suspect is None and self._open and isinstance(error, _OF_THE_RUN):
                suspect = self._open[max(self._open)]
            for request in reversed(tuple(self._open.values())):
                if request is not suspect:
                    give_back(request)
            self._end()
            if suspect is not None:
                if self._alone is None and self._accepted:
                    accept(suspect, *self._accepted)
                suspect.on_failure(einfo)

    def _settle(self, request: Any, end: End) -> None:
        """Do as the pool's callbacks do for one that was handed over alone."""
        kind, value, took = end
        if is_given_back(request.message):
            return
        if request is not self._alone:
            pid = self._accepted[0] if self._accepted else 0
            accept(request, pid, time.monotonic() - (took or 0.0))
        try:
            if kind == RAISED:
                request.on_failure(value)
            else:
                request.on_success(end)
        except Exception:
            logger.exception("What became of job %s could not be acted upon", request.id)

    def _end(self) -> None:
        self._open = {}
        if self._look_due is not None:
            self._look_due.cancel()
        self._ended(self)
