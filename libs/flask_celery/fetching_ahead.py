"""Taking short jobs from a queue before there is a place for them, so that many come in one step.

A worker that takes one job at a time spends more on taking a small job than on running it. So a claim brings some of
the list's next jobs along, within these bounds, and they wait in the channel, leased:

* only jobs of tasks whose runs have been taking a few milliseconds (``run_times``), without a rate limit, and small;
* no more than are run in a tenth of a second, and no more than a quarter of what waits, so that idle workers find
  the rest and what is more urgent waits no longer than that;
* when the job that runs takes longer than its task's runs did, they go back to the head of their list at once.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import RedisError

from libs.flask_celery.loop_nudge import LoopNudge
from libs.flask_celery.run_times import RunTimes
from libs.flask_celery.unsent_acks import send_acks, unsent_acks
from libs.flask_celery.worker_steps import RedisStep, ThreadStep, consumer_channel

if TYPE_CHECKING:
    from libs.flask_celery.claiming import ClaimingChannelMixin

logger = logging.getLogger(__name__)

#: Milliseconds that a task's runs take at the most whose jobs are fetched ahead, and that those fetched at once may
#: take together.
SHORT, TOGETHER = 20, 100

#: How many at the most.
MOST = 32

#: Seconds between two looks; what is found at two of them goes back.
_INTERVAL = 0.25

#: Seconds for which what was read of the run times serves.
_FRESH = 1.0


class Claimed(NamedTuple):
    """A message that this worker holds and has not delivered to its consumer."""

    tag: str
    message: bytes
    queue: str
    fence: int
    in_turn: bool
    permitted_until: float  # by the monotonic clock (``permits``)


class Ahead:
    """What one channel has fetched ahead. The consumer's thread takes from it, and the keeper's may empty it."""

    def __init__(self, transport: Any) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Claimed] = deque()
        self.nudge = LoopNudge(transport)
        #: The tasks whose jobs may be fetched, with the milliseconds that their runs take.
        self.short_tasks: Mapping[str, int] = {}

    def put(self, claimed: list[Claimed]) -> None:
        """Keep these, the next one first."""
        with self._lock:
            self._waiting.extend(claimed)

    def next(self) -> Claimed | None:
        """Take one out."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def put_back(self, claimed: Claimed) -> None:
        """Keep it, as the next one."""
        with self._lock:
            self._waiting.appendleft(claimed)

    def take_all(self) -> list[Claimed]:
        """Take all out, the next one first."""
        with self._lock:
            taken, self._waiting = list(self._waiting), deque()
        return taken

    def tags(self) -> list[str]:
        """Of what waits, the next one first."""
        with self._lock:
            return [claimed.tag for claimed in self._waiting]


def give_back_ahead(channel: "ClaimingChannelMixin") -> None:
    """Put back what has been fetched ahead, in its order. Callable from another thread. Raises: RedisError."""
    for claimed in reversed(channel.ahead.take_all()):
        channel.qos.restore_by_tag(claimed.tag)


class AheadKeeper(RedisStep, ThreadStep):
    """Finds out which jobs are short, and sees that none of them waits behind a long one."""

    def run(self, worker: Any) -> None:
        """Look, and look again."""
        seen: str | None = None
        stale_at = 0.0
        while not self.stopping.wait(_INTERVAL):
            channel = consumer_channel(worker)
            if channel is None or not hasattr(channel, "ahead"):
                continue
            try:
                if time.monotonic() >= stale_at:
                    channel.ahead.short_tasks = short_tasks(worker.app)
                    stale_at = time.monotonic() + _FRESH
                waiting = channel.ahead.tags()
                if waiting and waiting[0] == seen:
                    give_back_ahead(channel)
                seen = waiting[0] if waiting else None
                if unsent_acks.are_overdue():
                    send_acks(channel)
            except (RedisError, OSError) as error:
                channel.ahead.short_tasks = {}
                logger.debug("Which jobs are short could not be found out: %r", error)
            except Exception:
                logger.exception("What was fetched ahead could not be looked after")


def short_tasks(celery_app: Any) -> dict[str, int]:
    """The milliseconds that runs of each task take whose jobs may be fetched ahead. Raises: RedisError."""
    run_times = getattr(celery_app.backend, "run_times", None)
    if not isinstance(run_times, RunTimes):
        return {}
    tasks = celery_app.tasks
    return {
        name: max(1, took)
        for name, took in run_times.read().items()
        if took <= SHORT and name in tasks and tasks[name].rate_limit is None
    }
