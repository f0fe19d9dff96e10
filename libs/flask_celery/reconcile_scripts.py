"""The Lua scripts that find messages which are in no place and put them back; ``place_scripts`` has the places."""

from libs.flask_celery.place_scripts import PLACES

_MISSING = (
    PLACES
    + """
-- Up to which score a list's order names tasks that the list does not hold. The order is the list's own, so they are
-- those before the task at the list's end. Messages of stock clients are in no order and are passed over.
local function missing_below(list)
  if redis.call('LLEN', list) == 0 then return '+inf' end
  for back = 1, 8 do
    local message = redis.call('LINDEX', list, -back)
    local id = message and id_of(message)
    local score = id and redis.call('ZSCORE', order_of(list), id)
    if score then return '(' .. score end
  end
end
"""
)

#: Tasks that a list should hold and does not. KEYS: 1 the list. ARGV: 1 how many at the most. Returns their ids.
MISSING = (
    _MISSING
    + """
local bound = missing_below(KEYS[1])
if not bound then return {} end
return redis.call('ZRANGEBYSCORE', order_of(KEYS[1]), '-inf', bound, 'LIMIT', 0, ARGV[1])
"""
)

_IS_SOMEWHERE = """
local lists = redis.call('SMEMBERS', key('taskgate-lists'))
local function is_held(id, unacked)
  local tag = redis.call('HGET', key('taskgate-held'), id)
  if not tag then return false end
  if redis.call('HEXISTS', unacked, tag) == 1 then return true end
  redis.call('HDEL', key('taskgate-held'), id)  -- a stock worker has given it back, which knows nothing of this
  return false
end
local function is_elsewhere(id, unacked)
  return is_held(id, unacked) or redis.call('ZSCORE', key('taskgate-delayed'), id)
    or redis.call('HEXISTS', key('taskgate-quarantined'), id) == 1
end
local function list_of(id)
  for _, list in ipairs(lists) do
    if redis.call('ZSCORE', order_of(list), id) then return list end
  end
end
"""

#: Of some tasks, those whose message is in no place. KEYS: 1 unacked. ARGV: their ids. Returns the ids of those.
NOWHERE = (
    PLACES
    + _IS_SOMEWHERE
    + """
local nowhere = {}
for place = 1, #ARGV - 1 do
  local id = ARGV[place]
  if not is_elsewhere(id, KEYS[1]) and not list_of(id) then nowhere[#nowhere + 1] = id end
end
return nowhere
"""
)

#: How many messages are in a place. Returns the number. Lists that hold none are forgotten until something is pushed.
LOCATED = (
    PLACES
    + """
local count = redis.call('HLEN', key('taskgate-held')) + redis.call('ZCARD', key('taskgate-delayed'))
  + redis.call('HLEN', key('taskgate-quarantined'))
for _, list in ipairs(redis.call('SMEMBERS', key('taskgate-lists'))) do
  local held = redis.call('ZCARD', order_of(list))
  if held == 0 then redis.call('SREM', key('taskgate-lists'), list) end
  count = count + held
end
return count
"""
)

#: Puts a message back that is in no place, ahead of the others since its turn has passed; looks for itself whether
#: that is still so. KEYS: 1 its list, 2 unacked. ARGV: 1 task id, 2 queue, 3 message, 4 eta. Returns 1 when it was
#: put back.
PUT_BACK = (
    _MISSING
    + _IS_SOMEWHERE
    + """
local id, eta = ARGV[1], tonumber(ARGV[4])
if is_elsewhere(id, KEYS[2]) then return 0 end
local list = list_of(id)
if list then
  local bound = missing_below(list)
  if not bound then return 0 end
  local score = redis.call('ZSCORE', order_of(list), id)
  if bound ~= '+inf' and tonumber(score) >= tonumber(string.sub(bound, 2)) then return 0 end
  if list == KEYS[1] and eta <= now + 1 then  -- it keeps its place in the order: those behind it may be missing too
    redis.call('RPUSH', list, ARGV[3])
    wake(ARGV[2])
    return 1
  end
  redis.call('ZREM', order_of(list), id)
end
if eta > now + 1 then
  delay(KEYS[1], ARGV[2], id, ARGV[3], eta)
else
  push_first(KEYS[1], ARGV[2], id, ARGV[3])
end
return 1
"""
)
