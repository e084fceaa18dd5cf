-- Shared by the scripts for the queue of finished generations.
--
-- KEYS[1] queue, a stream: * s <stream id> c <cursor> o <outcome> r <reason>; two consumer groups for each group
-- KEYS[2] open, a sorted set of what has begun and was not announced: "<generation> <stream id>", when to look next
-- ARGV[1] the TTL of both, which is never made shorter
local WORK, OPEN = KEYS[1], KEYS[2]

local function keep(key)
  if redis.call('PTTL', key) < tonumber(ARGV[1]) then redis.call('PEXPIRE', key, ARGV[1]) end
end

-- The queue has no owner.
local function admitted() return true end

-- Other groups may still need it.
local function discard(id) end

local function describe(items, id, deliveries, fields)
  local entry = fields or (redis.call('XRANGE', WORK, id, id)[1] or {})[2]
  if not entry then return end
  local named = {}
  for i = 1, #entry, 2 do named[entry[i]] = entry[i + 1] end
  if not (named.s and named.c and named.o and named.r) then
    -- Not written by us: it is left out.
    redis.call('XACK', WORK, 'g ' .. ARGV[5], id)
    return
  end
  items[#items + 1] = { id, int(deliveries), named.s, named.c, named.o, named.r }
end
