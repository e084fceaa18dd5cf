-- Notes that a generation begins, so that its end is announced even if its producer does not live to do so.
--
-- ARGV[2] the member of OPEN   ARGV[3] when to look, in ms
local noted = redis.pcall('ZADD', OPEN, int(NOW + ARGV[3]), ARGV[2])
if type(noted) == 'table' then
  -- Whoever has put something else there has not put it there to stay.
  if not string.find(noted.err, 'WRONGTYPE', 1, true) then return noted end
  redis.call('UNLINK', OPEN)
  redis.call('ZADD', OPEN, int(NOW + ARGV[3]), ARGV[2])
end
-- Whoever looks for ends that nobody has announced does so less often while nothing is open.
if redis.call('ZCARD', OPEN) == 1 then redis.call('PUBLISH', NEWS, 'o') end
keep(OPEN)
-- Where nobody looks, what was left behind goes by itself: later than any stream that was begun here can still be there.
local stale = redis.call('ZRANGEBYSCORE', OPEN, '-inf', int(NOW - redis.call('PTTL', OPEN)), 'LIMIT', 0, 16)
if #stale > 0 then redis.call('ZREM', OPEN, unpack(stale)) end
return 0
