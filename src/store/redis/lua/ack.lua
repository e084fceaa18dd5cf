-- Moves the cursors of consumers forward.
--
-- ARGV[4] who asks, as `allowed` takes it   ARGV[5] the most consumers
-- ARGV[6] consumer   ARGV[7] generation   ARGV[8] seq   and so on, three for each consumer
-- Reply: { 'missing' } | { 'forbidden' } | { 'acked', whether there is room for the consumer, ... }
local CURSORS, most = KEYS[4], tonumber(ARGV[5])

local names = { 'g', 'o', 'b', 'q', 'n', 's', 'w', 'cg', 'pg', 'po', 'pb', 'h', 'hp' }
local record = {}
for i, value in ipairs(redis.call('HMGET', META, unpack(names))) do record[names[i]] = value end
if not exists(record) then return { 'missing' } end
if not allowed(record.w, ARGV[4]) then return { 'forbidden' } end
fold(record)

-- Ordinal, base and last seq of a generation, if it is kept.
local function kept(generation)
  if generation == record.g then return tonumber(record.o), tonumber(record.b), tonumber(record.q) end
  if generation == record.pg then return tonumber(record.po), tonumber(record.pb), tonumber(record.b) end
end

local function split(cursor) return string.match(cursor, '^(%w+)%.(%d+)$') end

local count = redis.call('HLEN', CURSORS)

-- Drops the consumers whose cursors are in generations that are no longer kept: once in a generation, which then has none of them.
local function make_room()
  if record.cg == record.g then return end
  record.cg = record.g
  redis.call('HSET', META, 'cg', record.cg)
  local flat, gone = redis.call('HGETALL', CURSORS), {}
  for i = 1, #flat, 2 do
    if not kept(split(flat[i + 1])) then gone[#gone + 1] = flat[i] end
  end
  if #gone > 0 then count = count - redis.call('HDEL', CURSORS, unpack(gone)) end
end

local reply = { 'acked' }
for i = 6, #ARGV, 3 do
  local ordinal, base, last = kept(ARGV[i + 1])
  local cursor = redis.call('HGET', CURSORS, ARGV[i])
  local taken = '1'
  if ordinal then
    local seq = math.min(math.max(tonumber(ARGV[i + 2]), base), last)
    local generation, before = split(cursor or '')
    local standing = cursor and kept(generation) or 0
    if not cursor and count >= most then make_room() end
    if not cursor and count >= most then
      taken = '0'
    elseif ordinal > standing or ordinal == standing and seq > tonumber(before) then
      redis.call('HSET', CURSORS, ARGV[i], ARGV[i + 1] .. '.' .. int(seq))
      if not cursor then count = count + 1 end
    end
  end
  reply[#reply + 1] = taken
end
-- A new hash, and one that was emptied in between, has no TTL.
if count > 0 and redis.call('PTTL', CURSORS) < 0 then redis.call('PEXPIRE', CURSORS, redis.call('PTTL', META)) end
return reply
