"""The three Lua scripts that change what Redis holds about a job, each one atomic step on the server.

``ACCEPT`` runs on the broker's connection and switches database for the record: the broker and the results
usually are two databases of one Redis, and a script may SELECT (its choice ends with the script, since Redis
2.8.12). ``STORE`` and ``CANCEL`` run on the result database.
"""

from libs.flask_celery.delivery_scripts import PUSH

#: Writes the record and pushes the message, or neither: Redis undoes nothing of a script that fails half-way, so the
#: push, the one step that can fail, comes before all but the claim on the id. A job that is known already (a retry, a
#: publish repeated after a lost reply) keeps its record; the message is pushed all the same, as Celery would.
#: KEYS: 1 the queue's list. Returns 1 when the record is new.
ACCEPT = (
    PUSH
    + """
local message, broker_db, record_db = ARGV[1], ARGV[2], ARGV[3]
local meta, ledger, owner_index = ARGV[4], ARGV[5], ARGV[6]
local task_id, record, now, owner, task = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
redis.call('SELECT', record_db)
local fresh = redis.call('HSETNX', ledger, 'state', 'PENDING')
if message ~= '' then
  redis.call('SELECT', broker_db)
  local pushed = push(KEYS[1], ARGV[12], ARGV[13], message, tonumber(ARGV[14]))
  redis.call('SELECT', record_db)
  if type(pushed) == 'table' and pushed.err then
    if fresh == 1 then redis.call('DEL', ledger) end
    return pushed
  end
end
if fresh == 1 then
  redis.call('HSET', ledger, 'owner', owner, 'task', task, 'submitted', now)
  redis.call('SET', meta, record)
  redis.call('ZADD', owner_index, now, task_id)
end
return fresh
"""
)

_FINISH = """
local function finish(meta, ledger, retired, owner_prefix, task_id, record, state, ttl, keep, now)
  if ttl > 0 then
    redis.call('SET', meta, record, 'EX', ttl)
    redis.call('PEXPIRE', ledger, keep)
    redis.call('ZADD', retired, now + keep, task_id .. ' ' .. (redis.call('HGET', ledger, 'owner') or ''))
    -- Each job that ends takes two older ones out of their owner's index, so the indexes cannot grow for ever.
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', retired, '-inf', now, 'LIMIT', 0, 2)) do
      local id, owner = string.match(member, '^(%S+) (.*)$')
      redis.call('ZREM', owner_prefix .. owner, id)
      redis.call('ZREM', retired, member)
    end
  else
    redis.call('SET', meta, record)
  end
  redis.call('HSET', ledger, 'state', state)
  redis.call('PUBLISH', meta, record)
end
local final = {SUCCESS = true, FAILURE = true, REVOKED = true}
-- A stock worker ends a job in the record alone: it knows no ledger. Celery's JSON begins with the status.
local function known_state(meta, ledger)
  local state = redis.call('HGET', ledger, 'state')
  if state and final[state] then return state end
  local written = string.match(redis.call('GETRANGE', meta, 0, 40), '^{%s*"status":%s*"(%u+)"')
  return final[written or ''] and written or state
end
"""

#: Stores a state unless the job is final already. KEYS: meta, ledger, retired. ARGV: record, state, ttl (s),
#: keep (ms), now (ms), task id, the owner index's prefix, owner, task.
#: Returns {1 stored or 0 refused, the ledger's cancel request or '', the state before or ''}.
STORE = (
    _FINISH
    + """
local meta, ledger, retired = KEYS[1], KEYS[2], KEYS[3]
local record, state, ttl, keep, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local before = known_state(meta, ledger)
local cancel = redis.call('HGET', ledger, 'cancel') or ''
if before and final[before] then
  return {0, cancel, before}
end
if not before then
  -- Published by a client that is not ours: the first word we hear of it is its start.
  redis.call('HSET', ledger, 'owner', ARGV[8], 'task', ARGV[9], 'submitted', now)
  redis.call('ZADD', ARGV[7] .. ARGV[8], now, ARGV[6])
end
if final[state] then
  finish(meta, ledger, retired, ARGV[7], ARGV[6], record, state, ttl, keep, now)
else
  redis.call('SET', meta, record)
  redis.call('HSET', ledger, 'state', state)
  redis.call('PUBLISH', meta, record)
end
return {1, cancel, before or ''}
"""
)

#: Cancels: at once while nothing runs, else by a request the running job sees. KEYS and ARGV as STORE, the record
#: being the one to store when the job has not started.
#: Returns {'REVOKED' | 'REQUESTED' | 'FINAL' | 'UNKNOWN', the state before or ''}.
CANCEL = (
    _FINISH
    + """
local meta, ledger, retired = KEYS[1], KEYS[2], KEYS[3]
local record, ttl, keep, now = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local state = known_state(meta, ledger)
if not state then return {'UNKNOWN', ''} end
if final[state] then return {'FINAL', state} end
if state == 'PENDING' or state == 'RETRY' then
  finish(meta, ledger, retired, ARGV[7], ARGV[6], record, 'REVOKED', ttl, keep, now)
  return {'REVOKED', state}
end
redis.call('HSET', ledger, 'cancel', now)
return {'REQUESTED', state}
"""
)
