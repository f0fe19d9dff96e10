"""How many jobs were accepted and had ended, every so many seconds of the last hour: so that who looks sees a pace.

One worker takes a sample in each interval, whichever comes first; it is kept in the result database, in the list
``taskgate-throughput`` (newest first: Unix time by the server's clock, accepted, ended). Without workers there are no
samples, and no job ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from libs.flask_celery.figures.counting import ENDS
from libs.flask_celery.server_script import run_script

SAMPLES = "taskgate-throughput"

#: Seconds between two samples, and how many are kept: those of an hour.
INTERVAL, KEPT = 30, 120

#: A rate is of about so many seconds. A gap in the samples makes it one of more.
_RATE_OF = 60.0

#: ARGV: 1 seconds between two samples, 2 how many are kept, 3 the prefix.
_SAMPLE = f"""
local counts, samples = ARGV[3] .. 'taskgate-counts', ARGV[3] .. '{SAMPLES}'
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local newest = redis.call('LINDEX', samples, 0)
if newest and now - tonumber(newest:match('^%S+')) < tonumber(ARGV[1]) - 1 then return end
local found = {{accepted = 0, ended = 0}}
local counts_as = {{accepted = 'accepted', {", ".join(f"{name} = 'ended'" for name in ENDS)}}}
local all = redis.call('HGETALL', counts)
for place = 1, #all, 2 do
  local what = counts_as[all[place]:match('^%l+')]
  if what then found[what] = found[what] + tonumber(all[place + 1]) end
end
redis.call('LPUSH', samples, string.format('%.3f %.0f %.0f', now, found.accepted, found.ended))
redis.call('LTRIM', samples, 0, ARGV[2] - 1)
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """At a Unix time, of jobs since the first one."""

    at: float
    accepted: int
    ended: int


def take_sample(backend: Any) -> None:
    """Unless there is one of this interval. Raises: redis-py's errors."""
    run_script(backend.client, _SAMPLE, [], [INTERVAL, KEPT, backend.keys.prefix])


def read_samples(kept: Sequence[bytes]) -> tuple[Sample, ...]:
    """What the list holds, the oldest first."""
    split = (line.split() for line in reversed(kept))
    return tuple(Sample(float(at), int(accepted), int(ended)) for at, accepted, ended in split)


def per_minute(samples: Sequence[Sample], now: Sample) -> tuple[float, float] | None:
    """How many are accepted and end in a minute, by the last one; None while there is nothing to compare with."""
    long_ago = [sample for sample in samples if now.at - sample.at >= _RATE_OF]
    first = long_ago[-1] if long_ago else next(iter(samples), now)
    if now.at - first.at < 1:
        return None
    minutes = (now.at - first.at) / 60
    return (now.accepted - first.accepted) / minutes, (now.ended - first.ended) / minutes
