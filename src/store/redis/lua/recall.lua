-- Looks at reminders.
--
-- KEYS the hash of each, see remind.lua, and the times   ARGV the key of each
-- Reply: { now, version | nil, value | nil, version | nil, value | nil, ... }
local reply = { int(NOW) }
for i, name in ipairs(ARGV) do
  local found = redis.call('HMGET', KEYS[i], 'v', 'd')
  if found[1] then list(KEYS[#KEYS], KEYS[i], name) end
  reply[#reply + 1], reply[#reply + 2] = found[1], found[2]
end
return reply
