"""What is kept of a job's past, in Redis: its events and its log, written in the scripts that do what they tell.

===========================  ======  ====================================================================
key, after the prefix        type    holds
===========================  ======  ====================================================================
``taskgate-events-<id>``     list    the newest events, oldest first: JSON ``[number, kind, ms, data]``
``taskgate-log-<id>``        list    the newest log lines: JSON ``[number, run, ms, level, retries, text]``
===========================  ======  ====================================================================

Both count from 1 without gaps, in the ledger's fields ``events`` and ``lines``, so that the numbers of what is kept
tell how much is not. Acceptance is event 0: it stands in the record alone, so that a queued job needs no list.
A Redis stream takes 4 KB for its first entry (measured), and does not tell whether an entry was trimmed.

Each is dropped from its old end beyond a number of entries or of bytes, and lives as long as the record.
"""

from libs.flask_celery.serializers import STATUS

#: Events of one job that are kept, and their bytes.
EVENTS_KEPT = 1_000
EVENT_BYTES = 256 * 1024

#: Log lines of one call that are told as events: of a storm only the newest, or it would push out all else.
_LINES_TOLD = 100

#: Functions for scripts that have ``prefix``, ``meta`` and ``ledger``.
HISTORY = (
    f"""
local events_kept, event_bytes = {EVENTS_KEPT}, {EVENT_BYTES}
"""
    + """
local function whole(number) return string.format('%.0f', number) end

-- As long as the record, which must be there and has so many ms left, 0 for no end; nil: that is looked for.
local function keep_with_record(list, left, is_new)
  left = left or redis.call('PTTL', meta)
  if left > 0 then redis.call('PEXPIRE', list, left) elseif not is_new then redis.call('PERSIST', list) end
end

-- One more entry. The ledger's numbers are `book`'s, for whoever calls to write back. Returns the entry's number, and
-- how many the list has.
local function append(list, book, counter, most, most_bytes, entry)
  local number = (book[counter] or 0) + 1
  local text = '[' .. whole(number) .. ',' .. entry .. ']'
  local count = redis.call('RPUSH', list, text)
  local bytes = #text
  if count > 1 then bytes = bytes + (book[counter .. '_bytes'] or 0) end
  while count > most or (bytes > most_bytes and count > 1) do
    bytes = bytes - #redis.call('LPOP', list)
    count = count - 1
  end
  book[counter], book[counter .. '_bytes'] = whole(number), whole(bytes)
  return whole(number), count
end

-- One more event. Its data is JSON.
local function tell(book, task_id, kind, now, data, left)
  local list = prefix .. 'taskgate-events-' .. task_id
  local entry = '"' .. kind .. '",' .. whole(now) .. ',' .. data
  local _, count = append(list, book, 'events', events_kept, event_bytes, entry)
  keep_with_record(list, left, count == 1)
end
"""
)

_BEGIN = """
local prefix = ARGV[#ARGV]
local meta, ledger = KEYS[1], KEYS[2]
local final = {SUCCESS = true, FAILURE = true, REVOKED = true}
"""

#: Adds lines to a job's log and tells them, on a channel of their own: who waits for a state is not woken.
#: KEYS: meta, ledger. ARGV: 1 task id, 2 the run's fence (0: its broker gives none), 3 'ended' when the run has ended
#: the job, 4 a name of the run, 5 how many lines it has said before these, 6 lines kept, 7 bytes kept, 8 now (ms),
#: 9 … lines without number and run, prefix.
#: Returns 'STORED', 'OVERTAKEN' or 'OVER'.
LOG = (
    _BEGIN
    + HISTORY
    + """
local task_id, fence, log = ARGV[1], tonumber(ARGV[2]), prefix .. 'taskgate-log-' .. ARGV[1]
local known = redis.call('HMGET', ledger, 'state', 'fence', 'runs', 'said', 'lines', 'lines_bytes', 'events',
  'events_bytes', 'claimed')
local book = {lines = known[5], lines_bytes = known[6], events = known[7], events_bytes = known[8]}
if not known[1] or redis.call('EXISTS', meta) == 0 then return 'OVER' end
if final[known[1]] and ARGV[3] ~= 'ended' then return 'OVER' end
if fence > 0 and fence < math.max(known[2] or 0, known[9] or 0) then return 'OVERTAKEN' end

-- What of this run is here already: a reply may have been lost. What is missing before these, it could not send.
local run, said = string.match(known[4] or '', '^(%S+) (%d+)$')
local here, before = run == ARGV[4] and tonumber(said) or 0, tonumber(ARGV[5])
if before > here then book.lines = whole((book.lines or 0) + before - here) end
for place = 9 + math.max(here - before, 0), #ARGV - 1 do
  local entry = (known[3] or '1') .. ',' .. ARGV[place]
  local number = append(log, book, 'lines', tonumber(ARGV[6]), tonumber(ARGV[7]), entry)
  if place >= #ARGV - LINES_TOLD then
    tell(book, task_id, 'log', tonumber(ARGV[8]), '[' .. number .. ',' .. entry .. ']')
  end
end
keep_with_record(log)
local said_now = ARGV[4] .. ' ' .. whole(math.max(here, before + #ARGV - 9))
redis.call('HSET', ledger, 'said', said_now, 'lines', book.lines or 0, 'lines_bytes', book.lines_bytes or 0,
  'events', book.events or 0, 'events_bytes', book.events_bytes or 0)
redis.call('PUBLISH', prefix .. 'taskgate-events-' .. task_id, '')
return 'STORED'
""".replace("LINES_TOLD", str(_LINES_TOLD))
)

#: A job's record and its events after one of them, as they are at one moment. What a stock worker has written, which
#: tells nothing, is told here. KEYS: meta, ledger. ARGV: 1 task id, 2 the number of the event or '' for the newest
#: one, 3 now (ms), prefix.
#: Returns {the record or nil, the owner or nil, the newest event's number, 1 when events after that one are not kept
#: or it is not known, the events}.
READ_EVENTS = (
    _BEGIN
    + HISTORY
    + STATUS
    + """
local record = redis.call('GET', meta)
local known = redis.call('HMGET', ledger, 'owner', 'state', 'found', 'events', 'events_bytes')
local book = {events = known[4], events_bytes = known[5]}
if not record then return {false, known[1], 0, 0, {}} end
local written = string.match(status_in(record) or '', '^%u+$')
if written and known[2] and written ~= known[2] and written ~= known[3] then
  tell(book, ARGV[1], 'state', tonumber(ARGV[3]), '{"state": "' .. written .. '"}')
  redis.call('HSET', ledger, 'found', written, 'events', book.events, 'events_bytes', book.events_bytes)
end
local list, last = prefix .. 'taskgate-events-' .. ARGV[1], tonumber(book.events or 0)
local after = tonumber(ARGV[2]) or last
if after > last or last - after > redis.call('LLEN', list) then return {record, known[1], last, 1, {}} end
return {record, known[1], last, 0, after < last and redis.call('LRANGE', list, after - last, -1) or {}}
"""
)

#: Lines of a job's log. KEYS: meta, ledger. ARGV: 1 task id, 2 the number of the line before them, 3 how many,
#: prefix. Returns {the newest line's number, how many after that one are not kept, the lines}.
READ_LOG = (
    _BEGIN
    + """
local log, last = prefix .. 'taskgate-log-' .. ARGV[1], tonumber(redis.call('HGET', ledger, 'lines') or 0)
local after = tonumber(ARGV[2])
if after >= last then return {last, 0, {}} end
local kept = redis.call('LLEN', log)
local dropped = math.max(last - kept - after, 0)
local first = math.max(after - last, -kept)
if kept == 0 then return {last, dropped, {}} end
return {last, dropped, redis.call('LRANGE', log, first, math.min(first + ARGV[3] - 1, -1))}
"""
)
