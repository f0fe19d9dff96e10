"""The Lua scripts that change what Redis holds about an accepted job, each one atomic step on the result database."""

from libs.flask_celery.record_functions import RECORDS

#: What STORE answers when it has stored; else OVERTAKEN as ACCEPT, or that the job is final.
STORED = b"STORED"

#: Stores a state unless the job is final already, or the run that says it has been overtaken.
#: KEYS: meta, ledger. ARGV: 1 task id, 2 record, 3 state, 4 ttl (s), 5 keep (ms), 6 now (ms), 7 owner, 8 task,
#: 9 the run's publication or '' for a word from outside of a run, 10 its fence (0: its broker gives none),
#: 11 how long the run has taken (ms), or with STARTED how long the job has waited, or '', 12 what is told of the
#: state, JSON, 13 what is told of progress, or '', 14 when the run began (ms) where nothing has been stored of that
#: (``permits``), or '', 15 how long the job has waited until then (ms), or '', 16 what is told of it, JSON, prefix.
#: Returns {'STORED' | 'FINAL' | 'OVERTAKEN', the ledger's cancel request or '', the state before or '', the batch
#: whose `then` is to be submitted now or ''}.
STORE = (
    RECORDS
    + """
local task_id, record, state, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
-- A full Redis refuses a script's first write when it needs memory, so the first one deletes: how a job ended is
-- stored for all that; refused, it would be run again and again.
redis.call('HDEL', ledger, 'found')
local job = look()
local before = known_state(job)
local cancel, newest, latest = job.cancel or '', tonumber(job.publication or 0), latest_of(job)
-- Also before anybody has looked for what is overdue. By the server's clock, as they look.
if job.deadline and tonumber(job.deadline) <= redis.call('TIME')[1] * 1000 then cancel = job.deadline end
local publication, fence = tonumber(ARGV[9]), tonumber(ARGV[10])
if before and final[before] then return {'FINAL', cancel, before, ''} end
if publication then
  -- The message of a run that has published its successor is a remainder, whoever delivers it.
  if state == 'STARTED' and publication < newest then return {'OVERTAKEN', cancel, before, ''} end
  if fence > 0 and fence < latest then return {'OVERTAKEN', cancel, before, ''} end
end
if not before then
  -- Published by a client that is not ours: the first word we hear of it is its start.
  job.owner, job.task = ARGV[7], ARGV[8]
  redis.call('HSET', ledger, 'owner', job.owner, 'task', job.task, 'submitted', now)
  redis.call('ZADD', prefix .. 'taskgate-owner-' .. job.owner, now, task_id)
end
local due, took, runs = '', tonumber(ARGV[11]), nil
local begun, waited = tonumber(ARGV[14]), tonumber(ARGV[15])
if state == 'STARTED' then begun, waited, took = nil, took, nil end
if begun or (state == 'STARTED' and (fence == 0 or fence > tonumber(job.fence or 0))) then
  runs = (job.runs or 0) + 1
  count_begin(ARGV[8], before, runs, waited)
end
if begun then tell(job, task_id, 'state', begun, ARGV[16]) end
if final[state] then
  if state == 'SUCCESS' and took then
    local times = prefix .. 'taskgate-run-times'
    local mean = redis.call('HGET', times, ARGV[8])
    local moved = whole(mean and mean + (took - mean) / 5 or took)
    if moved ~= mean then redis.call('HSET', times, ARGV[8], moved) end
  end
  if took and not job.task then job.task = ARGV[8] end
  if runs then redis.call('HSET', ledger, 'runs', whole(runs)) end
  due = finish(job, task_id, record, state, tonumber(ARGV[4]), tonumber(ARGV[5]), now, ARGV[12], took)
else
  tell_batch(job, state, false, 0, 0, now)
  redis.call('SET', meta, record)
  if publication then has_started(job, task_id) end
  local news = {}
  if publication and publication > newest then news = {'publication', publication} end
  if runs then news[#news + 1], news[#news + 2] = 'runs', whole(runs) end
  if state == 'RETRY' and took then count_run(ARGV[8], 0, state) end
  if fence > tonumber(job.fence or 0) then news[#news + 1], news[#news + 2] = 'fence', whole(fence) end
  if #news > 0 then redis.call('HSET', ledger, unpack(news)) end
  if job.claimed then redis.call('HDEL', ledger, 'claimed') end
  if ARGV[13] == '' or before ~= state then tell(job, task_id, 'state', now, ARGV[12], 0) end
  if ARGV[13] ~= '' then tell(job, task_id, 'progress', now, ARGV[13], 0) end
  keep_state(job, state)
  redis.call('PUBLISH', meta, record)
end
return {'STORED', cancel, before or '', due}
"""
)

#: Cancels: at once while nothing runs, else by a request the running job sees. KEYS: meta, ledger. ARGV: 1 task id,
#: 2 the record to store when the job has not started, 3 ttl (s), 4 keep (ms), 5 now (ms), 6 '1' to have a run's
#: process ended that does not listen, 7 '1' to leave alone what has started ever, 8 what is told of the state, JSON,
#: prefix.
#: Returns {'REVOKED' | 'REQUESTED' | 'STARTED' | 'FINAL' | 'UNKNOWN', the state before or '', the batch whose `then`
#: is to be submitted now or ''}.
CANCEL = (
    RECORDS
    + """
local task_id, record, now = ARGV[1], ARGV[2], tonumber(ARGV[5])
local job = look()
local state = known_state(job)
if not state then return {'UNKNOWN', '', ''} end
if final[state] then return {'FINAL', state, ''} end
if ARGV[7] == '1' and (not job.expires or written_state() ~= 'PENDING') then
  return {'STARTED', state, ''}
end
-- What a worker is about to start without another word runs, as good as.
if is_starting(job) then state = 'STARTED' end
if state == 'PENDING' or state == 'RETRY' then
  local due = finish(job, task_id, record, 'REVOKED', tonumber(ARGV[3]), tonumber(ARGV[4]), now, ARGV[8])
  return {'REVOKED', state, due}
end
redis.call('HSET', ledger, 'cancel', now)
if ARGV[6] == '1' then redis.call('ZADD', prefix .. 'taskgate-terminate', now, task_id) end
return {'REQUESTED', state, ''}
"""
)

#: Nobody will end the job any more although it is not final: its message is about to be acknowledged for good, or a
#: stock worker has ended it in the record alone. KEYS: meta, ledger.
#: ARGV: 1 task id, 2 the publication that is acknowledged, 3 the run's fence or 0, 4 ttl (s), 5 keep (ms),
#: 6 now (ms), 7 '1' when its run is over too, prefix. Returns the batch whose `then` is to be submitted now, or ''.
LET_GO = (
    RECORDS
    + """
local job = look()
local owner, ttl, keep, now = job.owner or '', tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if tonumber(ARGV[2]) < tonumber(job.publication or 0) then return '' end
if tonumber(ARGV[3]) > 0 and tonumber(ARGV[3]) < latest_of(job) then return '' end
count_out(ARGV[1], owner)
if redis.call('EXISTS', ledger) == 0 then return '' end
local state, due = known_state(job), ''
if ARGV[7] == '1' or final[state or ''] then
  -- What is lost before it has started is still ended when it is late.
  if state ~= 'PENDING' and state ~= 'RETRY' then forget_deadlines(job, ARGV[1]) end
  due = tell_batch(job, state, true, ttl, keep, now)
end
if final[state or ''] then
  if job.state ~= state and job.found ~= state then
    tell(job, ARGV[1], 'state', now, '{"state": "' .. state .. '"}')
  end
  keep_state(job, state)  -- which outlives the record
  owe_webhook(job, ARGV[1], now)
  note_failure(ARGV[1], state)
end
for _, name in ipairs({'celery-task-meta-', 'taskgate-message-', 'taskgate-events-', 'taskgate-log-'}) do
  local kept = prefix .. name .. ARGV[1]
  if redis.call('PTTL', kept) == -1 then redis.call('PEXPIRE', kept, keep) end
end
keep_claim(ARGV[1], job.unique, keep)
retire(ARGV[1], owner, keep, now)
return due
"""
)

#: Takes back a job whose publish failed, so that its id is unknown again. Its message may have arrived all the same,
#: so for a while the ledger goes on saying that it must not run. KEYS: meta, ledger.
#: ARGV: 1 task id, 2 the idempotency key or '', 3 for how long (ms), prefix.
WITHDRAW = (
    RECORDS
    + """
local owner = redis.call('HGET', ledger, 'owner') or ''
keep_claim(ARGV[1], redis.call('HGET', ledger, 'unique'), 0)
leave_batch(ARGV[1])
count_out(ARGV[1], owner)
redis.call('ZREM', prefix .. 'taskgate-owner-' .. owner, ARGV[1])
redis.call('ZREM', prefix .. 'taskgate-unpublished', ARGV[1])
redis.call('DEL', meta, ledger, prefix .. 'taskgate-message-' .. ARGV[1])
redis.call('DEL', prefix .. 'taskgate-events-' .. ARGV[1], prefix .. 'taskgate-log-' .. ARGV[1])
redis.call('HSET', ledger, 'state', 'REVOKED', 'withdrawn', 1)
redis.call('PEXPIRE', ledger, ARGV[3])
if ARGV[2] ~= '' then redis.call('DEL', prefix .. 'taskgate-idempotency-' .. ARGV[2]) end
"""
)
