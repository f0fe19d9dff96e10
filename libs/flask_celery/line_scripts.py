"""The Lua scripts of rate limits that hold over all workers: who may begin now, and where the others wait.

The limit is a leaky bucket as a meter (GCRA, ITU-T I.371): one number for each task, the time at which its next run
is due. A run may begin when that has come, and moves it on by the rate's interval; none is counted before it begins.

A job that may not begin yet is taken off its worker at once, so that it holds no place there, and stands in a *line*
of its task and list. It is not looked at again before its turn: the script that takes messages (``CLAIM``) takes the
first of the line instead when the task's next run is due, in the same step that counts it. So jobs of a line begin in
its order, none is in no place at any moment, and a worker that dies takes no more than it runs with it.

Its message is among the delayed ones, with a time that never comes: whatever looks for a job (cancelling, the
reconciler) finds it there. In the line is its id alone, which means nothing once the message is gone.
"""

from libs.flask_celery.place_scripts import PLACES

#: The functions that CLAIM and the scripts below share.
LINES = (
    PLACES
    + """
local never = 100000000000

-- When the next run of a limit's task is due, the interval and the tolerance, all in microseconds.
local function pace_of(limit)
  local known = redis.call('HMGET', key('taskgate-limit-' .. limit), 'next', 'interval', 'tolerance')
  return tonumber(known[1] or 0), tonumber(known[2] or 1), tonumber(known[3] or 0)
end

-- Begins a run if one may, and counts it. Returns the microseconds to wait otherwise, or 0.
local function begin(limit, next, interval, tolerance)
  -- Further off than any run can have put it: the rate was another one, or the clock was set back.
  if next > now_us + interval + tolerance then next = now_us end
  local wait = next - tolerance - now_us
  if wait > 0 then return wait end
  redis.call('HSET', key('taskgate-limit-' .. limit), 'next', whole(math.max(next, now_us) + interval),
    'interval', whole(interval), 'tolerance', whole(tolerance))
  return 0
end

local function line_of(list, limit) return list .. ':taskgate-line-' .. limit end

-- Drops from the line those whose message is no longer there. Returns the id and the message of the first of the
-- others, or nil.
local function first_in_line(list, limit)
  local line = line_of(list, limit)
  while true do
    local id = redis.call('ZRANGE', line, 0, 0)[1]
    if not id then
      redis.call('SREM', key('taskgate-lines'), limit .. '\\n' .. list)
      return nil
    end
    local held = redis.call('HGET', key('taskgate-delayed-messages'), id)
    if held and tonumber(redis.call('ZSCORE', key('taskgate-delayed'), id) or 0) == never then
      return id, string.match(held, '^[^\\n]*\\n[^\\n]*\\n[^\\n]*\\n(.*)$')
    end
    redis.call('ZREM', line, id)
  end
end

local function leave_line(list, limit, id)
  redis.call('ZREM', line_of(list, limit), id)
  redis.call('ZREM', key('taskgate-delayed'), id)
  redis.call('HDEL', key('taskgate-delayed-messages'), id)
end

-- The limits that jobs of each list wait for.
local function limits_by_list()
  local limits = {}
  for _, line in ipairs(redis.call('SMEMBERS', key('taskgate-lines'))) do
    local limit, list = string.match(line, '^([^\\n]*)\\n(.*)$')
    limits[list] = limits[list] or {}
    table.insert(limits[list], limit)
  end
  return limits
end

-- Takes the first job of a list that has waited for its turn, if it has come. Returns its message or nil, and the
-- microseconds to the next turn that has not.
local function take_in_turn(list, limits)
  local soonest = math.huge
  for _, limit in ipairs(limits or {}) do
    local id, message = first_in_line(list, limit)
    if id then
      local wait = begin(limit, pace_of(limit))
      if wait == 0 then
        leave_line(list, limit, id)
        return message, soonest
      end
      soonest = math.min(soonest, wait)
    end
  end
  return nil, soonest
end
"""
)

#: Begins a job that a worker has claimed, or takes it off the worker and has it stand in line.
#: KEYS: 1 unacked_index, 2 unacked, 3 the list. ARGV: 1 tag, 2 queue, 3 the queue as a JSON string, 4 task id, 5 the
#: limit's name, 6 interval, 7 tolerance (µs), 8 'first' for one whose turn has been. Returns 1 when it may begin, 0
#: when this worker has it no longer.
TAKE_TURN = (
    LINES
    + """
local tag, queue, id, limit = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local list, line = KEYS[3], line_of(KEYS[3], limit)
local held = redis.call('HGET', KEYS[2], tag)
if not held then return 0 end
-- The same job once more, of which a message waits already: a retry, or the forerunner of one. There is no place to
-- wait beside it, and one of the two will be found to have been overtaken.
if redis.call('HEXISTS', key('taskgate-delayed-messages'), id) == 1 then return 1 end
local interval, tolerance = tonumber(ARGV[6]), tonumber(ARGV[7])
if not first_in_line(list, limit) and begin(limit, pace_of(limit), interval, tolerance) == 0 then return 1 end
redis.call('HSET', key('taskgate-limit-' .. limit), 'interval', ARGV[6], 'tolerance', ARGV[7])
delay(list, queue, id, string.sub(held, 2, -1 - #(', "", ' .. ARGV[3] .. ']')), never)  -- as CLAIM has put it there
local score
if ARGV[8] == 'first' then
  score = math.min(now_us, tonumber(redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')[2] or now_us)) - 1
else
  score = math.max(now_us, tonumber(redis.call('ZREVRANGE', line, 0, 0, 'WITHSCORES')[2] or 0) + 1)
end
redis.call('ZADD', line, whole(score), id)
redis.call('SADD', key('taskgate-lines'), limit .. '\\n' .. list)
let_go(KEYS[1], KEYS[2], tag, id)
wake(queue)  -- a worker that waits for messages is to hear of the turn to wait for
return 0
"""
)

#: Sets the pace of those that wait already. ARGV: a limit's name, interval and tolerance (µs), and so on.
SET_PACES = (
    LINES
    + """
for at = 1, #ARGV - 1, 3 do
  local known = key('taskgate-limit-' .. ARGV[at])
  if redis.call('EXISTS', known) == 1 then
    redis.call('HSET', known, 'interval', ARGV[at + 1], 'tolerance', ARGV[at + 2])
  end
end
"""
)

#: Begins a run if one may, where the broker is not Redis. ARGV: 1 the limit's name, 2 interval, 3 tolerance (µs).
#: Returns the microseconds to wait otherwise.
BEGIN = (
    LINES
    + """
local next = pace_of(ARGV[1])
return math.ceil(begin(ARGV[1], next, tonumber(ARGV[2]), tonumber(ARGV[3])))
"""
)

#: Takes out a job that waits for its time or for its turn, which leaves no trace of it in a line: whoever submits and
#: cancels all day would fill one that moves once an hour. ARGV: 1 task id. Returns {list, queue, message} or nil.
TAKE_DELAYED = (
    LINES
    + """
local held = redis.call('HGET', key('taskgate-delayed-messages'), ARGV[1])
redis.call('HDEL', key('taskgate-delayed-messages'), ARGV[1])
redis.call('ZREM', key('taskgate-delayed'), ARGV[1])
if not held then return false end
local list, queue, _, message = string.match(held, '^([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n(.*)$')
for _, limit in ipairs(limits_by_list()[list] or {}) do redis.call('ZREM', line_of(list, limit), ARGV[1]) end
return {list, queue, message}
"""
)
