-- Delivers a group's next chunks to a consumer.
--
-- ARGV[7] the most items   ARGV[8] ms after which items of other consumers are redelivered   ARGV[9] deliveries after which one is dead
-- ARGV[10] '' or, to get back what it holds itself, "(<id>" to begin after   ARGV[11] the most groups
-- ARGV[12] where a new group begins: `start`, `now` or `after`   ARGV[13] generation   ARGV[14] seq
-- ARGV[15] how many items a group holds at most
-- ARGV[16] up to where the consumer knows that everything is lost, a cursor, or '': the group goes on after it
-- Reply: nil | { 'forbidden' } | { 'full' }
--      | { 'taken', outcome | nil, reason | nil, cursor after which what was lost continues | nil, { item, ... } }
-- An answer that tells of a loss has no items, and changes nothing before it is known to have arrived.
local count, own = tonumber(ARGV[7]), ARGV[10]
local told_generation, told_seq = string.match(ARGV[16], '^(%w+)%.(%d+)$')
told_seq = tonumber(told_seq)

local record = load()
if not exists(record) then return false end
if not allowed(record.w, ARGV[4]) then return { 'forbidden' } end
lapse(record)

-- The kept generations, the oldest first.
local kept = { { g = record.g, o = tonumber(record.o), b = tonumber(record.b), q = tonumber(record.q) } }
local current = kept[1]
if record.pg then
  local previous = { g = record.pg, o = tonumber(record.po), b = tonumber(record.pb), q = current.b }
  table.insert(kept, 1, previous)
end
local oldest = kept[1]

-- A chunk's position, from its entry id.
local function place(id)
  local ordinal, seq = string.match(id or '', '^(%d+)-(%d+)$')
  return ordinal and { o = tonumber(ordinal), q = tonumber(seq) }
end

local function after(one, other) return one.o > other.o or one.o == other.o and one.q > other.q end

-- The last chunk that was added to the group's work.
local known, found = redis.call('HGET', GROUPS, ARGV[5]), halves()
local todo, at, lost = found[TODO], place(known), nil
-- Redis may have evicted the position but not the work, the work but not the position, or the stream; and a restored stream
-- may be shorter. If they do not match, both are dropped.
if not at or not todo or after(place(todo.last), at) or after(at, current) then
  at = { o = current.o, q = current.b }
  if known or todo then
    -- The unresolved items are not known: all are delivered again.
    at = { o = oldest.o, q = oldest.b }
  elseif redis.call('HLEN', GROUPS) >= tonumber(ARGV[11]) then
    return { 'full' }
  elseif ARGV[12] == 'now' then
    at.q = current.q
  elseif ARGV[12] == 'after' then
    lost = current.g .. '.' .. int(current.b)
    for _, each in ipairs(kept) do
      if each.g == ARGV[13] then
        local seen = tonumber(ARGV[14])
        at = { o = each.o, q = math.min(math.max(seen, each.b), each.q) }
        lost = nil
        -- A log that ends before the cursor has lost what was seen there, and goes on at the end that the consumer has been told.
        local ending = told_generation == each.g and told_seq or each.q
        if record.m == 'l' and seen > ending then
          at.q = math.min(ending, each.q)
          lost = each.g .. '.' .. int(ending)
        end
      end
    end
  end
  todo = nil
end

-- Chunks of older generations can no longer be read.
if at.o < oldest.o then
  if at.q < oldest.b or todo and todo.holds > 0 then lost = oldest.g .. '.' .. int(oldest.b) end
  at, todo = { o = oldest.o, q = oldest.b }, nil
end

for _, each in ipairs(kept) do
  if each.g == told_generation and each.o == at.o then at.q = math.max(at.q, math.min(told_seq, each.q)) end
end

local function is_unheard() return lost and lost ~= ARGV[16] end
local function told() return { 'taken', false, false, lost, {} } end
if is_unheard() then return told() end

if todo then
  -- Items of a generation that is no longer kept; there are few of them.
  local ids, old = {}, redis.call('XRANGE', WORK, '-', '(' .. int(oldest.o) .. '-0', 'COUNT', 512)
  for i, entry in ipairs(old) do ids[i] = entry[1] end
  if #ids > 0 then
    local held = redis.call('XPENDING', WORK, TODO, '-', '(' .. int(oldest.o) .. '-0', 1)
    if #held > 0 then lost = lost or oldest.g .. '.' .. int(oldest.b) end
    if is_unheard() then return told() end
    redis.call('XACK', WORK, TODO, unpack(ids))
    redis.call('XACK', WORK, DEAD, unpack(ids))
    redis.call('XDEL', WORK, unpack(ids))
    todo = halves()[TODO]
  end
else
  redis.call('UNLINK', WORK)
  make({}, 0)
  todo = { holds = 0 }
  redis.call('HSET', GROUPS, ARGV[5], int(at.o) .. '-' .. int(at.q))
  for _, key in ipairs({ GROUPS, WORK }) do redis.call('PEXPIRE', key, redis.call('PTTL', META)) end
end

local items = {}
if not lost then
  reclaim(items, count, ARGV[8], tonumber(ARGV[9]), own)
  local wanted, added = room(items, count, own, todo.holds, tonumber(ARGV[15])), 0
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
  if halves()[TODO].holds == 0 then outcome, reason = record.s, record.r end
end
return { 'taken', outcome, reason, lost or false, items }
