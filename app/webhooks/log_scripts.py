"""The Lua scripts of the delivery log, each one atomic step on the result database.

=======================================  ======  ======================================================
key, after the prefix                    type    holds
=======================================  ======  ======================================================
``taskgate-webhook-<id>``                hash    a delivery: owner, task_id, url, event, created, status,
                                                 round, tries, next_try
``taskgate-webhook-attempts-<id>``       list    its newest attempts as JSON
``taskgate-webhooks-log-<owner>``        zset    an owner's deliveries by the time they were made (ms)
``taskgate-webhooks-pending-<owner>``    zset    those that go on, by the time of the last word on them (ms)
``taskgate-webhooks-over-<owner>``       zset    those that are over, by the time of that (ms)
``taskgate-webhooks-unpublished``        zset    whose task is to be published, by the time to do so (ms)
``taskgate-webhooks-sending-<owner>``    zset    that are being sent, by the time they are over at the latest
``taskgate-webhooks-slow-<owner>``       string  there while the owner's receivers keep workers waiting
=======================================  ======  ======================================================

A delivery's id is made of the task id, so that one job has one delivery, whoever makes it and however often.
"""

#: ARGV ends with: how long the log is kept (ms), how many deliveries of an owner that are over it has, the prefix.
_LOG = """
local prefix, most_over, kept = ARGV[#ARGV], tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV - 2])
local unpublished = prefix .. 'taskgate-webhooks-unpublished'

local function row_of(id) return prefix .. 'taskgate-webhook-' .. id end
local function attempts_of(id) return prefix .. 'taskgate-webhook-attempts-' .. id end
local function log_of(owner) return prefix .. 'taskgate-webhooks-log-' .. owner end
local function pending_of(owner) return prefix .. 'taskgate-webhooks-pending-' .. owner end
local function over_of(owner) return prefix .. 'taskgate-webhooks-over-' .. owner end

-- Nothing is known any more of what has not been spoken of for as long as the log is kept. Some at a time, since each
-- that comes takes some of those that go.
local function forget(owner, index, now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now - kept, 'LIMIT', 0, 10)) do
    redis.call('ZREM', index, id)
    redis.call('ZREM', log_of(owner), id)
  end
end

local function add(id, owner, now, ...)
  redis.call('HSET', row_of(id), 'owner', owner, 'created', now, ...)
  redis.call('ZADD', log_of(owner), now, id)
end

local function begin(id, owner, now)
  redis.call('HSET', row_of(id), 'status', 'pending', 'tries', 0, 'next_try', now)
  redis.call('HINCRBY', row_of(id), 'round', 1)
  redis.call('PEXPIRE', row_of(id), kept)
  redis.call('PEXPIRE', attempts_of(id), kept)
  redis.call('ZREM', over_of(owner), id)
  redis.call('ZADD', pending_of(owner), now, id)
  redis.call('ZADD', unpublished, now, id)
  for _, index in ipairs({log_of(owner), pending_of(owner)}) do redis.call('PEXPIRE', index, kept) end
end
"""

#: Makes deliveries of what is owed, and claims those to be published, so that no other worker publishes them too.
#: ARGV: 1 how many at the most, 2 now (ms), 3 for how long they are claimed (ms), 4 how many of an owner may go on,
#: and as _LOG. Returns {id, round, id, round, …}.
CLAIM = (
    _LOG
    + """
local most, now, claim, most_pending = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local due = prefix .. 'taskgate-webhooks-due'
for _, owner in ipairs(redis.call('SRANDMEMBER', due, 20)) do
  local owed = due .. '-' .. owner
  forget(owner, pending_of(owner), now)
  local room = math.min(most, most_pending - redis.call('ZCARD', pending_of(owner)))
  for _, task_id in ipairs(room > 0 and redis.call('ZRANGE', owed, 0, room - 1) or {}) do
    local id = 'msg_' .. redis.sha1hex(task_id)
    local url = redis.call('HGET', prefix .. 'taskgate-job-' .. task_id, 'webhook')
    if url and redis.call('EXISTS', row_of(id)) == 0 then
      add(id, owner, redis.call('ZSCORE', owed, task_id), 'event', 'job', 'task_id', task_id, 'url', url)
      begin(id, owner, now)
    end
    redis.call('ZREM', owed, task_id)
  end
  if redis.call('ZCARD', owed) == 0 then redis.call('SREM', due, owner) end
end
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', unpublished, '-inf', now, 'LIMIT', 0, most)) do
  local round = redis.call('HGET', row_of(id), 'round')
  if round then
    redis.call('ZADD', unpublished, now + claim, id)
    claimed[#claimed + 1] = id
    claimed[#claimed + 1] = round
  else
    redis.call('ZREM', unpublished, id)
  end
end
return claimed
"""
)

#: Starts a delivery that a client asks for, or starts one anew that is over. ARGV: 1 id, 2 owner, 3 now (ms), 4 how
#: many of an owner may go on, 5 the address, or '' to start anew, and as _LOG. Returns 'STARTED', 'FULL', 'PENDING'
#: or 'UNKNOWN'.
START = (
    _LOG
    + """
local id, owner, now, url = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
if url == '' and redis.call('HGET', row_of(id), 'owner') ~= owner then return 'UNKNOWN' end
if url == '' and redis.call('HGET', row_of(id), 'status') == 'pending' then return 'PENDING' end
forget(owner, pending_of(owner), now)
if redis.call('ZCARD', pending_of(owner)) >= tonumber(ARGV[4]) then return 'FULL' end
if url ~= '' then add(id, owner, now, 'event', 'test', 'url', url) end
begin(id, owner, now)
return 'STARTED'
"""
)

#: Keeps what came of an attempt. ARGV: 1 id, 2 owner, 3 now (ms), 4 the attempt, 5 the status now, 6 when the next
#: one is (ms) or '', 7 how many attempts are kept, and as _LOG. Returns how many tries this round has had, 0 when the
#: delivery is not known any more.
NOTE = (
    _LOG
    + """
local id, owner, now, status, next_try = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5], ARGV[6]
if redis.call('EXISTS', row_of(id)) == 0 then return 0 end
redis.call('RPUSH', attempts_of(id), ARGV[4])
redis.call('LTRIM', attempts_of(id), -ARGV[7], -1)
redis.call('HSET', row_of(id), 'status', status, 'next_try', next_try)
if status == 'pending' then
  redis.call('ZADD', pending_of(owner), now, id)
else
  redis.call('ZREM', pending_of(owner), id)
  redis.call('ZADD', over_of(owner), now, id)
  forget(owner, over_of(owner), now)
  while redis.call('ZCARD', over_of(owner)) > most_over do
    local oldest = redis.call('ZPOPMIN', over_of(owner))[1]
    redis.call('DEL', row_of(oldest), attempts_of(oldest))
    redis.call('ZREM', log_of(owner), oldest)
  end
end
local spoken_of = {row_of(id), attempts_of(id), log_of(owner), pending_of(owner), over_of(owner)}
for _, key in ipairs(spoken_of) do redis.call('PEXPIRE', key, kept) end
if redis.call('EXISTS', row_of(id)) == 0 then return 0 end
return redis.call('HINCRBY', row_of(id), 'tries', 1)
"""
)

#: Whether one more of an owner's may be sent now. ARGV: 1 id, 2 owner, 3 now (ms), 4 when it is over at the latest
#: (ms), 5 how many at a time, 6 how many while they are slow, prefix. Returns 1 or 0.
ENTER = """
local owner, now, prefix = ARGV[2], tonumber(ARGV[3]), ARGV[#ARGV]
local sending = prefix .. 'taskgate-webhooks-sending-' .. owner
redis.call('ZREMRANGEBYSCORE', sending, '-inf', now)
local slow = redis.call('EXISTS', prefix .. 'taskgate-webhooks-slow-' .. owner) == 1
local is_full = redis.call('ZCARD', sending) >= tonumber(slow and ARGV[6] or ARGV[5])
-- What is there already was being sent by a worker that has died.
if is_full and not redis.call('ZSCORE', sending, ARGV[1]) then return 0 end
redis.call('ZADD', sending, ARGV[4], ARGV[1])
redis.call('PEXPIREAT', sending, ARGV[4])
return 1
"""

#: It has been sent. ARGV: 1 id, 2 owner, 3 for how long its owner counts as slow (ms), 0 for not, prefix.
LEAVE = """
local prefix = ARGV[#ARGV]
redis.call('ZREM', prefix .. 'taskgate-webhooks-sending-' .. ARGV[2], ARGV[1])
if tonumber(ARGV[3]) > 0 then redis.call('SET', prefix .. 'taskgate-webhooks-slow-' .. ARGV[2], 1, 'PX', ARGV[3]) end
"""
