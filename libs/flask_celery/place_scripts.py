"""Where each task's message is, kept in Redis by the scripts that move it, each one atomic step on the server.

A message is in exactly one place: queued in a list, held by a worker, waiting for its time, or in quarantine. Lists
can only be searched from end to end, so beside each there is a sorted set of the task ids in the list's own order.
What a list has lost (``redis-cli``, a stock worker's pop that was not finished) is then seen by comparing the two
at the end where messages are taken, at the same cost for ten messages or a million (see ``MISSING``).

================================  ======  ================================================================
key, after the prefix             type    holds
================================  ======  ================================================================
``<list>:taskgate-order``         zset    ids of the tasks in a list by their order, the next one first
``taskgate-lists``                set     the lists that have been pushed to and are not known to be empty
``taskgate-wake-<queue>``         list    tokens that wake a queue's idle workers
``unacked_index``                 zset    delivery tags by the time their lease began (kombu's)
``unacked``                       hash    tag → ``[message, exchange, routing key]`` (kombu's)
``taskgate-held``                 hash    task id → tag
``taskgate-delayed``              zset    task ids by the time they are due, in Unix seconds
``taskgate-delayed-messages``     hash    task id → list, queue, ``first`` or nothing, and message, a line each
``<list>:taskgate-line-<task>``   zset    task ids that wait for a turn of the task's rate limit, the next
                                          one first; their messages are delayed, to a time that never
                                          comes (``line_scripts``)
``taskgate-lines``                set     ``<task>``, a line's end and ``<list>`` of each such line
``taskgate-limit-<task>``         hash    when the task's next run is due, and how far runs are apart (µs)
``taskgate-quarantined``          hash    task id → the quarantine's key
``taskgate-purged``               set     the keys of the orders of lists that were emptied on purpose
``taskgate-fence``                string  the last fencing number given out
``taskgate-looks``                hash    since when, and when last, workers have looked for leases that are over
================================  ======  ================================================================

What a worker holds is kept as kombu keeps it, so that stock workers on the same Redis give it back too. Times are the
server's own (TIME), so that the hosts' clocks need not agree. The last argument of each script is the deployment's
prefix; keys that kombu lets one rename come through KEYS, with the prefix on them.
"""

QUARANTINED = "taskgate-quarantined"
LISTS = "taskgate-lists"
#: The orders of lists that were emptied, whose jobs are to be cancelled; each is this name and a random one.
PURGED = "taskgate-purged"


def wake_key(queue: str) -> str:
    """The list whose tokens wake a queue's idle workers; without the deployment's prefix."""
    return f"taskgate-wake-{queue}"


def order_key(list_name: str) -> str:
    """The order of a list's tasks; prefixed when the list's name is."""
    return f"{list_name}:taskgate-order"


#: The functions the scripts share.
PLACES = """
local prefix = ARGV[#ARGV]
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = now_us / 1000000
local function whole(number) return string.format('%.0f', number) end
local function key(name) return prefix .. name end
local function order_of(list) return list .. ':taskgate-order' end

-- The id in a message's headers. kombu writes the body first, as Base64 or as a JSON string with its quotes escaped,
-- so this member cannot be found in there; a plain search is what a large body needs.
local function id_of(message)
  local _, last = string.find(message, '"id":"', 1, true)
  if not last then _, last = string.find(message, '"id": "', 1, true) end
  if not last then _, last = string.find(message, '"id"%s*:%s*"') end
  if not last then return nil end
  local at, quote = last + 1, nil
  repeat  -- to the quote that no backslash escapes
    quote = string.find(message, '["\\\\]', at)
    at = quote and quote + 2
  until not quote or string.byte(message, quote) == 34
  local id = quote and string.sub(message, last + 1, quote - 1) or ''
  if string.find(id, '\\\\', 1, true) then
    local read, list = pcall(cjson.decode, '["' .. id .. '"]')
    id = read and list[1] or ''
  end
  return id ~= '' and id or nil
end

-- Wakes one idle worker, or some. Bounded: a busy worker looks for itself, so more tokens wake nobody.
local function wake(queue, some)
  local tokens = key('taskgate-wake-' .. queue)
  local count = redis.call('LLEN', tokens)
  for _ = 1, math.min(some or 1, 64 - count) do redis.call('LPUSH', tokens, '1') end
  -- Nobody may ever wait for them: the queue of a reply to inspect is used once.
  if count == 0 then redis.call('EXPIRE', tokens, 3600) end
end

-- Queues a message behind the others. Returns Redis's answer or error.
local function push_last(list, queue, id, message)
  local pushed = redis.pcall('LPUSH', list, message)
  if type(pushed) ~= 'number' then return pushed end
  if id then
    local order = order_of(list)
    -- Never before the last one, should the server's clock be set back. What is in the list already keeps its place:
    -- a copy nearer to its end (a retry was published, then its forerunner put back) must not seem to be further off.
    local newest = redis.call('ZREVRANGE', order, 0, 0, 'WITHSCORES')[2]
    redis.call('ZADD', order, 'NX', whole(math.max(now_us, tonumber(newest or 0))), id)
    redis.call('SADD', key('taskgate-lists'), list)
  end
  wake(queue)
  return pushed
end

-- Queues a message ahead of the others.
local function push_first(list, queue, id, message)
  local pushed = redis.pcall('RPUSH', list, message)
  if type(pushed) ~= 'number' then return pushed end
  if id then
    local order = order_of(list)
    local oldest = redis.call('ZRANGE', order, 0, 0, 'WITHSCORES')[2]
    redis.call('ZADD', order, whole(math.min(now_us, tonumber(oldest or now_us)) - 1), id)
    redis.call('SADD', key('taskgate-lists'), list)
  end
  wake(queue)
  return pushed
end

local function delay(list, queue, id, message, eta, first)
  local held = list .. '\\n' .. queue .. '\\n' .. (first or '') .. '\\n' .. message
  redis.call('HSET', key('taskgate-delayed-messages'), id, held)
  return redis.pcall('ZADD', key('taskgate-delayed'), eta, id)
end

-- Queues a message, ahead of the others when first is 'first', or keeps it for later when its time is to come (Unix
-- seconds, 0 for now).
local function put(list, queue, id, message, eta, first)
  if eta > now + 1 and id then return delay(list, queue, id, message, eta, first) end
  if first == 'first' then return push_first(list, queue, id, message) end
  return push_last(list, queue, id, message)
end

-- Takes a message off the worker that has it.
local function let_go(index, unacked, tag, id)
  if id == '' then id = id_of(redis.call('HGET', unacked, tag) or '') end
  redis.call('ZREM', index, tag)
  redis.call('HDEL', unacked, tag)
  if id and redis.call('HGET', key('taskgate-held'), id) == tag then redis.call('HDEL', key('taskgate-held'), id) end
end
"""

#: Queues a message that has no record here. KEYS: 1 the list. ARGV: 1 queue, 2 task id, 3 message, 4 eta, 5 'first'
#: or ''.
PUT = (
    PLACES
    + """
local id = ARGV[2] ~= '' and ARGV[2]
return put(KEYS[1], ARGV[1], id, ARGV[3], tonumber(ARGV[4]), ARGV[5])
"""
)

#: Queues what is due. ARGV: 1 how many at the most. Returns the milliseconds to the next one, or -1.
PROMOTE = (
    PLACES
    + """
local delayed, messages = key('taskgate-delayed'), key('taskgate-delayed-messages')
for _, id in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', string.format('%.6f', now), 'LIMIT', 0, ARGV[1])) do
  local held = redis.call('HGET', messages, id)
  if held then
    local list, queue, first, message = string.match(held, '^([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n(.*)$')
    local pushed = put(list, queue, id, message, 0, first)
    if type(pushed) ~= 'number' then break end  -- a full Redis takes it later
    redis.call('HDEL', messages, id)
  end
  redis.call('ZREM', delayed, id)
end
local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if not first[2] then return -1 end
return math.max(0, math.ceil((tonumber(first[2]) - now) * 1000))
"""
)

#: Puts quarantined messages, oldest first, back in their queue, behind the others of their priority. KEYS: 1 the
#: quarantine, 2 … the queue's lists, by priority. ARGV: 1 how many at the most, 2 queue, 3 … the first priority of
#: each list, prefix. Returns how many.
RELEASE = (
    PLACES
    + """
local function list_of(message)
  local read, decoded = pcall(cjson.decode, message)
  local properties = read and type(decoded) == 'table' and decoded.properties
  local priority = type(properties) == 'table' and tonumber(properties.priority) or 0
  local list = KEYS[2]
  for place = 3, #KEYS do
    if priority >= tonumber(ARGV[place + 1]) then list = KEYS[place] end
  end
  return list
end
for count = 1, tonumber(ARGV[1]) do
  local message = redis.call('RPOP', KEYS[1])
  if not message then return count - 1 end
  local id = id_of(message)
  if id then redis.call('HDEL', key('taskgate-quarantined'), id) end
  push_last(list_of(message), ARGV[2], id, message)
end
return tonumber(ARGV[1])
"""
)

#: Empties a list. What was in it is for the reconciler to cancel. KEYS: 1 the list, 2 a new key for the ids.
#: Returns how many messages there were.
PURGE = (
    PLACES
    + """
local count = redis.call('LLEN', KEYS[1])
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', order_of(KEYS[1])) == 1 then
  redis.call('RENAME', order_of(KEYS[1]), KEYS[2])
  redis.call('SADD', key('taskgate-purged'), KEYS[2])
end
return count
"""
)
