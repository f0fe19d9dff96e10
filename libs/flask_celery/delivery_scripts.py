"""The Lua scripts that move messages between a queue, a worker and back, each one atomic step on the server.

What a worker holds is kept as kombu keeps it, so that stock workers on the same Redis give it back too: a sorted
set ``unacked_index`` of delivery tags by the time their lease began, and a hash ``unacked`` of
``[message, exchange, routing key]`` by tag. Times are the server's own (TIME), so that the hosts' clocks need not
agree. Scripts name keys through KEYS with the deployment's prefix already on them.
"""

_NOW = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
"""


def wake_key(queue: str) -> str:
    """The list whose tokens wake a queue's idle workers; without the deployment's prefix."""
    return f"taskgate-wake-{queue}"


#: Wakes one idle worker of a queue. Bounded: a busy worker looks for itself, so more tokens wake nobody.
WAKE = """
local function wake(key)
  if redis.call('LLEN', key) < 64 then redis.call('LPUSH', key, '1') end
end
"""

#: Queues a message, or keeps it aside until its time (Unix seconds; 0 for now). Returns Redis's answer or error.
PUSH = (
    WAKE
    + """
local function push(list, wake_key, delayed, message, eta)
  local time = redis.call('TIME')
  if eta > time[1] + time[2] / 1000000 + 1 then
    return redis.pcall('ZADD', delayed, eta, list .. '\\n' .. wake_key .. '\\n' .. message)
  end
  local pushed = redis.pcall('LPUSH', list, message)
  if type(pushed) == 'number' then wake(wake_key) end
  return pushed
end
"""
)

#: Takes a message off its worker and keeps it aside until its time. KEYS: 1 unacked_index, 2 unacked, 3 the list,
#: 4 its wake list, 5 delayed. ARGV: 1 tag, 2 message, 3 eta.
DELAY = (
    PUSH
    + """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
push(KEYS[3], KEYS[4], KEYS[5], ARGV[2], tonumber(ARGV[3]))
"""
)

#: Queues what is due. KEYS: 1 delayed. ARGV: 1 how many at the most. Returns the milliseconds to the next one, or -1.
PROMOTE = (
    _NOW
    + WAKE
    + """
for _, held in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZREM', KEYS[1], held)
  local list, wake_key, message = string.match(held, '^([^\\n]*)\\n([^\\n]*)\\n(.*)$')
  redis.call('LPUSH', list, message)
  wake(wake_key)
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not first[2] then return -1 end
return math.max(0, math.ceil((tonumber(first[2]) - now) * 1000))
"""
)

#: Takes the next message and registers it as leased, so that it is never in neither place.
#: KEYS: 1 unacked_index, 2 unacked, 3 … the lists, in the order to look. ARGV: 1 the delivery tag, then for each
#: list its queue as a JSON string. Returns {the list's place (from 1), message} or nil.
CLAIM = (
    _NOW
    + """
for place = 3, #KEYS do
  local message = redis.call('RPOP', KEYS[place])
  if message then
    redis.call('ZADD', KEYS[1], now, ARGV[1])
    redis.call('HSET', KEYS[2], ARGV[1], '[' .. message .. ', "", ' .. ARGV[place - 1] .. ']')
    return {place - 2, message}
  end
end
return false
"""
)

#: Renews leases. KEYS: 1 unacked_index. ARGV: tags. Returns the tags whose lease is gone.
RENEW = (
    _NOW
    + """
local gone = {}
for _, tag in ipairs(ARGV) do
  if redis.call('ZSCORE', KEYS[1], tag) then
    redis.call('ZADD', KEYS[1], now, tag)
  else
    gone[#gone + 1] = tag
  end
end
return gone
"""
)

#: Finds leases that are over. KEYS: 1 unacked_index, 2 unacked. ARGV: 1 visibility timeout (s), 2 how many.
#: Returns {{tag, score, what unacked holds or ''}, …}.
EXPIRED = (
    _NOW
    + """
local found = {}
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]), 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for place = 1, #over, 2 do
  found[#found + 1] = {over[place], over[place + 1], redis.call('HGET', KEYS[2], over[place]) or ''}
end
return found
"""
)

#: Puts a message back at the head of its queues, unless its lease was renewed or ended meanwhile.
#: KEYS: 1 unacked_index, 2 unacked, then a list and its wake list for each queue. ARGV: 1 tag, 2 the score it was
#: found with, or '' for whatever it is, 3 the message. Returns 1 when it was put back.
RESTORE = (
    WAKE
    + """
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or (ARGV[2] ~= '' and score ~= ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
for place = 3, #KEYS, 2 do
  redis.call('RPUSH', KEYS[place], ARGV[3])
  wake(KEYS[place + 1])
end
return 1
"""
)

#: Takes a message off its worker and keeps it elsewhere. KEYS: 1 unacked_index, 2 unacked, 3 the list to keep it in.
#: ARGV: 1 tag, 2 what to keep, 3 how many are kept, the newest (0: all).
PARK = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('LPUSH', KEYS[3], ARGV[2])
if tonumber(ARGV[3]) > 0 then redis.call('LTRIM', KEYS[3], 0, ARGV[3] - 1) end
return 1
"""

#: Puts quarantined messages, oldest first, back in their queue, behind the others. KEYS: 1 the quarantine, 2 the
#: queue's list, 3 its wake list. ARGV: 1 how many at the most. Returns how many.
RELEASE = (
    WAKE
    + """
for count = 1, tonumber(ARGV[1]) do
  local message = redis.call('RPOP', KEYS[1])
  if not message then return count - 1 end
  redis.call('LPUSH', KEYS[2], message)
  wake(KEYS[3])
end
return tonumber(ARGV[1])
"""
)
