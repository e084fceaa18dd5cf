-- Makes, changes or removes a reminder, if it has the version that the caller knows.
--
-- KEYS[1] the reminder, a hash: v its version, d its value   KEYS[2] a sorted set: the key of each, by when it is due
-- KEYS[3] a hash: v the last version that was given out, n the last one that is news
-- ARGV[1] its key   ARGV[2] the version that it must have, 0 for none   ARGV[3] '' to remove it, or '=' and the value
-- ARGV[4] when it is due, in ms since 1970   ARGV[5] its TTL, in ms   ARGV[6] 1 if this is news   ARGV[7] the most reminders
-- Reply: { 'done', now, version } | { 'other', now, version | nil, value } | { 'full', now }
local found = redis.call('HMGET', KEYS[1], 'v', 'd')
local version, value = found[1], found[2]
local wanted = ARGV[3] ~= '' and string.sub(ARGV[3], 2)
if (version or '0') ~= ARGV[2] then
  if version then list(KEYS[2], KEYS[1], ARGV[1]) end
  -- Perhaps this very change, whose answer was lost.
  if value == wanted then return { 'done', int(NOW), version or '0' } end
  return { 'other', int(NOW), version, value }
end
if not wanted and not version then return { 'done', int(NOW), '0' } end
if wanted and not version and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[7]) then return { 'full', int(NOW) } end

-- Later than those of before a loss, which somebody may still know.
local given = int(math.max((tonumber(redis.call('HGET', KEYS[3], 'v') or 0) or 0) + 1, NOW * 1000))
redis.call('HSET', KEYS[3], 'v', given)
if ARGV[6] == '1' then redis.call('HSET', KEYS[3], 'n', given) end
if wanted then
  redis.call('HSET', KEYS[1], 'v', given, 'd', wanted)
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
else
  given = '0'
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[5]) end
return { 'done', int(NOW), given }
