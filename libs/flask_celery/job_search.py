"""Finding jobs in an index, newest first, a page at a time, however rare they are.

The indexes are sorted by time alone. What else is asked for is compared on the server, by a script that walks along
the index and returns only what is wanted: jobs that are not cost the asking process nothing, and Redis a few µs each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kombu.utils.encoding import bytes_to_str

from libs.flask_celery.serializers import STATUS
from libs.flask_celery.server_script import run_script
from libs.flask_celery.states import JobState

if TYPE_CHECKING:
    from libs.flask_celery.backend import JobBackendMixin

#: Looked at in one call of the script: Redis does nothing else meanwhile.
_AT_ONCE = 1_000

#: Where a job stands in an index: its time in ms, and its task id.
Position = tuple[int, str]

#: Looks at jobs of an index, newest first, until enough are found. KEYS: the index. ARGV: 1 task or '', 2 owner or
#: '', 3 the states between spaces or '', 4 '1' when those without a record are wanted too, 5 and 6 the bounds of
#: time, as ZCOUNT has them, 7 and 8 time and id of the position to go on after, or '', 9 how many to look at, 10 how
#: many to find, prefix.
#: Returns {how many it has looked at, time and id of the last one, and of each that is wanted}.
_SEARCH = (
    STATUS
    + """
local index, task, owner, states, expired, prefix = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[#ARGV]
local lowest, highest, after_time, after_id = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local most, limit = tonumber(ARGV[9]), tonumber(ARGV[10])
local known = {PENDING = 1, STARTED = 1, PROGRESS = 1, RETRY = 1, SUCCESS = 1, FAILURE = 1, REVOKED = 1}

-- By bytes, as Redis sorts: Lua goes by the server's locale.
local function is_below(one, other)
  for place = 1, math.min(#one, #other) do
    local a, b = string.byte(one, place), string.byte(other, place)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- The rank of the first job below a position. Its own job may be gone, and the jobs of a batch are all of one time.
local function rank_after(time, id)
  local now = redis.call('ZSCORE', index, id)
  if now and tonumber(now) == tonumber(time) then return redis.call('ZREVRANK', index, id) + 1 end
  local low, high = redis.call('ZCOUNT', index, '(' .. time, '+inf'), redis.call('ZCOUNT', index, time, '+inf')
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_below(redis.call('ZREVRANGE', index, middle, middle)[1], id) then high = middle else low = middle + 1 end
  end
  return low
end

local records, ledgers = prefix .. 'celery-task-meta-', prefix .. 'taskgate-job-'
local function is_wanted(id)
  if states ~= '' and not expired then
    local state = status_at(records .. id) or 'PENDING'
    if not string.find(states, known[state] and ' ' .. state .. ' ' or ' PROGRESS ', 1, true) then return false end
  end
  if task ~= '' and redis.call('HGET', ledgers .. id, 'task') ~= task then return false end
  if owner ~= '' and redis.call('HGET', ledgers .. id, 'owner') ~= owner then return false end
  return expired or redis.call('EXISTS', records .. id) == 1
end

-- By rank, the first to look at and the one behind the last.
local behind = redis.call('ZCOUNT', index, lowest, '+inf')
local first = highest == '+inf' and 0 or behind - redis.call('ZCOUNT', index, lowest, highest)
if after_id ~= '' then first = math.max(first, rank_after(after_time, after_id)) end
behind = math.min(behind, first + most)

local found, looked, time, id = {}, 0, '', ''
while first < behind and #found < 2 * limit do
  local some = redis.call('ZREVRANGE', index, first, math.min(first + 99, behind - 1), 'WITHSCORES')
  for place = 1, #some, 2 do
    id, time, looked = some[place], some[place + 1], looked + 1
    if is_wanted(id) then
      found[#found + 1], found[#found + 2] = time, id
      if #found == 2 * limit then break end
    end
  end
  first = first + 100
end
return {looked, time, id, unpack(found)}
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
    left = most_scanned
    while True:
        asked = min(left, _AT_ONCE)
        looked, last, found = _look(backend, index, wanted, after, asked, limit - len(jobs))
        jobs += found
        left -= looked
        if len(jobs) == limit:
            return Found(jobs, jobs[-1])
        if looked < asked:
            return Found(jobs, None)
        after = last
        if not left:
            return Found(jobs, after)


def _look(
    backend: "JobBackendMixin", index: str, wanted: Wanted, after: Position | None, most: int, limit: int
) -> tuple[int, Position | None, list[Position]]:
    """How many have been looked at, the last one, and those that are wanted."""
    states = f" {' '.join(wanted.states)} " if wanted.states else ""
    lowest = "-inf" if wanted.since is None else wanted.since
    highest = "+inf" if wanted.until is None else f"({wanted.until}"
    arguments = [wanted.task or "", wanted.owner or "", states, "1" if wanted.expired else "", lowest, highest]
    arguments += [*(after or ("", "")), most, limit, backend.keys.prefix]
    looked, time, task_id, *found = run_script(backend.client, _SEARCH, [index], arguments)
    positions = [_position(*found[place : place + 2]) for place in range(0, len(found), 2)]
    return looked, _position(time, task_id) if looked else None, positions


def _position(time: bytes, task_id: bytes) -> Position:
    return int(float(time)), bytes_to_str(task_id)
