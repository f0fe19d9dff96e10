"""The Lua scripts that change schedules: each reads and writes in one step, so that the API and beat, or two beats,
cannot write over each other.

A schedule is a hash, named as redbeat names it, and a member of redbeat's sorted set by the time at which beat is to
look at it. Its fields beside redbeat's ``definition`` and ``meta``:

* ``about``: what else its owner has said of it, as JSON.
* ``version``: counts its owner's changes.
* ``due``: the next due time in ms. A schedule that is paused has none and is not in the set.
* ``last_task_id``, ``error``, ``missed``: what came of it last.
"""

#: KEYS: 1 the hash, 2 the set by due time, 3 the owner's, 4 that of all. ARGV: 1 id, 2 now in ms, 3 the owner's
#: limit, 4 the idempotency key or '', 5 fingerprint, 6 its time to live, 7 definition, 8 about, 9 due or ''.
#: Returns {outcome, id}: CREATED, REPLAY, CONFLICT or FULL.
CREATE = """
local id, now, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
if ARGV[4] ~= '' then
  local earlier = redis.call('GET', ARGV[4])
  if earlier then
    local same = string.sub(earlier, 1, #ARGV[5]) == ARGV[5]
    return {same and 'REPLAY' or 'CONFLICT', string.sub(earlier, #ARGV[5] + 2)}
  end
end
if limit > 0 and redis.call('ZCARD', KEYS[3]) >= limit then return {'FULL', ''} end
redis.call('HSET', KEYS[1], 'definition', ARGV[7], 'meta', '{}', 'about', ARGV[8], 'version', 1)
if ARGV[9] ~= '' then
  redis.call('HSET', KEYS[1], 'due', ARGV[9])
  redis.call('ZADD', KEYS[2], ARGV[9] / 1000, KEYS[1])
end
redis.call('ZADD', KEYS[3], now, id)
redis.call('ZADD', KEYS[4], now, id)
if ARGV[4] ~= '' then redis.call('SET', ARGV[4], ARGV[5] .. ' ' .. id, 'EX', ARGV[6]) end
return {'CREATED', id}
"""

#: KEYS: 1 the hash, 2 the set by due time. ARGV: 1 the version it was read in, 2 definition, 3 about, 4 due, or ''
#: for a pause, or 'keep'. Returns CHANGED, OTHER (version) or UNKNOWN.
CHANGE = """
local version = redis.call('HGET', KEYS[1], 'version')
if not version then return 'UNKNOWN' end
if version ~= ARGV[1] then return 'OTHER' end
redis.call('HSET', KEYS[1], 'definition', ARGV[2], 'about', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HDEL', KEYS[1], 'error')
if ARGV[4] == 'keep' then return 'CHANGED' end
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[1], 'due')
  redis.call('ZREM', KEYS[2], KEYS[1])
else
  redis.call('HSET', KEYS[1], 'due', ARGV[4])
  redis.call('ZADD', KEYS[2], ARGV[4] / 1000, KEYS[1])
end
return 'CHANGED'
"""

#: KEYS: 1 the hash, 2 the set by due time, 3 the owner's, 4 that of all. ARGV: 1 id, 2 its version, or '' for any.
#: Returns REMOVED, OTHER or UNKNOWN.
REMOVE = """
local version = redis.call('HGET', KEYS[1], 'version')
if not version then return 'UNKNOWN' end
if ARGV[2] ~= '' and version ~= ARGV[2] then return 'OTHER' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
return 'REMOVED'
"""

#: What came of a due time. What somebody has changed meanwhile stays; what was deleted does not come back.
#: KEYS: 1 the hash, 2 the set by due time. ARGV: 1 the due time that this is about, 2 the next one or '', 3 the time
#: at which to look again or '', 4 meta or '', 5 task id or '', 6 error or '', 7 the due time that was missed or ''.
ADVANCE = """
if redis.call('HEXISTS', KEYS[1], 'definition') == 0 then
  redis.call('ZREM', KEYS[2], KEYS[1])
  redis.call('DEL', KEYS[1])
  return 'UNKNOWN'
end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'meta', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'last_task_id', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'error', ARGV[6]) else redis.call('HDEL', KEYS[1], 'error') end
if ARGV[7] ~= '' then redis.call('HSET', KEYS[1], 'missed', ARGV[7]) end
local due = redis.call('HGET', KEYS[1], 'due')
if due and due ~= ARGV[1] or not redis.call('ZSCORE', KEYS[2], KEYS[1]) then return 'OTHER' end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'due', ARGV[2]) else redis.call('HDEL', KEYS[1], 'due') end
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[2], ARGV[3] / 1000, KEYS[1])
else redis.call('ZREM', KEYS[2], KEYS[1]) end
return 'ADVANCED'
"""

#: A schedule in code, by the beat that leads. Its due time stays unless its timing is another one.
#: KEYS: 1 the hash, 2 the set by due time, 3 the names of those in code. ARGV: 1 name, 2 definition, 3 about, 4 due
#: if it is new, or ''; 5 '1' when its timing is another one.
INSTALL = """
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[1], 'definition', ARGV[2], 'about', ARGV[3])
redis.call('HSETNX', KEYS[1], 'meta', '{}')
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[1], 'due')
  redis.call('ZREM', KEYS[2], KEYS[1])
elseif ARGV[5] == '1' or redis.call('HEXISTS', KEYS[1], 'due') == 0 then
  redis.call('HSET', KEYS[1], 'due', ARGV[4])
  redis.call('ZADD', KEYS[2], ARGV[4] / 1000, KEYS[1])
end
return 'INSTALLED'
"""
