"""The Lua script that accepts a job: its record and its message in one atomic step on the server.

It runs on the broker's connection and switches database for the record: the broker and the results usually are two
databases of one Redis, and a script may SELECT (its choice ends with the script, since Redis 2.8.12).

A job may be published more than once: each retry and each replacement (``Task.retry``, ``Task.replace``) is a new
*publication* with a greater number. A publication may be delivered more than once: each delivery has a greater
*fence*. Both stand in the ledger, so that what an overtaken run says is known for what it is.
"""

from libs.flask_celery.batches.scripts import FILLING
from libs.flask_celery.place_scripts import PLACES
from libs.flask_celery.record_functions import FINAL
from libs.flask_celery.unique_scripts import HELD

#: What ACCEPT may answer, beside what a batch answers that takes no more jobs (``batches.scripts``, ``refusal``). The
#: second element is a task id, or empty.
ACCEPTED = b"ACCEPTED"  # a new job
PUBLISHED = b"PUBLISHED"  # a further publication of a known job
KNOWN = b"KNOWN"  # this publication is there already; nothing was pushed
OVERTAKEN = b"OVERTAKEN"  # by a run that has been overtaken; nothing was pushed
REPLAY = b"REPLAY"  # the idempotency key's job, submitted earlier with the same content
CONFLICT = b"CONFLICT"  # the idempotency key's job had other content
RUNNING = b"RUNNING"  # a job of its unique task is under way: that one
OCCUPIED = b"OCCUPIED"  # and it is another owner's
QUEUE_FULL = b"QUEUE_FULL"
OWNER_FULL = b"OWNER_FULL"


#: Writes the record and pushes the message, or neither: Redis undoes nothing of a script that fails half-way, so the
#: push, the one step that can fail, comes before all but the claim on the id.
#: KEYS: 1 the queue's list, 2 … the queue's lists, counted against its limit.
#: ARGV: see ``acceptance.Publication.arguments``. Returns {answer, task id or ''}.
ACCEPT = (
    PLACES
    + FINAL
    + "local records = ARGV[6]\n"
    + FILLING
    + """
local message, broker_db, record_db, queue, eta = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local record_prefix, task_id, record, copy = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local submitted, owner, task = ARGV[10], ARGV[11], ARGV[12]
local publication, fence = tonumber(ARGV[13]), tonumber(ARGV[14])
local queue_limit, owner_limit = tonumber(ARGV[15]), tonumber(ARGV[16])
local idempotency, fingerprint, idempotency_ttl, first = ARGV[17], ARGV[18], ARGV[19], ARGV[20]
local start_by, end_by = tonumber(ARGV[21]), tonumber(ARGV[22])
local batch, attempt, place_in_batch = ARGV[23], ARGV[24], ARGV[25]
local webhook, unique = ARGV[26], ARGV[27]

local ledger = record_prefix .. 'taskgate-job-' .. task_id
local unfinished = record_prefix .. 'taskgate-unfinished'
local by_owner = record_prefix .. 'taskgate-unfinished-by-owner'

local queued = 0
if queue_limit > 0 then
  redis.call('SELECT', broker_db)
  for place = 2, #KEYS do queued = queued + redis.call('LLEN', KEYS[place]) end
end
redis.call('SELECT', record_db)

if batch ~= '' then
  local refused = refusal(batch, attempt)
  if refused then return {refused, ''} end
  hold(batch_key(batch))
end
if idempotency ~= '' then
  idempotency = record_prefix .. 'taskgate-idempotency-' .. idempotency
  local earlier = redis.call('GET', idempotency)
  if earlier then
    local same, id = string.sub(earlier, 1, #fingerprint) == fingerprint, string.sub(earlier, #fingerprint + 2)
    return {same and 'REPLAY' or 'CONFLICT', id}
  end
end
if unique ~= '' then
"""
    + HELD
    + """
  unique = record_prefix .. 'taskgate-unique-' .. unique
  local other = other_than(task_id, ledger, owner, unique)
  if other then return other end
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
  local known = redis.call('HMGET', ledger, 'publication', 'fence', 'state', 'claimed')
  if fence > 0 and fence < math.max(known[2] or 0, known[4] or 0) then return {'OVERTAKEN', ''} end
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
if not fresh then
  redis.call('PERSIST', ledger)  -- it may have been let go
  redis.call('PERSIST', record_prefix .. 'celery-task-meta-' .. task_id)
  return {'PUBLISHED', ''}
end
redis.call('HSET', ledger, 'owner', owner, 'task', task, 'submitted', submitted)
redis.call('HINCRBY', record_prefix .. 'taskgate-counts', 'accepted\\n' .. task, 1)
if start_by > 0 then
  redis.call('HSET', ledger, 'expires', ARGV[21])
  redis.call('ZADD', record_prefix .. 'taskgate-deadlines', start_by, 'start ' .. task_id)
end
if end_by > 0 then
  redis.call('HSET', ledger, 'deadline', ARGV[22])
  redis.call('ZADD', record_prefix .. 'taskgate-deadlines', end_by, 'end ' .. task_id)
end
if webhook ~= '' then redis.call('HSET', ledger, 'webhook', webhook) end
if unique ~= '' then
  redis.call('HSET', ledger, 'unique', ARGV[27])
  redis.call('SET', unique, task_id)
end
redis.call('SET', record_prefix .. 'celery-task-meta-' .. task_id, record)
redis.call('ZADD', record_prefix .. 'taskgate-owner-' .. owner, submitted, task_id)
if batch ~= '' then
  redis.call('HSET', ledger, 'batch', batch)
  redis.call('ZADD', batch_part(batch, 'jobs'), place_in_batch, task_id)
  redis.call('HINCRBY', batch_key(batch), 'PENDING', 1)
  redis.call('HINCRBY', batch_key(batch), 'unfinished', 1)
end
if idempotency ~= '' then redis.call('SET', idempotency, fingerprint .. ' ' .. task_id, 'EX', idempotency_ttl) end
return {'ACCEPTED', ''}
"""
)
