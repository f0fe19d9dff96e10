"""The functions of the Lua scripts that change what Redis holds about a job; how one ends, above all."""

from libs.flask_celery.batches.scripts import BOOKS
from libs.flask_celery.failure_script import NOTE_FAILURE
from libs.flask_celery.figures.counting import COUNTING
from libs.flask_celery.history.scripts import HISTORY
from libs.flask_celery.serializers import STATUS
from libs.flask_celery.unique_scripts import KEPT

#: The states that nothing follows.
FINAL = "local final = {SUCCESS = true, FAILURE = true, REVOKED = true}\n"

#: At the head of each script, whose KEYS begin with meta and ledger and whose last argument is the keys' prefix.
RECORDS = (
    FINAL
    + STATUS
    + """
local prefix = ARGV[#ARGV]
local records = prefix
local meta, ledger = KEYS[1], KEYS[2]

-- A stock worker tells the record alone: it knows no ledger.
local function written_state() return status_at(meta) end
"""
    + BOOKS
    + HISTORY
    + COUNTING
    + KEPT
    + NOTE_FAILURE
    + """
local function known_state()
  local state = redis.call('HGET', ledger, 'state')
  if state and final[state] then return state end
  local written = written_state()
  return final[written or ''] and written or state
end

-- It has started: from now on it may not be too late for that.
local function has_started(task_id)
  if redis.call('HDEL', ledger, 'expires') == 1 then
    redis.call('ZREM', prefix .. 'taskgate-deadlines', 'start ' .. task_id)
  end
end

-- It is over: from now on it cannot be late for anything.
local function forget_deadlines(task_id)
  has_started(task_id)
  if redis.call('HDEL', ledger, 'deadline') == 1 then
    redis.call('ZREM', prefix .. 'taskgate-deadlines', 'end ' .. task_id, 'kill ' .. task_id)
  end
end

-- The job is no longer one that its owner waits for, nor one to put back in its queue should its message be lost.
local function count_out(task_id, owner)
  if redis.call('ZREM', prefix .. 'taskgate-unfinished', task_id) == 0 then return end
  local counts = prefix .. 'taskgate-unfinished-by-owner'
  if redis.call('HINCRBY', counts, owner, -1) <= 0 then redis.call('HDEL', counts, owner) end
end

-- Who asked to be told of the job's end is owed that from now on, once, whatever else is said of the job.
local function owe_webhook(task_id, owner, now)
  if owner == '' or redis.call('HEXISTS', ledger, 'webhook') == 0 then return end
  if redis.call('HSETNX', ledger, 'webhook_owed', now) == 0 then return end
  redis.call('SADD', prefix .. 'taskgate-webhooks-due', owner)
  redis.call('ZADD', prefix .. 'taskgate-webhooks-due-' .. owner, now, task_id)
end

-- From now on what is known of the job has an end. Each job that ends takes two older ones out of their indexes, so
-- that these cannot grow for ever. The id's length stands before it, since an id may hold anything.
local function retire(task_id, owner, keep, now)
  local retired = prefix .. 'taskgate-retired'
  redis.call('PEXPIRE', ledger, keep)
  redis.call('ZADD', retired, now + keep, #task_id .. ' ' .. task_id .. ' ' .. owner)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', retired, '-inf', now, 'LIMIT', 0, 2)) do
    local length, rest = string.match(member, '^(%d+) (.*)$')
    if length then
      local id, former_owner = string.sub(rest, 1, length), string.sub(rest, length + 2)
      redis.call('ZREM', prefix .. 'taskgate-owner-' .. former_owner, id)
      redis.call('ZREM', prefix .. 'taskgate-failed', id)
    end
    redis.call('ZREM', retired, member)
  end
end

-- Returns the batch whose `then` is to be submitted now, or ''.
local function finish(task_id, record, state, ttl, keep, now, told)
  local due = tell_batch(state, true, ttl, keep, now)
  local known = redis.call('HMGET', ledger, 'owner', 'unique', 'task')
  local owner, failed, message = known[1] or '', prefix .. 'taskgate-failed', prefix .. 'taskgate-message-' .. task_id
  count_end(known[3] or '', state)
  count_out(task_id, owner)
  owe_webhook(task_id, owner, now)
  note_failure(task_id, state)
  if redis.call('HDEL', ledger, 'cancel', 'fence') > 0 then
    redis.call('ZREM', prefix .. 'taskgate-terminate', task_id)
  end
  forget_deadlines(task_id)
  if state == 'FAILURE' and redis.call('EXISTS', message) == 1 then
    redis.call('ZADD', failed, now, task_id)
    redis.call('ZREMRANGEBYRANK', failed, 0, -100001)
  end
  if ttl > 0 then
    redis.call('SET', meta, record, 'EX', ttl)
    -- What failed can be run again for as long as it is listed.
    redis.call('PEXPIRE', message, state == 'FAILURE' and keep or ttl * 1000)
    keep_claim(task_id, known[2], ttl * 1000)
    retire(task_id, owner, keep, now)
  else
    redis.call('SET', meta, record)
  end
  redis.call('HSET', ledger, 'state', state)
  tell(task_id, 'state', now, told)
  redis.call('PUBLISH', meta, record)
  return due
end
"""
)
