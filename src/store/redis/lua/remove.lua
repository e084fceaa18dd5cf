-- What removes a stream; stands between the prelude and the script itself.

-- How long a producer that missed the message is told that its generation is gone, and does not put it back.
local TOMBSTONE = 60000

local function remove(record)
  redis.call('UNLINK', META, unpack(works()))
  redis.call('UNLINK', large(0), large(1), writers(), unpack(KEYS))
  if record.s == 'active' then
    redis.call('HSET', META, 'g', record.g, 'o', record.o, 's', 'deleted')
    redis.call('PEXPIRE', META, TOMBSTONE)
    tell_producers(record, 'e ' .. record.g .. ' interrupted\n' .. STREAM .. '\ndeleted')
  end
  redis.call('PUBLISH', LIVE, 'd')
end
