"""The Lua scripts that change what Redis holds about a job, each one atomic step on the server.

``ACCEPT`` runs on the broker's connection and switches database for the record: the broker and the results
usually are two databases of one Redis, and a script may SELECT (its choice ends with the script, since Redis
2.8.12). ``STORE``, ``CANCEL`` and ``LET_GO`` run on the result database.

A job may be published more than once: each retry and each replacement (``Task.retry``, ``Task.replace``) is a new
*publication* with a greater number. A publication may be delivered more than once: each delivery has a greater
*fence*. Both stand in the ledger, so that what an overtaken run says is known for what it is.
"""

from libs.flask_celery.place_scripts import PLACES

_FINAL = "local final = {SUCCESS = true, FAILURE = true, REVOKED = true}\n"

#: What ACCEPT may answer. The second element is a task id, or empty.
ACCEPTED = b"ACCEPTED"  # a new job
PUBLISHED = b"PUBLISHED"  # a further publication of a known job
KNOWN = b"KNOWN"  # this publication is there already; nothing was pushed
OVERTAKEN = b"OVERTAKEN"  # by a run that has been overtaken; nothing was pushed
REPLAY = b"REPLAY"  # the idempotency key's job, submitted earlier with the same content
CONFLICT = b"CONFLICT"  # the idempotency key's job had other content
QUEUE_FULL = b"QUEUE_FULL"
OWNER_FULL = b"OWNER_FULL"

#: What STORE answers when it has stored; else OVERTAKEN, or that the job is final.
STORED = b"STORED"

#: Writes the record and pushes the message, or neither: Redis undoes nothing of a script that fails half-way, so the
#: push, the one step that can fail, comes before all but the claim on the id.
#: KEYS: 1 the queue's list, 2 … the queue's lists, counted against its limit.
#: ARGV: see ``acceptance.Acceptance.arguments``. Returns {answer, task id or ''}.
ACCEPT = (
    PLACES
    + _FINAL
    + """
local message, broker_db, record_db, queue, eta = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local record_prefix, task_id, record, copy = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local submitted, owner, task = ARGV[10], ARGV[11], ARGV[12]
local publication, fence = tonumber(ARGV[13]), tonumber(ARGV[14])
local queue_limit, owner_limit = tonumber(ARGV[15]), tonumber(ARGV[16])
local idempotency, fingerprint, idempotency_ttl, first = ARGV[17], ARGV[18], ARGV[19], ARGV[20]

local ledger = record_prefix .. 'taskgate-job-' .. task_id
local unfinished = record_prefix .. 'taskgate-unfinished'
local by_owner = record_prefix .. 'taskgate-unfinished-by-owner'

local queued = 0
if queue_limit > 0 then
  redis.call('SELECT', broker_db)
  for place = 2, #KEYS do queued = queued + redis.call('LLEN', KEYS[place]) end
end
redis.call('SELECT', record_db)

if idempotency ~= '' then
  idempotency = record_prefix .. 'taskgate-idempotency-' .. idempotency
  local earlier = redis.call('GET', idempotency)
  if earlier then
    local same, id = string.sub(earlier, 1, #fingerprint) == fingerprint, string.sub(earlier, #fingerprint + 2)
    return {same and 'REPLAY' or 'CONFLICT', id}
  end
end
if queue_limit > 0 and queued >= queue_limit then return {'QUEUE_FULL', ''} end
if owner_limit > 0 and tonumber(redis.call('HGET', by_owner, owner) or 0) >= owner_limit then
  return {'OWNER_FULL', ''}
end

local fresh = redis.call('HSETNX', ledger, 'state', 'PENDING') == 1
if not fresh and redis.call('HDEL', ledger, 'withdrawn') == 1 then
  fresh = true
  redis.call('PERSIST', ledger)
  redis.call('HSET', ledger, 'state', 'PENDING')
end
if not fresh then
  local known = redis.call('HMGET', ledger, 'publication', 'fence', 'state')
  if fence > 0 and fence < tonumber(known[2] or 0) then return {'OVERTAKEN', ''} end
  if publication <= tonumber(known[1] or 0) or final[known[3]] then return {'KNOWN', ''} end
end
if message ~= '' then
  redis.call('SELECT', broker_db)
  local pushed = put(KEYS[1], queue, task_id, message, eta, first)
  redis.call('SELECT', record_db)
  if type(pushed) == 'table' and pushed.err then
    if fresh then redis.call('DEL', ledger) end
    return pushed
  end
end
if message == '' then redis.call('ZADD', record_prefix .. 'taskgate-unpublished', submitted, task_id) end
redis.call('SET', record_prefix .. 'taskgate-message-' .. task_id, copy)
if redis.call('ZADD', unfinished, 'NX', submitted, task_id) == 1 then
  redis.call('HINCRBY', by_owner, owner, 1)
end
if publication > 0 then redis.call('HSET', ledger, 'publication', publication) end
if not fresh then return {'PUBLISHED', ''} end
redis.call('HSET', ledger, 'owner', owner, 'task', task, 'submitted', submitted)
redis.call('SET', record_prefix .. 'celery-task-meta-' .. task_id, record)
redis.call('ZADD', record_prefix .. 'taskgate-owner-' .. owner, submitted, task_id)
if idempotency ~= '' then redis.call('SET', idempotency, fingerprint .. ' ' .. task_id, 'EX', idempotency_ttl) end
return {'ACCEPTED', ''}
"""
)

#: The functions of the scripts below. The last argument is the prefix of the records' keys.
_RECORDS = (
    _FINAL
    + """
local prefix = ARGV[#ARGV]
local meta, ledger = KEYS[1], KEYS[2]

-- A stock worker ends a job in the record alone: it knows no ledger. Celery's JSON begins with the status.
local function known_state()
  local state = redis.call('HGET', ledger, 'state')
  if state and final[state] then return state end
  local written = string.match(redis.call('GETRANGE', meta, 0, 40), '^{%s*"status":%s*"(%u+)"')
  return final[written or ''] and written or state
end

-- The job is no longer one that its owner waits for, nor one to put back in its queue should its message be lost.
local function count_out(task_id, owner)
  if redis.call('ZREM', prefix .. 'taskgate-unfinished', task_id) == 0 then return end
  local counts = prefix .. 'taskgate-unfinished-by-owner'
  if redis.call('HINCRBY', counts, owner, -1) <= 0 then redis.call('HDEL', counts, owner) end
end

local function finish(task_id, record, state, ttl, keep, now)
  local owner = redis.call('HGET', ledger, 'owner') or ''
  local retired, failed = prefix .. 'taskgate-retired', prefix .. 'taskgate-failed'
  local message = prefix .. 'taskgate-message-' .. task_id
  count_out(task_id, owner)
  if redis.call('HDEL', ledger, 'cancel', 'fence') > 0 then
    redis.call('ZREM', prefix .. 'taskgate-terminate', task_id)
  end
  if state == 'FAILURE' and redis.call('EXISTS', message) == 1 then
    redis.call('ZADD', failed, now, task_id)
    redis.call('ZREMRANGEBYRANK', failed, 0, -100001)
  end
  if ttl > 0 then
    redis.call('SET', meta, record, 'EX', ttl)
    redis.call('PEXPIRE', ledger, keep)
    -- What failed can be run again for as long as it is listed.
    redis.call('PEXPIRE', message, state == 'FAILURE' and keep or ttl * 1000)
    redis.call('ZADD', retired, now + keep, task_id .. ' ' .. owner)
    -- Each job that ends takes two older ones out of their indexes, so that these cannot grow for ever.
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', retired, '-inf', now, 'LIMIT', 0, 2)) do
      local id, former_owner = string.match(member, '^(%S+) (.*)$')
      redis.call('ZREM', prefix .. 'taskgate-owner-' .. former_owner, id)
      redis.call('ZREM', failed, id)
      redis.call('ZREM', retired, member)
    end
  else
    redis.call('SET', meta, record)
  end
  redis.call('HSET', ledger, 'state', state)
  redis.call('PUBLISH', meta, record)
end
"""
)

#: Stores a state unless the job is final already, or the run that says it has been overtaken.
#: KEYS: meta, ledger. ARGV: 1 task id, 2 record, 3 state, 4 ttl (s), 5 keep (ms), 6 now (ms), 7 owner, 8 task,
#: 9 the run's publication or '' for a word from outside of a run, 10 its fence (0: its broker gives none), prefix.
#: Returns {'STORED' | 'FINAL' | 'OVERTAKEN', the ledger's cancel request or '', the state before or ''}.
STORE = (
    _RECORDS
    + """
local task_id, record, state, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
local before = known_state()
local known = redis.call('HMGET', ledger, 'cancel', 'publication', 'fence')
local cancel, newest, latest = known[1] or '', tonumber(known[2] or 0), tonumber(known[3] or 0)
local publication, fence = tonumber(ARGV[9]), tonumber(ARGV[10])
if before and final[before] then return {'FINAL', cancel, before} end
if publication then
  -- The message of a run that has published its successor is a remainder, whoever delivers it.
  if state == 'STARTED' and publication < newest then return {'OVERTAKEN', cancel, before} end
  if fence > 0 and fence < latest then return {'OVERTAKEN', cancel, before} end
end
if not before then
  -- Published by a client that is not ours: the first word we hear of it is its start.
  redis.call('HSET', ledger, 'owner', ARGV[7], 'task', ARGV[8], 'submitted', now)
  redis.call('ZADD', prefix .. 'taskgate-owner-' .. ARGV[7], now, task_id)
end
if final[state] then
  finish(task_id, record, state, tonumber(ARGV[4]), tonumber(ARGV[5]), now)
else
  redis.call('SET', meta, record)
  redis.call('HSET', ledger, 'state', state)
  if publication and publication > newest then redis.call('HSET', ledger, 'publication', publication) end
  if fence > latest then redis.call('HSET', ledger, 'fence', string.format('%.0f', fence)) end
  redis.call('PUBLISH', meta, record)
end
return {'STORED', cancel, before or ''}
"""
)

#: Cancels: at once while nothing runs, else by a request the running job sees. KEYS: meta, ledger. ARGV: 1 task id,
#: 2 the record to store when the job has not started, 3 ttl (s), 4 keep (ms), 5 now (ms), 6 '1' to have a run's
#: process ended that does not listen, prefix.
#: Returns {'REVOKED' | 'REQUESTED' | 'FINAL' | 'UNKNOWN', the state before or ''}.
CANCEL = (
    _RECORDS
    + """
local task_id, record, now = ARGV[1], ARGV[2], tonumber(ARGV[5])
local state = known_state()
if not state then return {'UNKNOWN', ''} end
if final[state] then return {'FINAL', state} end
if state == 'PENDING' or state == 'RETRY' then
  finish(task_id, record, 'REVOKED', tonumber(ARGV[3]), tonumber(ARGV[4]), now)
  return {'REVOKED', state}
end
redis.call('HSET', ledger, 'cancel', now)
if ARGV[6] == '1' then redis.call('ZADD', prefix .. 'taskgate-terminate', now, task_id) end
return {'REQUESTED', state}
"""
)

#: The job's message is about to be acknowledged for good although the job is not final. KEYS: meta, ledger.
#: ARGV: 1 task id, 2 the publication that is acknowledged, prefix.
LET_GO = (
    _RECORDS
    + """
local known = redis.call('HMGET', ledger, 'owner', 'publication')
if tonumber(ARGV[2]) >= tonumber(known[2] or 0) then count_out(ARGV[1], known[1] or '') end
"""
)

#: Takes back a job whose publish failed, so that its id is unknown again. Its message may have arrived all the same,
#: so for a while the ledger goes on saying that it must not run. KEYS: meta, ledger.
#: ARGV: 1 task id, 2 the idempotency key or '', 3 for how long (ms), prefix.
WITHDRAW = (
    _RECORDS
    + """
local owner = redis.call('HGET', ledger, 'owner') or ''
count_out(ARGV[1], owner)
redis.call('ZREM', prefix .. 'taskgate-owner-' .. owner, ARGV[1])
redis.call('ZREM', prefix .. 'taskgate-unpublished', ARGV[1])
redis.call('DEL', meta, ledger, prefix .. 'taskgate-message-' .. ARGV[1])
redis.call('HSET', ledger, 'state', 'REVOKED', 'withdrawn', 1)
redis.call('PEXPIRE', ledger, ARGV[3])
if ARGV[2] ~= '' then redis.call('DEL', prefix .. 'taskgate-idempotency-' .. ARGV[2]) end
"""
)
