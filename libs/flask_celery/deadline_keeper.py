"""The worker's step that cancels late jobs, wherever they are: queued, delayed, or running on whatever worker.

The times stand in Redis from the acceptance until the job is final, so that they outlive every process. Each worker
looks for itself: whoever comes first acts, and what is said twice changes nothing. Where no worker is up nobody
looks, and nothing runs either: a late job that a starting worker takes first is refused as it starts.
"""

import logging
from typing import Any

from kombu.utils.encoding import bytes_to_str
from redis.exceptions import RedisError

from libs.flask_celery.broker_side import forget_delayed
from libs.flask_celery.deadlines import EXPIRED, OVERDUE
from libs.flask_celery.server_script import run_script
from libs.flask_celery.worker_steps import ThreadStep

logger = logging.getLogger(__name__)

#: Seconds between two looks.
INTERVAL = 1.0

#: Seconds that a running job has to stop by itself, at a progress call, before its process is ended.
GRACE = 5.0

_AT_ONCE = 100

#: What is due by the server's clock. KEYS: 1 the deadlines. ARGV: 1 how many at the most. Returns {member, …}.
DUE = """
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
"""

#: Asks again later. KEYS: 1 the deadlines. ARGV: 1 member, 2 in how many ms.
LATER = """
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', time[1] * 1000 + ARGV[2]), ARGV[1])
"""


class DeadlineKeeper(ThreadStep):
    """Asks the result database, so the broker may be any."""

    def run(self, worker: Any) -> None:
        """Look, and look again."""
        while not self.stopping.wait(INTERVAL):
            try:
                while cancel_late(worker.app) == _AT_ONCE:
                    pass
            except (RedisError, OSError) as error:
                logger.warning("Late jobs could not be looked for: %r", error)
            except Exception:
                logger.exception("Late jobs could not be looked for")


def cancel_late(celery_app: Any) -> int:
    """Act on what is due, a hundred at the most. Returns: on how many. Raises: redis-py's connection errors."""
    backend = celery_app.backend
    due = run_script(backend.client, DUE, [backend.keys.deadlines], [_AT_ONCE])
    for member in map(bytes_to_str, due):
        what, _, task_id = member.partition(" ")
        if what == "start":
            outcome, _ = backend.cancel(task_id, unless_started=True, reason=EXPIRED)
        else:
            outcome, _ = backend.cancel(task_id, terminate=what == "kill", reason=OVERDUE)
        if outcome == "REVOKED":
            forget_delayed(celery_app, task_id)
        elif outcome == "REQUESTED" and what == "end":
            run_script(backend.client, LATER, [backend.keys.deadlines], [f"kill {task_id}", round(GRACE * 1000)])
        backend.client.zrem(backend.keys.deadlines, member)
    return len(due)
