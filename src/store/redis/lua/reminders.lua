-- All reminders, without their values.
--
-- KEYS[1] the times, see remind.lua   ARGV[1] what the key of each begins with   ARGV[2] the most of them
-- Reply: { key, version | nil, ... }
local reply = {}
for i, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)) do
  local version = redis.pcall('HGET', ARGV[1] .. member, 'v')
  reply[2 * i - 1], reply[2 * i] = member, type(version) == 'string' and version
end
return reply
