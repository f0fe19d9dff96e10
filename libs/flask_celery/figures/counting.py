r"""What is counted, where it happens: in the scripts that accept jobs and store how they ended.

So a count is neither lost with a process that is killed nor made twice by one that repeats itself, and needs no
message of its own. One hash holds them, for as long as Redis keeps anything:

* ``accepted\n<task>``: jobs that were accepted.
* ``ended\n<state>\n<task>``: jobs that ended in a state.
* ``ran\n<bucket>\n<task>``: runs that ended and took no longer than a bucket's ms and longer than the one's before.
* ``took\n<task>``: ms that those runs took together.

What ends in the hands of a stock worker is not counted: that writes Celery's fields alone.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Upper bounds in ms of the classes into which runs are counted; what takes longer than the last is counted beside.
BUCKETS = (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000)
_LONGER = "longer"

#: For the scripts that store how jobs end.
COUNTING = f"""
local counts = prefix .. 'taskgate-counts'

local function count_end(task, state)
  redis.call('HINCRBY', counts, 'ended\\n' .. state .. '\\n' .. task, 1)
end

local function count_run(task, took)
  local bucket = '{_LONGER}'
  for _, bound in ipairs({{{", ".join(map(str, BUCKETS))}}}) do
    if took <= bound then bucket = whole(bound) break end
  end
  redis.call('HINCRBY', counts, 'ran\\n' .. bucket .. '\\n' .. task, 1)
  redis.call('HINCRBY', counts, 'took\\n' .. task, whole(took))
end
"""


@dataclass(frozen=True, slots=True)
class RunLengths:
    """How long a task's runs took: how many by bucket, in the order of ``BUCKETS`` with the longer ones last."""

    by_bucket: tuple[int, ...]
    seconds: float  # of all together


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the first job of the deployment, by task."""

    accepted: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by task and state
    runs: Mapping[str, RunLengths] = field(default_factory=dict)


def read_counts(kept: Mapping[bytes, bytes]) -> Counts:
    """What the hash holds."""
    accepted: dict[str, int] = {}
    ended: dict[tuple[str, str], int] = {}
    ran: dict[str, dict[str, int]] = defaultdict(dict)
    took: dict[str, int] = {}
    for name, value in kept.items():
        what, _, rest = name.decode(errors="replace").partition("\n")
        count, (of, _, task) = int(value), rest.partition("\n")
        if what == "accepted":
            accepted[rest] = count
        elif what == "took":
            took[rest] = count
        elif what == "ended":
            ended[task, of] = count
        elif what == "ran":
            ran[task][of] = count
    buckets = [*map(str, BUCKETS), _LONGER]
    runs = {
        task: RunLengths(tuple(by.get(bucket, 0) for bucket in buckets), took.get(task, 0) / 1000)
        for task, by in ran.items()
    }
    return Counts(accepted, ended, runs)
