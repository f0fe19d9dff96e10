"""A worker's side of the rate limits that hold over all workers; ``line_scripts`` is the other one."""

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from celery.states import READY_STATES
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps
from kombu.utils.limits import TokenBucket
from redis import Redis
from redis.exceptions import RedisError

from libs.flask_celery.acceptance import FIRST_HEADER
from libs.flask_celery.delivering import CLAIMED_FROM, IN_TURN
from libs.flask_celery.gated_client import impatient_client
from libs.flask_celery.line_scripts import BEGIN, SET_PACES, TAKE_TURN
from libs.flask_celery.parking import settle
from libs.flask_celery.rate_limits import UNBOUNDED, Pace, shared_pace
from libs.flask_celery.server_script import run_script

logger = logging.getLogger(__name__)

#: Seconds that the Redis of the results may take to answer, while all of this worker waits; and after which it is
#: asked again when it has not.
_TIMEOUT = 1.0

_SHORTEST_WAIT = 0.01


class SharedBucket(TokenBucket):  # type: ignore[misc]
    """In place of Celery's token bucket of a task, of which each worker has its own.

    Where the broker is not Redis it also holds the jobs that wait in this worker, as it holds those for later.
    """

    def __init__(self, task: Any, pace: Pace) -> None:
        super().__init__(1_000_000 / pace.interval)
        self.task = task
        self.pace = pace
        self.is_awaited = False  # whether somebody comes back for what waits

    @classmethod
    def of_task(cls, task: Any) -> "SharedBucket | None":
        """None for a task whose limit, if any, is each worker's own."""
        pace = shared_pace(task)
        return None if pace is None else cls(task, pace)

    def begin(self) -> float:
        """Count a run if one may begin. Returns: the seconds to wait otherwise, or until Redis is asked again."""
        arguments = [self.task.name, self.pace.interval, self.pace.tolerance, self.task.backend.keys.prefix]
        try:
            wait: int = run_script(self._client, BEGIN, [], arguments)
        except (RedisError, OSError) as error:
            logger.warning("Whether %s may begin could not be found out: %r", self.task.name, error)
            return _TIMEOUT
        return max(wait / 1_000_000, _SHORTEST_WAIT) if wait > 0 else 0.0

    def is_over(self, task_id: str) -> bool:
        """Whether a job has ended, cancelled while it was queued above all: what will be skipped needs no turn."""
        try:
            state = self._client.hget(self.task.backend.keys.ledger(task_id), "state")
        except (RedisError, OSError) as error:
            logger.warning("Whether job %s is over could not be found out: %r", task_id, error)
            return False
        return state is not None and bytes_to_str(state) in READY_STATES

    def clear_pending(self) -> None:
        """Forget what waits here: its connection is gone, and with it what would have come back for it."""
        super().clear_pending()
        self.is_awaited = False

    @cached_property
    def _client(self) -> Redis:
        return impatient_client(self.task.backend, _TIMEOUT)


def take_turn(message: Any, bucket: SharedBucket) -> bool:
    """Begin the job of a message that was claimed. Returns: False when it waits for its turn, and not in this worker.

    One that is over is skipped as it begins, and takes no turn.

    Raises: redis-py's connection errors, upon which the worker connects anew; the message is its own until then.
    """
    channel, place = message.channel, message.delivery_info
    queue, pace, headers = place[CLAIMED_FROM], bucket.pace, message.headers
    if place[IN_TURN] or bucket.is_over(headers["id"]):
        return True
    # One that comes back from a worker, or whose turn has been for another reason, does not go to the end again.
    turn = "first" if headers.get("redelivered") or headers.get(FIRST_HEADER) else ""
    keys = [*channel.lease_keys, channel.list_for(queue, {"properties": message.properties})]
    arguments = [message.delivery_tag, queue, dumps(queue), headers["id"], bucket.task.name]
    if channel.run_script(TAKE_TURN, keys, [*arguments, pace.interval, pace.tolerance, turn]):
        return True
    settle(message)
    return False


def set_paces(channel: Any, paces: Mapping[str, Pace | None]) -> None:
    """Have the jobs that wait for a turn of these tasks keep to these paces; None for a task that has no limit.

    They may have been put there under another one, and the worker that begins them is asked for none.
    """
    arguments = [
        part
        for task, pace in paces.items()
        for part in (task, (pace or UNBOUNDED).interval, (pace or UNBOUNDED).tolerance)
    ]
    try:
        channel.run_script(SET_PACES, [], arguments)
    except (RedisError, OSError) as error:
        logger.warning("Jobs that wait for their turn keep to the rates they had: %r", error)
