-- Looks at reminders.
--
-- KEYS the hash of each, see remind.lua
-- Reply: { now, version | nil, value | nil, version | nil, value | nil, ... }
local reply = { int(NOW) }
for _, key in ipairs(KEYS) do
  local found = redis.call('HMGET', key, 'v', 'd')
  reply[#reply + 1], reply[#reply + 2] = found[1], found[2]
end
return reply
