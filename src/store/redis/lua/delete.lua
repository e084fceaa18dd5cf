-- Removes a stream. Reply: 1 if there was one, else 0.

-- How long a producer that missed the message is told that its generation is gone, and does not put it back.
local TOMBSTONE = 60000

local record = load()
if not exists(record) then
  if record.s then redis.call('HDEL', META, 'x', 'k') else redis.call('UNLINK', META) end
  return 0
end
redis.call('UNLINK', unpack(KEYS))
if record.s == 'active' then
  redis.call('HSET', META, 'g', record.g, 'o', record.o, 's', 'deleted')
  redis.call('PEXPIRE', META, TOMBSTONE)
  tell(record, 'e ' .. record.g .. ' interrupted\n' .. STREAM .. '\ndeleted')
end
redis.call('PUBLISH', LIVE, 'd')
return 1
