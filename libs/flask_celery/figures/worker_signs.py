"""What each worker says of itself every few seconds, so that one who watches need not ask them all.

Kept in the result database, in ``taskgate-workers`` (name → JSON) and ``taskgate-workers-seen`` (name by the
server's time of its last sign). A worker that is killed is left out a little later, and taken away by the next sign
of another.
"""

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import psutil
from celery.worker import state
from redis.exceptions import RedisError

from libs.flask_celery.figures.throughput import take_sample
from libs.flask_celery.server_script import run_script
from libs.flask_celery.worker_steps import ThreadStep, consumer_channel

logger = logging.getLogger(__name__)

#: Seconds from one sign to the next, and after which a worker counts as gone.
INTERVAL, GONE_AFTER = 10.0, 35.0
_LOOK_AGAIN = 0.25

SIGNS, SEEN = "taskgate-workers", "taskgate-workers-seen"

#: ARGV: 1 name, 2 the sign, or '' of a worker that stops, 3 seconds after which a worker counts as gone, prefix.
_SIGN = f"""
local signs, seen = ARGV[4] .. '{SIGNS}', ARGV[4] .. '{SEEN}'
local now = tonumber(redis.call('TIME')[1])
local gone = redis.call('ZRANGEBYSCORE', seen, '-inf', now - ARGV[3], 'LIMIT', 0, 100)
if ARGV[2] == '' then
  gone[#gone + 1] = ARGV[1]
else
  redis.call('HSET', signs, ARGV[1], ARGV[2])
  redis.call('ZADD', seen, now, ARGV[1])
end
for _, name in ipairs(gone) do
  if ARGV[2] == '' or name ~= ARGV[1] then
    redis.call('HDEL', signs, name)
    redis.call('ZREM', seen, name)
  end
end
"""


@dataclass(frozen=True, slots=True)
class WorkerSign:
    """Of one worker, its child processes included."""

    slots: int  # jobs that it can run at once
    running: int
    queues: tuple[str, ...]  # that it takes jobs from
    memory: int  # resident bytes
    cpu: float  # seconds since its processes began
    pool: str = ""  # prefork, threads, gevent, …
    uptime: float = 0.0  # seconds
    taken: int = 0  # jobs since it is up
    age: float = 0.0  # seconds since the sign was given; filled in where it is read


class WorkerSigns(ThreadStep):
    """Gives a worker's signs from a thread of its own."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.stopping = threading.Event()

    def run(self, worker: Any) -> None:
        """As soon as it takes jobs, and again every few seconds while it does."""
        pause = 0.0
        while not self.stopping.wait(pause):
            pause = INTERVAL
            if consumer_channel(worker) is None:  # starting, or connecting again
                pause = _LOOK_AGAIN
                continue
            try:
                give(worker, json.dumps(asdict(_sign_of(worker))))
                take_sample(worker.app.backend)
            except (RedisError, OSError, psutil.Error) as error:
                logger.debug("No sign of this worker could be given: %r", error)
            except Exception:
                # Whatever it is, the next one may succeed; without signs the worker counts as gone.
                logger.exception("No sign of this worker could be given")

    def stop(self, worker: Any) -> None:
        """A worker that stops is gone at once: it takes no more jobs, even if it still runs some."""
        self.stopping.set()
        try:
            give(worker, "")
        except (RedisError, OSError) as error:
            logger.debug("That this worker stops could not be said: %r", error)

    terminate = stop


def give(worker: Any, sign: str) -> None:
    """The sign, as JSON, or '' of a worker that stops."""
    backend = worker.app.backend
    run_script(backend.client, _SIGN, [], [worker.hostname, sign, round(GONE_AFTER), backend.keys.prefix])


def _sign_of(worker: Any) -> WorkerSign:
    logical = worker.app.queue_names.logical
    process = psutil.Process()
    processes = [process, *process.children()]
    memory, cpu = 0, 0.0
    for each in processes:
        try:
            with each.oneshot():
                times = each.cpu_times()
                memory, cpu = memory + each.memory_info().rss, cpu + times.user + times.system
        except psutil.NoSuchProcess:  # a child that has just ended
            continue
    own = process.cpu_times()
    cpu += own.children_user + own.children_system  # of children that have ended
    return WorkerSign(
        slots=int(getattr(worker.pool, "num_processes", None) or worker.concurrency or 1),
        running=len(tuple(state.active_requests)),
        queues=tuple(sorted({logical(queue.name) for queue in worker.consumer.task_consumer.queues})),
        memory=memory,
        cpu=round(cpu, 2),
        pool=pool_named(type(worker.pool).__module__),
        uptime=(datetime.now(UTC) - worker.startup_time).total_seconds(),
        taken=sum(state.total_count.values()),
    )


def pool_named(module: str) -> str:
    """The pool of a module, as ``-P`` has it."""
    name = module.rpartition(".")[2]
    return "threads" if name == "thread" else name


def read_signs(signs: Mapping[bytes, bytes], seen: Mapping[bytes, float], now: float) -> dict[str, WorkerSign]:
    """Of the workers that live, by name; of what Redis holds at a time in Unix seconds."""
    known = {field.name for field in fields(WorkerSign)}
    found: dict[str, WorkerSign] = {}
    for name, sign in signs.items():
        at = seen.get(name, 0.0)
        if now - at > GONE_AFTER:
            continue
        # A worker of another version, as there are while a new one is rolled out, may say more or less.
        said = {what: value for what, value in json.loads(sign).items() if what in known}
        found[name.decode()] = WorkerSign(**{**said, "queues": tuple(said["queues"]), "age": max(now - at, 0.0)})
    return found
