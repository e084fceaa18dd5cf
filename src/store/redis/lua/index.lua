-- Enters a stream into its index shard, a sorted set: stream id -> the time at which nothing of the stream can be left. The
-- fraction of that time, in 1024ths, is the tag of the generation that has set it.
--
-- KEYS[1] index shard   ARGV[1] stream id   ARGV[2] how much longer something can be left, in ms   ARGV[3] the generation's tag
-- ARGV[4] '1': the generation has ended, so that its own entry may be made shorter
-- Reply: 1
if redis.replicate_commands then redis.replicate_commands() end

-- The most expired entries that are removed with each new one: more than one, so that the index shrinks.
local TRIMMED = 16

local INDEX, ID, tag = KEYS[1], ARGV[1], ARGV[3] / 1024
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function int(number) return string.format('%.0f', number) end

local known = redis.pcall('ZSCORE', INDEX, ID)
if type(known) == 'table' then
  -- A key of another type is not ours; it is replaced.
  if not string.find(known.err, 'WRONGTYPE', 1, true) then return known end
  redis.call('UNLINK', INDEX)
  known = false
end
local at = now + ARGV[2]
if known and ARGV[4] ~= '1' then
  -- Always different from before, so that unlist.lua can tell that the entry was renewed.
  at = math.max(at, math.floor(known) + 1)
elseif known and known % 1 ~= tag then
  return 1
end
redis.call('ZADD', INDEX, string.format('%.17g', at + tag), ID)
if redis.call('PTTL', INDEX) < at - now then redis.call('PEXPIRE', INDEX, int(at - now)) end
local over = redis.call('ZRANGEBYSCORE', INDEX, '-inf', int(now), 'LIMIT', 0, TRIMMED)
if #over > 0 then redis.call('ZREM', INDEX, unpack(over)) end
return 1
