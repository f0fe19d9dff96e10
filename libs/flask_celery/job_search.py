"""Finding jobs in an index, newest first, a page at a time, however rare they are.

The indexes are sorted by time alone. What else is asked for is compared on the server, by a script that looks at a
thousand jobs in about two milliseconds and returns ids, so that a search never moves the records it does not want.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.serializers import STATUS
from libs.flask_celery.server_script import run_script
from libs.flask_celery.states import JobState

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin

#: Looked at in one call of the script: at first, where most jobs may be wanted, and then, where few are.
_AT_FIRST, _AT_ONCE = 100, 1_000

#: Where a job stands in an index: its time in ms, and its task id.
Position = tuple[int, str]

#: Which of some jobs are wanted. ARGV: 1 task or '', 2 owner or '', 3 the states between spaces or '', 4 '1' when
#: those without a record are too, then their ids, prefix. Returns the places of those (from 1).
_MATCHING = (
    STATUS
    + """
local task, owner, states, expired, prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[#ARGV]
local known = {PENDING = 1, STARTED = 1, PROGRESS = 1, RETRY = 1, SUCCESS = 1, FAILURE = 1, REVOKED = 1}
local matching = {}
for place = 5, #ARGV - 1 do
  local id, matches = ARGV[place], true
  if task ~= '' or owner ~= '' then
    local found = redis.call('HMGET', prefix .. 'taskgate-job-' .. id, 'task', 'owner')
    matches = (task == '' or found[1] == task) and (owner == '' or found[2] == owner)
  end
  if matches and not expired then
    local record = prefix .. 'celery-task-meta-' .. id
    matches = redis.call('EXISTS', record) == 1
    if matches and states ~= '' then
      local state = status_at(record) or 'PENDING'
      matches = string.find(states, known[state] and ' ' .. state .. ' ' or ' PROGRESS ', 1, true)
    end
  end
  if matches then matching[#matching + 1] = place - 4 end
end
return matching
"""
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs; None for any. ``since`` and ``until`` bound the time of the index, in ms, the first inclusively."""

    task: str | None = None
    owner: str | None = None
    states: Sequence[JobState] = ()
    since: float | None = None
    until: float | None = None
    expired: bool = False  # those whose record has expired too, whatever their state was


@dataclass(frozen=True, slots=True)
class Found:
    """A page: the jobs, and after which one to go on; None at the end of the index."""

    jobs: list[Position]
    next: Position | None


def search(
    backend: "JobBackendMixin",
    index: str,
    wanted: Wanted,
    *,
    after: Position | None = None,
    limit: int,
    most_scanned: int,
) -> Found:
    """The newest ``limit`` jobs of an index that are wanted, from those after ``after``.

    A page can have fewer, none even, and a next one: when ``most_scanned`` jobs have been looked at.
    Raises: redis-py's connection errors.
    """
    jobs: list[Position] = []
    scanned = 0
    for entries in _chunks(backend, index, wanted, after):
        some = entries[: most_scanned - scanned]
        matching = _matching(backend, wanted, some)
        scanned += len(some)
        for place, entry in enumerate(some, start=1):
            if place in matching:
                jobs.append(entry)
                if len(jobs) == limit:
                    return Found(jobs, entry)
        if scanned == most_scanned:
            return Found(jobs, some[-1])
    return Found(jobs, None)


def _chunks(
    backend: "JobBackendMixin", index: str, wanted: Wanted, after: Position | None
) -> Iterator[list[Position]]:
    compared = wanted.task or wanted.owner or wanted.states
    count = _AT_FIRST
    lowest = "-inf" if wanted.since is None else wanted.since
    highest: float | str = "+inf" if wanted.until is None else f"({wanted.until}"
    if after is not None and (wanted.until is None or after[0] < wanted.until):
        highest = after[0]
    offset = 0 if after is None or highest != after[0] else _jobs_up_to(backend, index, after)
    while page := backend.client.zrevrangebyscore(index, highest, lowest, start=offset, num=count, withscores=True):
        entries = [(int(score), bytes_to_str(member)) for member, score in page]
        # Jobs that came in meanwhile push the ranks on: what was read before is not read again.
        fresh = [entry for entry in entries if after is None or entry < after]
        # Many jobs can be of one time; no further than over those the server has to count.
        offset = (
            offset + len(page) if entries[-1][0] == highest else sum(entry[0] == entries[-1][0] for entry in entries)
        )
        highest = entries[-1][0]
        if fresh:
            after = fresh[-1]
            yield fresh
        count = _AT_ONCE if compared else _AT_FIRST


def _jobs_up_to(backend: "JobBackendMixin", index: str, position: Position) -> int:
    """How many jobs of a position's time the index has down to the position: a batch's ten thousand are of one time.

    0 when the position's job is no longer there. Jobs that come in meanwhile, or between the two questions, only make
    it too few.
    """
    with backend.client.pipeline(transaction=False) as pipe:
        pipe.zrevrank(index, position[1])
        pipe.zcount(index, f"({position[0]}", "+inf")
        rank, newer = pipe.execute()
    return 0 if rank is None else max(rank + 1 - newer, 0)


def _matching(backend: "JobBackendMixin", wanted: Wanted, entries: Sequence[Position]) -> set[int]:
    states = f" {' '.join(wanted.states)} " if wanted.states else ""
    arguments = [wanted.task or "", wanted.owner or "", states, "1" if wanted.expired else ""]
    ids = [task_id for _, task_id in entries]
    return set(run_script(backend.client, _MATCHING, [], [*arguments, *ids, backend.keys.prefix]))
