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
#: a queue and of an owner, 10 who is told of the jobs' ends or '', 11 what the messages' tags begin with, 12 how many
#: queues, 13 how many templates; the queues' names; for each template (``messages.MessageTemplate``): its queue's
#: number, task, eta, message, record, the message's copy; for each item: 1 its template's number, 2 task id, 3 place
#: in the batch, 4 the message's body, 5 params; the broker's prefix.
#: Returns {'FILLED', what became of each item} or {why the batch takes none}.
ACCEPT_MANY = (
    PLACES
    + "local records = ARGV[3]\n"
    + FILLING
    + """
local broker_db, record_db, batch, owner, submitted = ARGV[1], ARGV[2], ARGV[4], ARGV[6], ARGV[7]
local queue_limit, owner_limit, webhook, tag = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11]
local queues = tonumber(ARGV[12])
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
  local queue = ARGV[13 + number]  -- there once for each of its lists that is pushed to
  room[queue] = math.huge
  if queue_limit > 0 then
    room[queue] = queue_limit
    for at = 2, keys_each do
      room[queue] = room[queue] - redis.call('LLEN', KEYS[(number - 1) * keys_each + at])
    end
  end
end

-- A template's text as what is between the places, and what goes into these.
local function taken_apart(text)
  local parts, places = {}, {}
  for part in string.gmatch(text .. '\\n', '([^\\n]*)\\n') do
    parts[#parts + 1] = part
    if #parts % 2 == 0 then places[#places + 1] = {#parts, part} end
  end
  return function(values)
    for at = 1, #places do parts[places[at][1]] = values[places[at][2]] end
    return table.concat(parts)
  end
end

local first = 14 + queues
local templates = {}
for number = 1, tonumber(ARGV[13]) do
  local list_number = tonumber(ARGV[first])
  templates[tostring(number)] = {
    list_number = list_number, list = KEYS[(list_number - 1) * keys_each + 1], queue = ARGV[13 + list_number],
    task = ARGV[first + 1], eta = tonumber(ARGV[first + 2]), message = taken_apart(ARGV[first + 3]),
    record = taken_apart(ARGV[first + 4]), copy = taken_apart(ARGV[first + 5])
  }
  first = first + 6
end

local answers, waiting, taken, values = {'FILLED'}, {}, {}, {}
for at = first, #ARGV - 1, 5 do
  local template, id = templates[ARGV[at]], ARGV[at + 1]
  local answer = 0
  if room[template.queue] <= 0 then
    answer = 1
  elseif owner_room <= 0 then
    answer = 2
  else
    values.id, values.body = id, ARGV[at + 3]
    values.tag = tag .. string.format('%012x', #answers)
    local message = template.message(values)
    if template.eta > now + 1 then
      local delayed = delay(template.list, template.queue, id, message, template.eta)
      if type(delayed) == 'table' and delayed.err then answer = 3 end
    else
      local some = waiting[template.list_number]
      if not some then
        some = {list = template.list, queue = template.queue, messages = {}, ids = {}, places = {}}
        waiting[template.list_number] = some
      end
      local position = #some.ids + 1
      some.messages[position], some.ids[position], some.places[position] = message, id, #answers
      room[template.queue] = room[template.queue] - 1
    end
  end
  if answer == 0 then owner_room = owner_room - 1 end
  answers[#answers + 1] = answer
  taken[at] = answer == 0
end
for _, some in pairs(waiting) do
  local list, order = some.list, order_of(some.list)
  if type(redis.pcall('LPUSH', list, unpack(some.messages))) == 'number' then
    local newest = redis.call('ZREVRANGE', order, 0, 0, 'WITHSCORES')[2]
    local after, ordered = math.max(now_us, tonumber(newest or 0)), {}
    for position, id in ipairs(some.ids) do  -- as they are in the list
      ordered[position * 2 - 1], ordered[position * 2] = whole(after + position), id
    end
    redis.call('ZADD', order, unpack(ordered))
    redis.call('SADD', key('taskgate-lists'), list)
    wake(some.queue, #some.ids)
  else
    for _, place in ipairs(some.places) do
      taken[first + (place - 1) * 5] = false
      answers[place + 1] = 3
    end
  end
end

redis.call('SELECT', record_db)
local by_time, by_place, by_task, texts = {}, {}, {}, {}
local count = 0
for at = first, #ARGV - 1, 5 do
  if taken[at] then
    local template, id = templates[ARGV[at]], ARGV[at + 1]
    values.id, values.body, values.params = id, ARGV[at + 3], ARGV[at + 4]
    local ledger, task = records .. 'taskgate-job-' .. id, template.task
    if webhook == '' then
      redis.call('HSET', ledger, 'state', 'PENDING', 'owner', owner, 'task', task, 'submitted', submitted,
        'batch', batch)
    else
      redis.call('HSET', ledger, 'state', 'PENDING', 'owner', owner, 'task', task, 'submitted', submitted,
        'batch', batch, 'webhook', webhook)
    end
    texts[count * 4 + 1] = records .. 'taskgate-message-' .. id
    texts[count * 4 + 2] = template.copy(values)
    texts[count * 4 + 3] = records .. 'celery-task-meta-' .. id
    texts[count * 4 + 4] = template.record(values)
    by_time[count * 2 + 1], by_time[count * 2 + 2] = submitted, id
    by_place[count * 2 + 1], by_place[count * 2 + 2] = ARGV[at + 2], id
    by_task[task] = (by_task[task] or 0) + 1
    count = count + 1
  end
end
for task, accepted in pairs(by_task) do
  redis.call('HINCRBY', records .. 'taskgate-counts', 'accepted\\n' .. task, accepted)
end
if count > 0 then
  redis.call('MSET', unpack(texts))
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
