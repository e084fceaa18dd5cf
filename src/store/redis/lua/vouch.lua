-- Shows that a node lives, for all producers that name it with `L` in their entries (see prelude.lua).
--
-- KEYS[1] the node   ARGV[1] for how long, in ms
redis.call('HSET', KEYS[1], 'v', '1')
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
