-- The generations that are due for a look; for a while, nobody else gets them.
--
-- ARGV[2] the most of them   ARGV[3] how long the while is, in ms
-- Reply: { when the next one is to be looked at | nil, member, ... }
local members = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', OPEN, '-inf', int(NOW), 'LIMIT', 0, ARGV[2])) do
  if string.find(member, '^%w+ .') then
    redis.call('ZADD', OPEN, int(NOW + ARGV[3]), member)
    members[#members + 1] = member
  else
    -- Not written by us: it would be looked at forever.
    redis.call('ZREM', OPEN, member)
  end
end
local due = redis.call('ZRANGE', OPEN, 0, 0, 'WITHSCORES')[2]
return { due and int(math.max(0, due - NOW)) or false, unpack(members) }
