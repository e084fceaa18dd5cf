-- Hands a group's next chunks to a consumer.
--
-- ARGV[7] the most items   ARGV[8] for how long others keep theirs   ARGV[9] deliveries after which an item is dead
-- ARGV[10] '' or, to get back what it holds itself, "(<id>" to begin after   ARGV[11] the most groups
-- ARGV[12] where a new group begins: `start`, `now` or `after`   ARGV[13] generation   ARGV[14] seq
-- Reply: nil | { 'forbidden' } | { 'full' }
--      | { 'taken', outcome | nil, reason | nil, cursor after which what was lost goes on | nil, { item, ... } }
local count, own = tonumber(ARGV[7]), ARGV[10]

local record = load()
if not exists(record) then return false end
if not allowed(record.w, ARGV[4]) then return { 'forbidden' } end
settle(record)

-- The generations that are kept, in their order.
local kept = { { g = record.g, o = tonumber(record.o), b = tonumber(record.b), q = tonumber(record.q) } }
local current = kept[1]
if record.pg then
  local previous = { g = record.pg, o = tonumber(record.po), b = tonumber(record.pb), q = current.b }
  table.insert(kept, 1, previous)
end
local oldest = kept[1]

-- The last chunk that was added to the group's work.
local known, at, lost = redis.call('HGET', GROUPS, ARGV[5]), nil, nil
local pending = is_group()
if known and pending then
  local ordinal, seq = string.match(known, '^(%d+)-(%d+)$')
  at = { o = tonumber(ordinal), q = tonumber(seq) }
else
  at = { o = current.o, q = current.b }
  if known then
    -- What it has not done was lost with its work: everything comes again.
    at = { o = oldest.o, q = oldest.b }
  elseif redis.call('HLEN', GROUPS) >= tonumber(ARGV[11]) then
    return { 'full' }
  elseif ARGV[12] == 'now' then
    at.q = current.q
  elseif ARGV[12] == 'after' then
    lost = current.g .. '.' .. int(current.b)
    for _, each in ipairs(kept) do
      if each.g == ARGV[13] then
        at = { o = each.o, q = math.min(math.max(tonumber(ARGV[14]), each.b), each.q) }
        lost = nil
      end
    end
  end
  make(0)
  redis.call('HSET', GROUPS, ARGV[5], int(at.o) .. '-' .. int(at.q))
  local ttl = redis.call('PTTL', META)
  redis.call('PEXPIRE', GROUPS, ttl)
  redis.call('PEXPIRE', WORK, ttl)
end

-- What belongs to older generations cannot be read any more.
if at.o < oldest.o then
  if at.q < oldest.b then lost = oldest.g .. '.' .. int(oldest.b) end
  at = { o = oldest.o, q = oldest.b }
end
for _, entry in ipairs(redis.call('XRANGE', WORK, '-', '(' .. int(oldest.o) .. '-0', 'COUNT', 256)) do
  if redis.call('XACK', WORK, TODO, entry[1]) == 1 then lost = lost or oldest.g .. '.' .. int(oldest.b) end
  redis.call('XACK', WORK, DEAD, entry[1])
  discard(entry[1])
end

local items = {}
if not lost then
  reclaim(items, count, ARGV[8], tonumber(ARGV[9]), own)
  local wanted, added = count - #items, 0
  if own ~= '' and #items > 0 then wanted = 0 end
  for _, each in ipairs(kept) do
    if at.o < each.o then at = { o = each.o, q = each.b } end
    while at.o == each.o and at.q < each.q and added < wanted do
      at.q = at.q + 1
      added = added + 1
      redis.call('XADD', WORK, int(at.o) .. '-' .. int(at.q), '', '')
    end
    if at.o == each.o and at.q < each.q then break end
  end
  if added > 0 then deliver(items, added) end
end
redis.call('HSET', GROUPS, ARGV[5], int(at.o) .. '-' .. int(at.q))

local outcome, reason = false, false
if #items == 0 and not lost and record.s ~= 'active' and at.o == current.o and at.q == current.q then
  if redis.call('XPENDING', WORK, TODO)[1] == 0 then outcome, reason = record.s, record.r end
end
return { 'taken', outcome, reason, lost or false, items }
