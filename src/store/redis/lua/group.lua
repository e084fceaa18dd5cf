-- What all scripts for groups share. A group is two consumer groups of WORK: what is handed out, and the dead letters.
--
-- ARGV[4] who asks, as `allowed` takes it   ARGV[5] group   ARGV[6] consumer
local TODO, DEAD, CONSUMER = 'g ' .. ARGV[5], 'd ' .. ARGV[5], ARGV[6]

-- Older than any time after which items are claimed, so that the next consumer gets the item.
local FREE = '10000000000'

-- The two consumer groups of the group, by name: how many items each `holds`, and the `last` one that it was given. Also the
-- number of consumer groups of all groups.
local function halves()
  local groups, found = redis.pcall('XINFO', 'GROUPS', WORK), {}
  if groups.err then return found, 0 end
  for _, flat in ipairs(groups) do
    local half = {}
    for i = 1, #flat, 2 do half[flat[i]] = flat[i + 1] end
    if half.name == TODO or half.name == DEAD then
      found[half.name] = { holds = half.pending, last = half['last-delivered-id'] }
    end
  end
  return found, #groups
end

local function is_group() return halves()[TODO] end

-- Creates those that are missing.
local function make(found, from)
  if not found[TODO] then redis.call('XGROUP', 'CREATE', WORK, TODO, from, 'MKSTREAM') end
  if not found[DEAD] then redis.call('XGROUP', 'CREATE', WORK, DEAD, 0) end
end

-- The most items that one take looks at.
local MOST_CLAIMED = 256

-- Delivers the items in `found` (a reply of XPENDING), except for those that were delivered too often.
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
        -- It was trimmed, because the queue was full.
        redis.call('XACK', WORK, TODO, id)
      end
    end
  end
end

-- The items that the consumer holds itself, after `own`; without `own` those that others have held for too long. At most `count`.
local function reclaim(items, count, idle, most, own)
  if own ~= '' then
    claim(items, redis.call('XPENDING', WORK, TODO, own, '+', count, CONSUMER), most)
    if #items > 0 then return end
  end
  local from, claimed = '-', 0
  while claimed < MOST_CLAIMED do
    local left = math.min(count - #items, MOST_CLAIMED - claimed)
    if left == 0 then return end
    local found = redis.call('XPENDING', WORK, TODO, 'IDLE', idle, from, '+', left)
    if #found == 0 then return end
    claim(items, found, most)
    from, claimed = '(' .. found[#found][1], claimed + #found
  end
end

-- How many items may be delivered for the first time. The number of delivered and unresolved items is bounded, since every
-- take searches them for those that were held for too long.
local function room(items, count, own, holds, most)
  if own ~= '' and #items > 0 then return 0 end
  return math.max(0, math.min(count - #items, most - holds))
end

-- Delivers the next entries of WORK.
local function deliver(items, count)
  local read = redis.call('XREADGROUP', 'GROUP', TODO, CONSUMER, 'COUNT', count, 'STREAMS', WORK, '>')
  if not read then return end
  for _, entry in ipairs(read[1][2]) do describe(items, entry[1], 1, entry[2]) end
end
