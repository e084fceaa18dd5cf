-- Notes that a generation begins, so that its end is announced even if its producer does not live to do so.
--
-- ARGV[2] the member of OPEN   ARGV[3] when to look, in ms
local noted = redis.pcall('ZADD', OPEN, int(NOW + ARGV[3]), ARGV[2])
if type(noted) == 'table' then
  -- A key of another type is not ours; it is replaced.
  if not string.find(noted.err, 'WRONGTYPE', 1, true) then return noted end
  redis.call('UNLINK', OPEN)
  redis.call('ZADD', OPEN, int(NOW + ARGV[3]), ARGV[2])
end
-- The first open generation: from now on, engines look for unannounced ends more often.
if redis.call('ZCARD', OPEN) == 1 then redis.call('PUBLISH', NEWS, 'o') end
keep(OPEN)
-- If no engine looks, old entries are removed here, once their streams have expired for certain.
local stale = redis.call('ZRANGEBYSCORE', OPEN, '-inf', int(NOW - redis.call('PTTL', OPEN)), 'LIMIT', 0, 16)
if #stale > 0 then redis.call('ZREM', OPEN, unpack(stale)) end
return 0
