-- The reminders that are due; for a while, nobody else gets them.
--
-- KEYS[1] the times, KEYS[2] the versions, see remind.lua
-- ARGV[1] what the key of each begins with   ARGV[2] the most of them   ARGV[3] how long the while is, in ms
-- ARGV[4] the TTL of what was handed out, in ms   ARGV[5] after how many bytes of values to end
-- Reply: { now, news | nil, when the next one is due | nil, key, version, value, ... }
local members, bytes = {}, 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(NOW), 'LIMIT', 0, ARGV[2])) do
  if bytes > tonumber(ARGV[5]) then break end
  local key = ARGV[1] .. member
  local found = redis.pcall('HMGET', key, 'v', 'd')
  if found.err or not found[1] or not found[2] then
    -- It has expired, or is not ours: it would be looked at forever.
    redis.call('ZREM', KEYS[1], member)
  else
    redis.call('ZADD', KEYS[1], int(NOW + ARGV[3]), member)
    redis.call('PEXPIRE', key, ARGV[4])
    bytes = bytes + #found[2]
    members[#members + 1], members[#members + 2], members[#members + 3] = member, found[1], found[2]
  end
end
if #members > 0 then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end
end
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return { int(NOW), redis.call('HGET', KEYS[2], 'n'), next and int(next) or false, unpack(members) }
