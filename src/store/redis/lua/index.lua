-- Enters a stream into its index shard, which lives longer than anything it names.
--
-- KEYS[1] index shard   ARGV[1] stream id   ARGV[2] TTL in ms
-- Reply: 1
redis.call('SADD', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
