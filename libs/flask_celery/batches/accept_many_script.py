"""The Lua script that accepts some hundred new jobs of a batch in one atomic step: ACCEPT's work (``accept_script``),
with what is the same for all of them done once. A test holds the two to the same outcome.
"""

from libs.flask_celery.batches.scripts import FILLING
from libs.flask_celery.place_scripts import PLACES

#: What became of an item.
ACCEPTED, QUEUE_FULL, OWNER_FULL, NOT_PUSHED = range(4)

#: More would be more than Lua can unpack into one command, and would keep other clients of Redis waiting.
MOST = 500

#: Pushes are the one step that can fail; what could not be pushed is not accepted. The ids are new ones.
#: KEYS: for each queue the list to push to, then its lists, counted against its limit. ARGV: 1 the broker's
#: database, 2 the records', 3 their prefix, 4 the batch, 5 attempt, 6 owner, 7 submitted (ms), 8 and 9 the limits of
#: a queue and of an owner, 10 who is told of the jobs' ends or '', 11 how many queues, their names, then for each
#: item: 1 its queue's number, 2 task, 3 task id, 4 place in the batch, 5 eta, 6 message, 7 record, 8 the message's
#: copy; the broker's prefix.
#: Returns {'FILLED', what became of each item} or {why the batch takes none}.
ACCEPT_MANY = (
    PLACES
    + "local records = ARGV[3]\n"
    + FILLING
    + """
local broker_db, record_db, batch, owner, submitted = ARGV[1], ARGV[2], ARGV[4], ARGV[6], ARGV[7]
local queue_limit, owner_limit, webhook = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local queues = tonumber(ARGV[11])
local keys_each = #KEYS / queues
local by_owner = records .. 'taskgate-unfinished-by-owner'

redis.call('SELECT', record_db)
local refused = refusal(batch, ARGV[5])
if refused then return {refused} end
hold(batch_key(batch))
local owner_room, room = math.huge, {}
if owner_limit > 0 then owner_room = owner_limit - tonumber(redis.call('HGET', by_owner, owner) or 0) end
redis.call('SELECT', broker_db)
for number = 1, queues do
  local queue = ARGV[11 + number]  -- there once for each of its lists that is pushed to
  room[queue] = math.huge
  if queue_limit > 0 then
    room[queue] = queue_limit
    for at = 2, keys_each do
      room[queue] = room[queue] - redis.call('LLEN', KEYS[(number - 1) * keys_each + at])
    end
  end
end

local answers, waiting, taken = {'FILLED'}, {}, {}
for at = 12 + queues, #ARGV - 1, 8 do
  local number, eta = tonumber(ARGV[at]), tonumber(ARGV[at + 4])
  local list, queue = KEYS[(number - 1) * keys_each + 1], ARGV[11 + number]
  local answer = 0
  if room[queue] <= 0 then
    answer = 1
  elseif owner_room <= 0 then
    answer = 2
  elseif eta > now + 1 then
    local delayed = delay(list, queue, ARGV[at + 2], ARGV[at + 5], eta)
    if type(delayed) == 'table' and delayed.err then answer = 3 end
  else
    waiting[number] = waiting[number] or {}
    table.insert(waiting[number], at)
    room[queue] = room[queue] - 1
  end
  if answer == 0 then owner_room = owner_room - 1 end
  table.insert(answers, answer)
  taken[at] = answer == 0
end
for number, items in pairs(waiting) do
  local list, queue = KEYS[(number - 1) * keys_each + 1], ARGV[11 + number]
  local order = order_of(list)
  local newest = redis.call('ZREVRANGE', order, 0, 0, 'WITHSCORES')[2]
  local after = math.max(now_us, tonumber(newest or 0))
  local messages, places = {}, {}
  for position, at in ipairs(items) do
    messages[position] = ARGV[at + 5]
    table.insert(places, whole(after + position))  -- as they are in the list
    table.insert(places, ARGV[at + 2])
  end
  if type(redis.pcall('LPUSH', list, unpack(messages))) == 'number' then
    redis.call('ZADD', order, unpack(places))
    redis.call('SADD', key('taskgate-lists'), list)
    for _ = 1, math.min(#items, 64) do wake(queue) end
  else
    for _, at in ipairs(items) do
      taken[at] = false
      answers[(at - 12 - queues) / 8 + 2] = 3
    end
  end
end

redis.call('SELECT', record_db)
local by_time, by_place, by_task = {}, {}, {}
for at = 12 + queues, #ARGV - 1, 8 do
  if taken[at] then
    local id = ARGV[at + 2]
    redis.call('HSET', records .. 'taskgate-job-' .. id, 'state', 'PENDING', 'owner', owner, 'task', ARGV[at + 1],
      'submitted', submitted, 'batch', batch)
    if webhook ~= '' then redis.call('HSET', records .. 'taskgate-job-' .. id, 'webhook', webhook) end
    redis.call('SET', records .. 'taskgate-message-' .. id, ARGV[at + 7])
    redis.call('SET', records .. 'celery-task-meta-' .. id, ARGV[at + 6])
    by_task[ARGV[at + 1]] = (by_task[ARGV[at + 1]] or 0) + 1
    table.insert(by_time, submitted)
    table.insert(by_time, id)
    table.insert(by_place, ARGV[at + 3])
    table.insert(by_place, id)
  end
end
for task, accepted in pairs(by_task) do
  redis.call('HINCRBY', records .. 'taskgate-counts', 'accepted\\n' .. task, accepted)
end
local count = #by_time / 2
if count > 0 then
  redis.call('ZADD', records .. 'taskgate-unfinished', unpack(by_time))
  redis.call('ZADD', records .. 'taskgate-owner-' .. owner, unpack(by_time))
  redis.call('ZADD', batch_part(batch, 'jobs'), unpack(by_place))
  redis.call('HINCRBY', by_owner, owner, count)
  redis.call('HINCRBY', batch_key(batch), 'PENDING', count)
  redis.call('HINCRBY', batch_key(batch), 'unfinished', count)
end
return answers
"""
)
