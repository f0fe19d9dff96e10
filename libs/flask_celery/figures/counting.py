r"""What is counted, where it happens: in the scripts that accept jobs and store how they ended.

So a count is neither lost with a process that is killed nor made twice by one that repeats itself, and needs no
message of its own. One hash holds them, for as long as Redis keeps anything:

* ``accepted\n<task>``: jobs that were accepted.
* ``ended\n<state>\n<task>``: jobs that ended in a state.
* ``ran\n<bucket>\n<task>``: runs that ended and took no longer than a bucket's ms and longer than the one's before.
* ``done\n<bucket>\n<task>``: runs that ended well, and their job with them. Each counts as one of ``ended`` and of
  ``run``, with SUCCESS, and as one of ``ran``: what is the most frequent by far is counted in one step.
* ``took\n<task>``: ms that all of those runs took together.
* ``waits\n<bucket>\n<task>``, ``waited\n<task>``: likewise of the time from when a job could run until it began.
* ``run\n<outcome>\n<task>``: runs by how they ended, of which a job may have several.

What ends in the hands of a stock worker is not counted: that writes Celery's fields alone.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Upper bounds in ms of the classes into which runs are counted; what takes longer than the last is counted beside.
BUCKETS = (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000)
_LONGER = "longer"

#: Whose names have something before the task's.
_BY_TASK_AND_MORE = ("ended", "ran", "done", "waits", "run")

#: The outcome of a run of which nothing was heard before the next one of the job began: its worker was killed or
#: stopped, or cut off.
LOST = "LOST"

#: Of what fields count jobs that ended.
ENDS = ("ended", "done")

#: For the scripts that store how jobs end.
COUNTING = f"""
local counts = prefix .. 'taskgate-counts'

local function count_time(by_bucket, together, task, ms)
  local bucket = '{_LONGER}'
  for _, bound in ipairs({{{", ".join(map(str, BUCKETS))}}}) do
    if ms <= bound then bucket = whole(bound) break end
  end
  redis.call('HINCRBY', counts, by_bucket .. '\\n' .. bucket .. '\\n' .. task, 1)
  redis.call('HINCRBY', counts, together .. '\\n' .. task, whole(ms))
end

local function count_run(task, took, outcome)
  redis.call('HINCRBY', counts, 'run\\n' .. outcome .. '\\n' .. task, 1)
  if outcome ~= 'RETRY' then count_time('ran', 'took', task, took) end
end

-- A job ends, with a run that took so many ms, or with none (nil).
local function count_end(task, state, took)
  if took and state == 'SUCCESS' then
    count_time('done', 'took', task, took)
    return
  end
  redis.call('HINCRBY', counts, 'ended\\n' .. state .. '\\n' .. task, 1)
  if took then count_run(task, took, state) end
end

-- The so-manieth run of a job begins, which was in this state and has waited so many ms (nil: nobody knows).
local function count_begin(task, state, runs, waited)
  if runs > 1 and state ~= 'RETRY' then
    redis.call('HINCRBY', counts, 'run\\n{LOST}\\n' .. task, 1)
  elseif runs == 1 and waited then
    count_time('waits', 'waited', task, waited)
  end
end
"""


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """How long something of a task took: how often by bucket, in the order of ``BUCKETS``, what is longer last."""

    by_bucket: tuple[int, ...]
    seconds: float  # of all together


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the first job of the deployment, by task."""

    accepted: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by task and state
    runs: Mapping[str, TaskTimes] = field(default_factory=dict)
    waits: Mapping[str, TaskTimes] = field(default_factory=dict)
    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)  # of runs, by task and outcome


def read_counts(kept: Mapping[bytes, bytes]) -> Counts:
    """What the hash holds."""
    found: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for name, value in kept.items():
        what, _, rest = name.decode(errors="replace").partition("\n")
        of, _, task = rest.partition("\n") if what in _BY_TASK_AND_MORE else ("", "", rest)
        found[what][task, of] = int(value)
    for (task, bucket), count in found["done"].items():
        for kind, of in (("ended", "SUCCESS"), ("run", "SUCCESS"), ("ran", bucket)):
            found[kind][task, of] = found[kind].get((task, of), 0) + count
    accepted = {task: count for (task, _), count in found["accepted"].items()}
    runs, waits = _times(found["ran"], found["took"]), _times(found["waits"], found["waited"])
    return Counts(accepted, found["ended"], runs, waits, found["run"])


def _times(by_bucket: Mapping[tuple[str, str], int], together: Mapping[tuple[str, str], int]) -> dict[str, TaskTimes]:
    buckets = [*map(str, BUCKETS), _LONGER]
    return {
        task: TaskTimes(
            tuple(by_bucket.get((task, bucket), 0) for bucket in buckets), together.get((task, ""), 0) / 1000
        )
        for task in {task for task, _ in by_bucket}
    }
