"""The figures of a deployment, read from Redis in three round trips whatever there is: for who watches it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.figures.counting import Counts, read_counts
from libs.flask_celery.figures.throughput import SAMPLES, Sample, read_samples
from libs.flask_celery.figures.worker_signs import SEEN, SIGNS, WorkerSign, read_signs
from libs.flask_celery.line_scripts import LINES
from libs.flask_celery.parking import DEAD_LETTERS
from libs.flask_celery.place_scripts import LISTS
from libs.flask_celery.queues_in_use import declared_queues, queues_in_use
from libs.flask_celery.schedules.schedules import ScheduleKeys

if TYPE_CHECKING:
    from libs.flask_celery.claiming import ClaimingChannelMixin
    from libs.flask_celery.factory import FlaskCelery

#: KEYS: 1 unacked_index, 2 … the lists. ARGV: 1 the list of what nobody can read, the prefix. Returns {held, delayed,
#: in line, quarantined, unreadable, {length, age in ms of the next one or -1} for each list}. The order's numbers are
#: the server's time in µs.
_FIGURES = (
    LINES
    + """
local lists = {}
for place = 2, #KEYS do
  local next_one = redis.call('ZRANGE', order_of(KEYS[place]), 0, 0, 'WITHSCORES')
  local age = next_one[2] and math.max(math.floor((now_us - tonumber(next_one[2])) / 1000), 0) or -1
  lists[#lists + 1] = {redis.call('LLEN', KEYS[place]), age}
end
local in_line = redis.call('ZCOUNT', key('taskgate-delayed'), never, '+inf')
return {
  redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', key('taskgate-delayed')) - in_line, in_line,
  redis.call('HLEN', key('taskgate-quarantined')), redis.call('LLEN', key(ARGV[1])), lists,
}
"""
)


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """Of one queue: jobs that wait, and for how many seconds the next one has been waiting; None when none does."""

    waiting: int
    oldest: float | None


@dataclass(frozen=True, slots=True)
class BrokerFigures:
    """Of a broker that is a Redis."""

    queues: Mapping[str, QueueFigures] = field(default_factory=dict)
    held: int = 0  # messages that workers have leased
    delayed: int = 0  # jobs that wait for their time
    in_line: int = 0  # jobs that wait for a turn of their task's rate limit
    quarantined: int = 0  # jobs that wait for a worker that knows their task
    unreadable: int = 0  # messages that no worker can run


@dataclass(frozen=True, slots=True)
class Figures:
    """At one moment. ``broker`` is None where that is not a Redis: RabbitMQ has metrics of its own."""

    counts: Counts
    unfinished: int  # accepted and not over
    oldest_unfinished: float | None  # submitted so many seconds ago
    failed: int  # dead letters that are jobs
    webhooks_owed: int  # principals to whom webhooks are owed
    beat_leads: bool  # a beat looks after the schedules
    workers: Mapping[str, WorkerSign]  # those that live, by name
    broker: BrokerFigures | None
    now: Sample
    samples: tuple[Sample, ...]  # of the last hour, the oldest first


def read_figures(celery_app: "FlaskCelery") -> Figures:
    """Raises: redis-py's and kombu's connection errors."""
    keys = celery_app.backend.keys
    with celery_app.backend.client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.counts)
        pipe.zcard(keys.unfinished)
        pipe.zrange(keys.unfinished, 0, 0, withscores=True)
        pipe.zcard(keys.failed)
        pipe.scard(f"{keys.prefix}taskgate-webhooks-due")
        pipe.exists(ScheduleKeys(keys.prefix).lock)
        pipe.hgetall(f"{keys.prefix}{SIGNS}")
        pipe.zrange(f"{keys.prefix}{SEEN}", 0, -1, withscores=True)
        pipe.lrange(f"{keys.prefix}{SAMPLES}", 0, -1)
        pipe.time()
        counted, unfinished, first, failed, owed, leads, signs, seen, kept, (seconds, micros) = pipe.execute()
    oldest = max(seconds + micros / 1e6 - first[0][1] / 1000, 0.0) if first else None
    with broker_channel(celery_app) as channel:
        broker = None if channel is None else _of_broker(celery_app, channel)
    workers = read_signs(signs, dict(seen), seconds)
    counts = read_counts(counted)
    now = Sample(seconds + micros / 1e6, sum(counts.accepted.values()), sum(counts.ended.values()))
    return Figures(
        counts, unfinished, oldest, failed, owed, bool(leads), workers, broker, now=now, samples=read_samples(kept)
    )


def _of_broker(celery_app: "FlaskCelery", channel: "ClaimingChannelMixin") -> BrokerFigures:
    used = {bytes_to_str(each) for each in channel.plain_client.smembers(channel.prefixed(LISTS))}
    of_lists = {each.removeprefix(channel.global_keyprefix).partition(channel.sep)[0] for each in used}
    known = {*declared_queues(celery_app), *queues_in_use(celery_app)}
    names = sorted({*map(celery_app.queue_names.physical, known), *of_lists})
    lists = [(name, list_name) for name in names for list_name in channel.lists_of(name)]
    read: Any = channel.run_script(_FIGURES, [channel.lease_keys[0], *(each for _, each in lists)], [DEAD_LETTERS])
    held, delayed, in_line, quarantined, unreadable, found = read
    waiting, ages = dict.fromkeys(names, 0), dict[str, float]()
    for (name, _), (length, age) in zip(lists, found, strict=True):
        waiting[name] += length
        if age >= 0:
            ages[name] = max(ages.get(name, 0.0), age / 1000)
    logical = celery_app.queue_names.logical
    queues = {logical(name): QueueFigures(waiting[name], ages.get(name)) for name in names}
    return BrokerFigures(queues, held, delayed, in_line, quarantined, unreadable)
