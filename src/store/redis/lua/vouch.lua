-- Shows that a node lives, for all producers that name it with `L` in their entries (see prelude.lua).
--
-- KEYS[1] the node   ARGV[1] for how long, in ms   ARGV[2] what it calls itself, for people
redis.call('HSET', KEYS[1], 'v', '1', 'p', ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
