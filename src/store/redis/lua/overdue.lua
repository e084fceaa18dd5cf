-- Which generations are to be looked at now; nobody else is told of them for a while.
--
-- ARGV[2] the most of them   ARGV[3] how long the while is, in ms
-- Reply: { when the next one is to be looked at | nil, member, ... }
local members = redis.call('ZRANGEBYSCORE', OPEN, '-inf', int(NOW), 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do redis.call('ZADD', OPEN, int(NOW + ARGV[3]), member) end
local due = redis.call('ZRANGE', OPEN, 0, 0, 'WITHSCORES')[2]
return { due and int(math.max(0, due - NOW)) or false, unpack(members) }
