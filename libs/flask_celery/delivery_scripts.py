"""The Lua scripts that move messages between a queue, a worker and back; see ``place_scripts`` for the rest."""

from libs.flask_celery.line_scripts import LINES
from libs.flask_celery.permits import STARTING
from libs.flask_celery.place_scripts import PLACES

#: Takes the next message and registers it as leased, so that it is never in neither place. Each claim has a number
#: greater than all before, by which a run is told from the one that replaced it. The clock is in it, so that the
#: numbers go on growing when the broker's database was emptied.
#: A job that has waited for its turn (``line_scripts``) goes before its list's others when that has come.
#: When the first one is short, so many more of its list are taken as ``fetching_ahead`` allows, and the start of
#: those of which there is nothing to learn is permitted (``permits``); and what the worker has to acknowledge is
#: acknowledged.
#: KEYS: 1 unacked_index, 2 unacked, 3 … the lists, in the order to look. ARGV: 1 the delivery tag of the first one;
#: the others' have their place from 1 behind it; then for each list its queue as a JSON string, how many more may be
#: taken, the milliseconds that all may take, the broker's database, that of the records or '' when they are
#: elsewhere, their prefix, how many acknowledgements there are, for each its tag and task id or
#: '', and for each task whose jobs are short its name and how long they are (ms).
#: Returns {{the list's place (from 1), message, number, 1 when it was its turn, 1 when its start is permitted}, …},
#: or the milliseconds to the next turn of one of the lists, 0 when nothing waits for one.
CLAIM = (
    LINES
    + STARTING
    + """
local lists = #KEYS - 2
local most, left, acks = tonumber(ARGV[lists + 2]), tonumber(ARGV[lists + 3]), tonumber(ARGV[lists + 7])
local broker_db, record_db, records = ARGV[lists + 4], ARGV[lists + 5], ARGV[lists + 6]
local first_ack = lists + 8
for at = first_ack, first_ack + 2 * acks - 1, 2 do let_go(KEYS[1], KEYS[2], ARGV[at], ARGV[at + 1]) end

local short = {}
for at = first_ack + 2 * acks, #ARGV - 1, 2 do short[ARGV[at]] = tonumber(ARGV[at + 1]) end
-- How long the job of a message takes (ms), or nil when it is not short. A large message is not looked into.
local function length_of(message)
  return #message <= 16384 and short[string.match(message, '"task"%s*:%s*"([^"\\]*)"') or ''] or nil
end

local claims, index, unacked, held, ids = {}, {}, {}, {}, {}
local fence = tonumber(redis.call('GET', key('taskgate-fence')) or 0)
local function claim(place, message, in_turn)
  local tag = #claims == 0 and ARGV[1] or ARGV[1] .. '.' .. #claims
  fence = math.max(now_us, fence + 1)
  index[#index + 1], index[#index + 2] = now, tag
  unacked[#unacked + 1], unacked[#unacked + 2] = tag, '[' .. message .. ', "", ' .. ARGV[place - 1] .. ']'
  local id = id_of(message)
  if id then
    ids[#ids + 1] = id
    held[#held + 1], held[#held + 2] = id, tag
  end
  claims[#claims + 1] = {place - 2, message, whole(fence), in_turn, 0}
  return id and {claim = claims[#claims], id = id}
end

-- Whether a message's job is to start later; only a stock client's is in a list before its time.
local function is_for_later(message)
  local eta = string.match(message, '"eta"%s*:%s*"([^"]*)"')
  if not eta then return false end
  local day, clock, sign, ahead = string.match(eta, '^(%d+-%d+-%d+)[T ](%d+:%d+:[%d.]+)([+-])(%d+:%d+)$')
  if not day then return true end
  local year, month, date = string.match(day, '(%d+)-(%d+)-(%d+)')
  if tonumber(month) <= 2 then year, month = year - 1, month + 12 end  -- years that end with February
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * month - 457) / 5) + date - 719469
  local hours, minutes, seconds = string.match(clock, '(%d+):(%d+):(.+)')
  local ahead_hours, ahead_minutes = string.match(ahead, '(%d+):(%d+)')
  local offset = (ahead_hours * 60 + ahead_minutes) * (sign == '+' and -60 or 60)
  return days * 86400 + hours * 3600 + minutes * 60 + seconds + offset > now
end

-- Permits the start of these jobs where their ledgers have nothing to say about it, and their time has come. The last
-- step: it changes the database.
local function permit(jobs)
  redis.call('SELECT', record_db)
  for _, job in ipairs(jobs) do
    local ledger = records .. 'taskgate-job-' .. job.id
    local known = redis.call('HMGET', ledger, 'state', 'cancel', 'publication', 'fence', 'deadline', 'expires',
      'claimed')
    local is_open = not (known[2] or known[3] or known[4] or known[5] or known[6])
    local may_start = known[1] == 'PENDING' and is_open and not is_starting({claimed = known[7]})
    if may_start and not is_for_later(job.claim[2]) then
      redis.call('HSET', ledger, 'claimed', job.claim[3])
      job.claim[5] = 1
    end
  end
  redis.call('SELECT', broker_db)
end

local limits, soonest = limits_by_list(), math.huge
for place = 3, #KEYS do
  local message, next_turn = take_in_turn(KEYS[place], limits[KEYS[place]])
  local in_turn = message and 1 or 0
  soonest = math.min(soonest, next_turn)
  message = message or redis.call('RPOP', KEYS[place])
  if message then
    local taken = claim(place, message, in_turn)
    local took = in_turn == 0 and length_of(message)
    local permitted = {took and taken or nil}
    if took then
      for _ = 1, math.min(most, math.floor(redis.call('LLEN', KEYS[place]) / 4)) do
        left = left - took
        message = redis.call('RPOP', KEYS[place])
        took = message and length_of(message)
        if not took or took > left then
          if message then redis.call('RPUSH', KEYS[place], message) end
          break
        end
        permitted[#permitted + 1] = claim(place, message, 0) or nil
      end
    end
    redis.call('ZADD', KEYS[1], unpack(index))
    redis.call('HSET', KEYS[2], unpack(unacked))
    if #ids > 0 then
      redis.call('ZREM', order_of(KEYS[place]), unpack(ids))
      redis.call('HSET', key('taskgate-held'), unpack(held))
    end
    redis.call('SET', key('taskgate-fence'), whole(fence))
    if record_db ~= '' and #permitted > 0 then permit(permitted) end
    return claims
  end
end
return soonest == math.huge and 0 or math.ceil(soonest / 1000)
"""
)

#: Ends leases. KEYS: 1 unacked_index, 2 unacked. ARGV: for each its tag and task id or ''.
ACK = (
    PLACES
    + """
for at = 1, #ARGV - 1, 2 do let_go(KEYS[1], KEYS[2], ARGV[at], ARGV[at + 1]) end
"""
)

#: Takes a message off its worker and keeps it aside until its time. KEYS: 1 unacked_index, 2 unacked, 3 the list.
#: ARGV: 1 tag, 2 queue, 3 task id, 4 message, 5 eta. Returns 0 when that is no longer to come.
DELAY = (
    PLACES
    + """
if tonumber(ARGV[5]) <= now + 1 then return 0 end
delay(KEYS[3], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
let_go(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
return 1
"""
)

#: Renews leases. KEYS: 1 unacked_index. ARGV: tags. Returns the tags whose lease is gone.
RENEW = (
    PLACES
    + """
local gone = {}
for place = 1, #ARGV - 1 do
  local tag = ARGV[place]
  if redis.call('ZSCORE', KEYS[1], tag) then
    redis.call('ZADD', KEYS[1], now, tag)
  else
    gone[#gone + 1] = tag
  end
end
return gone
"""
)

#: Finds leases that are over. Nobody can renew one while Redis is away, stopped or frozen; so one that is over proves
#: nothing before somebody has looked, without a gap, for a whole visibility timeout.
#: KEYS: 1 unacked_index, 2 unacked. ARGV: 1 visibility timeout (s), 2 how many.
#: Returns {{tag, score, what unacked holds or ''}, …}.
EXPIRED = (
    PLACES
    + """
local looks, timeout = key('taskgate-looks'), tonumber(ARGV[1])
local known = redis.call('HMGET', looks, 'since', 'last')
local since = tonumber(known[1] or now)
local last = tonumber(known[2] or 0)
if now - last > timeout / 2 or last > now or since > now then since = now end  -- also when the clock was set back
redis.call('HSET', looks, 'since', string.format('%.6f', since), 'last', string.format('%.6f', now))
if now - since < timeout then return {} end
local found = {}
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - timeout, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for place = 1, #over, 2 do
  found[#found + 1] = {over[place], over[place + 1], redis.call('HGET', KEYS[2], over[place]) or ''}
end
return found
"""
)

#: Puts a message back at the head of its queues, unless its lease was renewed or ended meanwhile. Its job's permit to
#: start, if it has one, is void.
#: KEYS: 1 unacked_index, 2 unacked, 3 … the lists. ARGV: 1 tag, 2 the score it was found with, or '' for whatever it
#: is, 3 task id, 4 the message, 5 the database of the records or '' when they are elsewhere, 6 their prefix, then for
#: each list its queue. Returns 1 when it was put back.
RESTORE = (
    PLACES
    + """
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or (ARGV[2] ~= '' and score ~= ARGV[2]) then return 0 end
let_go(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
for place = 3, #KEYS do
  push_first(KEYS[place], ARGV[place + 4], ARGV[3] ~= '' and ARGV[3], ARGV[4])
end
if ARGV[5] ~= '' and ARGV[3] ~= '' then
  redis.call('SELECT', ARGV[5])
  redis.call('HDEL', ARGV[6] .. 'taskgate-job-' .. ARGV[3], 'claimed')
end
return 1
"""
)

#: Takes a message off its worker and keeps it elsewhere. KEYS: 1 unacked_index, 2 unacked, 3 the list to keep it in.
#: ARGV: 1 tag, 2 task id or '', 3 what to keep, 4 how many are kept, the newest (0: all, which a worker will take
#: back, so the job counts as being in quarantine).
PARK = (
    PLACES
    + """
let_go(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
redis.call('LPUSH', KEYS[3], ARGV[3])
if tonumber(ARGV[4]) > 0 then
  redis.call('LTRIM', KEYS[3], 0, ARGV[4] - 1)
elseif ARGV[2] ~= '' then
  redis.call('HSET', key('taskgate-quarantined'), ARGV[2], KEYS[3])
end
return 1
"""
)
