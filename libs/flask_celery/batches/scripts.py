"""The Lua scripts of batches: opened, filled, sealed, cancelled; each one atomic step on the result database.

A batch is filled by one request at a time. Each that takes it up, the first one or one that finishes what another has
left half-way, has a greater *attempt*, and what an earlier attempt still says is refused. It has the batch for
``LEASE`` after its last word, so that a repetition waits for a request that is alive and takes over from a dead one.

What is kept of a batch is listed in ``keys``. Its hash counts its jobs by state, in the steps that store these
(``BOOKS``).
"""

#: Seconds after an attempt's last word for which nobody else takes the batch up.
LEASE = 3.0

OPENED = b"OPENED"  # a new batch
RESUMED = b"RESUMED"  # a known one that nobody has sealed
REPLAY = b"REPLAY"  # a known one that is sealed
BUSY = b"BUSY"  # somebody else is filling it
CONFLICT = b"CONFLICT"  # the idempotency key belongs to something else
EXPIRED = b"EXPIRED"  # the idempotency key's batch is not known any more
FILLED = b"FILLED"
SEALED = b"SEALED"
TAKEN_OVER = b"TAKEN_OVER"  # a later attempt has the batch
CANCELLED = b"CANCELLED"  # it has been cancelled
FINAL = b"FINAL"  # it is over
UNKNOWN = b"UNKNOWN"

#: Where the parts of a batch are. Wants ``records``, the prefix of the records' keys.
NAMES = """
local function batch_key(id) return records .. 'taskgate-batch-' .. id end
local function batch_part(id, part) return records .. 'taskgate-batch-' .. part .. '-' .. id end
local function tell_watchers(id) redis.call('PUBLISH', records .. 'celery-task-meta-taskgate-batch-' .. id, '') end
"""

_COUNTED = """
local counted = {
  PENDING = true, STARTED = true, PROGRESS = true, RETRY = true, SUCCESS = true, FAILURE = true, REVOKED = true
}
local function counted_as(state) return counted[state or ''] and state or 'PROGRESS' end
"""

_CLOSE = (
    NAMES
    + """
-- Sees whether the batch is over; from then on what is known of it has an end, but for what its `then` needs until
-- that is submitted. Returns the batch's id when that is now, or ''.
local function close_batch(id, ttl, keep, now)
  local batch = batch_key(id)
  local known = redis.call('HMGET', batch, 'unfinished', 'sealed', 'finished', 'then', 'cancelled', 'owner')
  if known[1] ~= '0' or not known[2] or known[3] then return '' end
  redis.call('HSET', batch, 'finished', now)
  local is_due = known[4] and not known[5]
  if is_due then
    redis.call('ZADD', records .. 'taskgate-batches-due', now, id)
  else
    redis.call('DEL', batch_part(id, 'then'))
  end
  if ttl > 0 then
    redis.call('HSET', batch, 'expires', now + ttl * 1000)
    redis.call('PEXPIRE', batch, keep)
    for _, part in ipairs({'jobs', 'others'}) do redis.call('PEXPIRE', batch_part(id, part), ttl * 1000) end
    redis.call('ZADD', records .. 'taskgate-batches-retired', now + keep, id .. ' ' .. known[6])
  end
  tell_watchers(id)
  return is_due and id or ''
end
"""
)

#: What the scripts that store a job's states do for its batch. Wants ``records`` and ``ledger``. A function costs its
#: making each time that a script runs, so what few jobs need is made in there.
BOOKS = (
    """
-- The state of a job, of whose ledger this is known, is about to change, or its end has come in whatever state it is.
-- It leaves the batch's books once, since its ledger forgets the batch then. Watchers are told of what is not the end
-- twice a second at the most. Returns the batch's id when its `then` is to be submitted, or ''.
local function tell_batch(job, state, has_ended, ttl, keep, now)
  local id, due = job.batch, ''
  if not id then return due end
"""
    + _CLOSE
    + _COUNTED
    + """
  local batch, before, after = batch_key(id), counted_as(job.state), counted_as(state)
  if (before == after and not has_ended) or redis.call('EXISTS', batch) == 0 then return due end
  redis.call('HINCRBY', batch, before, -1)
  redis.call('HINCRBY', batch, after, 1)
  if has_ended then
    redis.call('HDEL', ledger, 'batch')
    redis.call('HINCRBY', batch, 'unfinished', -1)
    due = close_batch(id, ttl, keep, now)
  end
  local told = tonumber(redis.call('HGET', batch, 'told') or 0)
  if now - told >= 500 or told > now then
    redis.call('HSET', batch, 'told', now)
    tell_watchers(id)
  end
  return due
end

-- The job was not accepted after all.
local function leave_batch(task_id)
  local id, state = unpack(redis.call('HMGET', ledger, 'batch', 'state'))
  if not id then return end
"""
    + NAMES
    + _COUNTED
    + """
  if redis.call('EXISTS', batch_key(id)) == 0 then return end
  redis.call('HINCRBY', batch_key(id), counted_as(state), -1)  -- it may have been started all the same
  redis.call('HINCRBY', batch_key(id), 'unfinished', -1)
  redis.call('ZREM', batch_part(id, 'jobs'), task_id)
end
"""
)

#: What the scripts that accept a batch's jobs share. Wants ``records``.
FILLING = (
    NAMES
    + f"""
local function server_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function hold(batch) redis.call('HSET', batch, 'busy', server_ms() + {LEASE * 1000:.0f}) end

-- Returns why the batch takes no more jobs of this attempt, or nil.
local function refusal(id, attempt)
  local known = redis.call('HMGET', batch_key(id), 'attempt', 'cancelled')
  if known[1] ~= attempt then return 'TAKEN_OVER' end
  if known[2] then return 'CANCELLED' end
end
"""
)

_SCRIPT = "local records = ARGV[#ARGV]\n" + FILLING

#: Begins a batch, or takes up the one that an idempotency key names. ARGV: 1 its id, 2 owner, 3 submitted (ms),
#: 4 how many items, 5 the task of `then` or '', 6 its task id, 7 its message's copy, 8 the idempotency key's digest
#: or '', 9 fingerprint, 10 how long the key is known (s), 11 for how long a batch is kept that nobody seals (ms),
#: 12 who is told of the end of `then` or '', prefix.
#: Returns {answer, the batch's id, the attempt or the milliseconds for which somebody else has it}.
OPEN = (
    _SCRIPT
    + """
local id, owner, submitted, unsealed_for = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[11])
local fingerprint, key = ARGV[9], nil
if ARGV[8] ~= '' then
  key = records .. 'taskgate-idempotency-' .. ARGV[8]
  local earlier = redis.call('GET', key)
  if earlier then
    id = string.sub(earlier, #fingerprint + 2)
    if string.sub(earlier, 1, #fingerprint) ~= fingerprint then return {'CONFLICT', id, 0} end
    local batch = batch_key(id)
    if redis.call('EXISTS', batch) == 0 then return {'EXPIRED', id, 0} end
    if redis.call('HEXISTS', batch, 'sealed') == 1 then return {'REPLAY', id, 0} end
    local left = tonumber(redis.call('HGET', batch, 'busy')) - server_ms()
    if left > 0 then return {'BUSY', id, left} end
    hold(batch)
    return {'RESUMED', id, redis.call('HINCRBY', batch, 'attempt', 1)}
  end
end
local batch, retired = batch_key(id), records .. 'taskgate-batches-retired'
redis.call('HSET', batch, 'owner', owner, 'submitted', submitted, 'total', ARGV[4], 'attempt', 1, 'unfinished', 0)
redis.call('PEXPIRE', batch, unsealed_for)
hold(batch)
if ARGV[5] ~= '' then
  redis.call('HSET', batch, 'then', ARGV[5], 'then_id', ARGV[6], 'webhook', ARGV[12])
  redis.call('SET', batch_part(id, 'then'), ARGV[7], 'PX', unsealed_for)
end
if key then
  redis.call('HSET', batch, 'key', ARGV[8])
  redis.call('SET', key, fingerprint .. ' ' .. id, 'EX', ARGV[10])
end
redis.call('ZADD', records .. 'taskgate-batches-' .. owner, submitted, id)
-- Each that comes takes two that are over out of their owner's index, as with jobs.
redis.call('ZADD', retired, submitted + unsealed_for, id .. ' ' .. owner)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', retired, '-inf', submitted, 'LIMIT', 0, 2)) do
  local old, former_owner = string.match(member, '^(%S+) (.*)$')
  redis.call('ZREM', records .. 'taskgate-batches-' .. former_owner, old)
  redis.call('ZREM', retired, member)
end
return {'OPENED', id, 1}
"""
)

_CLOSING = (
    "local records = ARGV[#ARGV]\n"
    + _CLOSE
    + """
local function seal(id, owner)
  redis.call('HSET', batch_key(id), 'sealed', 1)
  for _, kept in ipairs({batch_key(id), batch_part(id, 'jobs'), batch_part(id, 'then')}) do
    redis.call('PERSIST', kept)
  end
  redis.call('ZREM', records .. 'taskgate-batches-retired', id .. ' ' .. owner)
end
"""
)

#: All items have been looked at. ARGV: 1 the batch, 2 attempt, 3 ttl (s), 4 keep (ms), 5 now (ms), then a place and
#: an outcome for each item that became no job of the batch, prefix.
#: Returns {answer, the batch when its `then` is to be submitted or ''}.
SEAL = (
    _CLOSING
    + """
local id, others = ARGV[1], batch_part(ARGV[1], 'others')
local batch = batch_key(id)
local known = redis.call('HMGET', batch, 'attempt', 'owner', 'sealed')
if known[1] ~= ARGV[2] or known[3] then return {'TAKEN_OVER', ''} end
for at = 6, #ARGV - 1, 1000 do
  redis.call('HSET', others, unpack(ARGV, at, math.min(at + 999, #ARGV - 1)))
end
seal(id, known[2])
return {'SEALED', close_batch(id, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))}
"""
)

#: Nothing of the batch was accepted, so there is none. ARGV: 1 the batch, 2 attempt, prefix.
ABANDON = (
    _CLOSING
    + """
local batch = batch_key(ARGV[1])
local known = redis.call('HMGET', batch, 'attempt', 'owner', 'sealed', 'key', 'unfinished')
if known[1] ~= ARGV[2] or known[3] or redis.call('EXISTS', batch_part(ARGV[1], 'jobs')) == 1 then return end
if known[4] then redis.call('DEL', records .. 'taskgate-idempotency-' .. known[4]) end
redis.call('DEL', batch, batch_part(ARGV[1], 'then'))
redis.call('ZREM', records .. 'taskgate-batches-' .. known[2], ARGV[1])
redis.call('ZREM', records .. 'taskgate-batches-retired', ARGV[1] .. ' ' .. known[2])
"""
)

#: Takes no more jobs, and does not submit `then`; its jobs are cancelled one by one. A batch that somebody has left
#: half-way is sealed by it. ARGV: 1 the batch, 2 ttl (s), 3 keep (ms), 4 now (ms), prefix.
#: Returns an answer: CANCELLED, FINAL or UNKNOWN.
CANCEL_BATCH = (
    _CLOSING
    + FILLING.replace(NAMES, "")
    + """
local batch = batch_key(ARGV[1])
if redis.call('EXISTS', batch) == 0 then return 'UNKNOWN' end
if redis.call('HEXISTS', batch, 'finished') == 1 then return 'FINAL' end
redis.call('HSETNX', batch, 'cancelled', ARGV[4])
if redis.call('HEXISTS', batch, 'sealed') == 0 and tonumber(redis.call('HGET', batch, 'busy')) < server_ms() then
  redis.call('HINCRBY', batch, 'attempt', 1)
  seal(ARGV[1], redis.call('HGET', batch, 'owner'))
end
close_batch(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
return 'CANCELLED'
"""
)
