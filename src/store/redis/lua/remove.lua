-- Removes a stream; stands between the prelude and the script itself.

-- For how long a producer that missed the message can learn that its generation was deleted, so that it does not restore it.
local TOMBSTONE = 60000

-- How long the name of a log with forks is reserved after the last request for it.
local KEPT = 30 * 24 * 3600 * 1000

local function remove(record)
  redis.call('UNLINK', META, unpack(works()))
  redis.call('UNLINK', large(0), large(1), writers(), staged(), unpack(KEYS))
  if record.m == 'l' and redis.call('HLEN', forks()) > 0 then
    redis.call('HSET', forks(), '!', '1')
    redis.call('PEXPIRE', forks(), KEPT)
  else
    redis.call('UNLINK', forks())
  end
  if record.s == 'active' then
    redis.call('HSET', META, 'g', record.g, 'o', record.o, 's', 'deleted')
    redis.call('PEXPIRE', META, TOMBSTONE)
    tell_producers(record, 'e ' .. record.g .. ' interrupted\n' .. STREAM .. '\ndeleted')
  end
  redis.call('PUBLISH', LIVE, 'd')
end
