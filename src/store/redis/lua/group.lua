-- What all scripts for groups share. A group is two consumer groups of WORK: what is handed out, and the dead letters.
--
-- ARGV[4] who asks, as `allowed` takes it   ARGV[5] group   ARGV[6] consumer
local TODO, DEAD, CONSUMER = 'g ' .. ARGV[5], 'd ' .. ARGV[5], ARGV[6]

-- Older than any time after which items are claimed: whoever takes next gets it.
local FREE = '10000000000'

local function is_group()
  local summary = redis.pcall('XPENDING', WORK, TODO)
  return not summary.err and summary
end

local function make(from)
  redis.call('XGROUP', 'CREATE', WORK, TODO, from, 'MKSTREAM')
  redis.call('XGROUP', 'CREATE', WORK, DEAD, 0)
end

-- Hands over what `found` (of XPENDING) names, unless it was handed out too often.
local function claim(items, found, most)
  for _, entry in ipairs(found) do
    local id, deliveries = entry[1], entry[4]
    if deliveries >= most then
      redis.call('XCLAIM', WORK, DEAD, '-', 0, id, 'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID')
      redis.call('XACK', WORK, TODO, id)
    else
      local claimed = redis.call('XCLAIM', WORK, TODO, CONSUMER, 0, id)[1]
      if claimed then
        describe(items, id, deliveries + 1, claimed[2])
      else
        -- The queue's bound has cut it off.
        redis.call('XACK', WORK, TODO, id)
      end
    end
  end
end

-- What the consumer holds itself, after `own`; or else what others have held for too long. At most `count` items.
local function reclaim(items, count, idle, most, own)
  if own ~= '' then
    claim(items, redis.call('XPENDING', WORK, TODO, own, '+', count, CONSUMER), most)
    if #items > 0 then return end
  end
  local from = '-'
  for _ = 1, 8 do
    local left = count - #items
    if left == 0 then return end
    local found = redis.call('XPENDING', WORK, TODO, 'IDLE', idle, from, '+', left)
    if #found == 0 then return end
    claim(items, found, most)
    from = '(' .. found[#found][1]
  end
end

-- Hands out the next entries of WORK.
local function deliver(items, count)
  local read = redis.call('XREADGROUP', 'GROUP', TODO, CONSUMER, 'COUNT', count, 'STREAMS', WORK, '>')
  if not read then return end
  for _, entry in ipairs(read[1][2]) do describe(items, entry[1], 1, entry[2]) end
end
