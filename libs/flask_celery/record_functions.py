"""The functions of the Lua scripts that change what Redis holds about a job; how one ends, above all."""

from libs.flask_celery.batches.scripts import BOOKS
from libs.flask_celery.failure_script import NOTE_FAILURE
from libs.flask_celery.figures.counting import COUNTING
from libs.flask_celery.history.scripts import HISTORY
from libs.flask_celery.permits import STARTING
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
    + STARTING
    + """
-- What the ledger says that the scripts below need, in one step; false where it says nothing. What they change of it
-- they write themselves.
local function look()
  local it = redis.call('HMGET', ledger, 'state', 'cancel', 'publication', 'fence', 'deadline', 'expires', 'owner',
    'task', 'unique', 'batch', 'webhook', 'runs', 'events', 'events_bytes', 'found', 'claimed')
  return {
    state = it[1], cancel = it[2], publication = it[3], fence = it[4], deadline = it[5], expires = it[6],
    owner = it[7], task = it[8], unique = it[9], batch = it[10], webhook = it[11], runs = it[12], events = it[13],
    events_bytes = it[14], found = it[15], claimed = it[16]
  }
end

local function known_state(job)
  if job.state and final[job.state] then return job.state end
  local written = written_state()
  return final[written or ''] and written or job.state
end

-- The number of the last delivery of the job that has started, or may start without another word (``permits``).
local function latest_of(job) return math.max(job.fence or 0, job.claimed or 0) end

-- It has started: from now on it may not be too late for that.
local function has_started(job, task_id)
  if job.expires then
    redis.call('HDEL', ledger, 'expires')
    redis.call('ZREM', prefix .. 'taskgate-deadlines', 'start ' .. task_id)
  end
end

-- It is over: from now on it cannot be late for anything.
local function forget_deadlines(job, task_id)
  has_started(job, task_id)
  if job.deadline then
    redis.call('HDEL', ledger, 'deadline')
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
local function owe_webhook(job, task_id, now)
  local owner = job.owner or ''
  if owner == '' or not job.webhook then return end
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

-- The ledger says that the job is in this state, and how many events there were.
local function keep_state(job, state)
  if job.events then
    redis.call('HSET', ledger, 'state', state, 'events', job.events, 'events_bytes', job.events_bytes or 0)
  else
    redis.call('HSET', ledger, 'state', state)
  end
end

-- The job of whose ledger this is known ends; `took` is how many ms its last run took, or nil when none has ended it.
-- Returns the batch whose `then` is to be submitted now, or ''.
local function finish(job, task_id, record, state, ttl, keep, now, told, took)
  local due = tell_batch(job, state, true, ttl, keep, now)
  local owner, failed = job.owner or '', prefix .. 'taskgate-failed'
  local message = prefix .. 'taskgate-message-' .. task_id
  count_end(job.task or '', state, took)
  count_out(task_id, owner)
  owe_webhook(job, task_id, now)
  note_failure(task_id, state)
  if job.cancel or job.fence or job.claimed then redis.call('HDEL', ledger, 'cancel', 'fence', 'claimed') end
  if job.cancel then redis.call('ZREM', prefix .. 'taskgate-terminate', task_id) end
  forget_deadlines(job, task_id)
  if state == 'FAILURE' and redis.call('EXISTS', message) == 1 then
    redis.call('ZADD', failed, now, task_id)
    redis.call('ZREMRANGEBYRANK', failed, 0, -100001)
  end
  if ttl > 0 then
    redis.call('SET', meta, record, 'EX', ttl)
    -- What failed can be run again for as long as it is listed.
    redis.call('PEXPIRE', message, state == 'FAILURE' and keep or ttl * 1000)
    keep_claim(task_id, job.unique, ttl * 1000)
    retire(task_id, owner, keep, now)
  else
    redis.call('SET', meta, record)
  end
  tell(job, task_id, 'state', now, told, ttl * 1000)
  keep_state(job, state)
  redis.call('PUBLISH', meta, record)
  return due
end
"""
)
