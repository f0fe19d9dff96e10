"""What a job's end as a FAILURE writes into the list of failures; read by ``failures``."""

#: The newest that are kept.
MOST_FAILURES = 100_000

#: For how long they are, in ms: eight days, by default as long as anything of a job is known.
_KEPT = 8 * 24 * 3_600_000

#: Of the scripts that end jobs. By the server's clock: whoever reads up to a time that has passed there misses none,
#: however late a worker's word comes and whatever its own clock says. Retrying or dropping a failed job does not undo
#: that it has failed.
NOTE_FAILURE = f"""
local function note_failure(task_id, state)
  if state ~= 'FAILURE' then return end
  local failures, time = prefix .. 'taskgate-failures', redis.call('TIME')
  local at = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', failures, 'NX', at, task_id)
  redis.call('ZREMRANGEBYRANK', failures, 0, -{MOST_FAILURES + 1})
  redis.call('ZREMRANGEBYSCORE', failures, '-inf', at - {_KEPT})
end
"""
