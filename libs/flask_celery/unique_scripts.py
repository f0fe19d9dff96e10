"""What the Lua scripts do about claims (``unique``)."""

from libs.flask_celery.serializers import STATUS

#: Whether a claim is held. Wants ``record_prefix``, ``unfinished`` and ``record_functions.FINAL``.
HELD = (
    STATUS
    + """
-- Whether a job is waited for: one that is final is not, nor one that nobody will end or whose record is gone. A
-- stock worker tells the record alone.
local function is_under_way(id)
  if redis.call('EXISTS', record_prefix .. 'taskgate-job-' .. id) == 0 then return false end
  if not redis.call('ZSCORE', unfinished, id) then return false end
  local record = record_prefix .. 'celery-task-meta-' .. id
  return redis.call('EXISTS', record) == 1 and not final[status_at(record) or '']
end

-- The answer to a new job, in the place of which another one under its claim is under way; or nil.
local function other_than(task_id, ledger, owner, claim)
  local known = redis.call('HMGET', ledger, 'state', 'withdrawn')
  local newest = redis.call('GET', claim)
  if (known[1] and not known[2]) or not newest or newest == task_id or not is_under_way(newest) then return nil end
  local is_own = redis.call('HGET', record_prefix .. 'taskgate-job-' .. newest, 'owner') == owner
  return {is_own and 'RUNNING' or 'OCCUPIED', newest}
end
"""
)

#: What becomes of the claim of a job that has ended. Wants ``prefix``.
KEPT = """
-- The claim that a unique task's job had is known for so long at the most, unless another job has taken it over.
local function keep_claim(task_id, unique, keep)
  local claim = unique and prefix .. 'taskgate-unique-' .. unique
  if not claim or redis.call('GET', claim) ~= task_id then return end
  local left = redis.call('PTTL', claim)
  if left == -1 or left > keep then redis.call('PEXPIRE', claim, keep) end
end
"""
