-- Requests a stop.
--
-- ARGV[4] reason   ARGV[5] who asks, as `allowed` takes it   ARGV[6] how long it is kept for a stream to come
-- Reply: 'stopping' | 'kept' | 'ended' | 'forbidden'
local reason, check, keep = ARGV[4], ARGV[5], tonumber(ARGV[6])

local record = load()
if not exists(record) then
  redis.call('HSET', META, 'x', reason, 'k', check)
  redis.call('PEXPIRE', META, int(math.max(keep, redis.call('PTTL', META))))
  return 'kept'
end
if not allowed(record.w, check) then return 'forbidden' end
settle(record)
if record.s ~= 'active' then return 'ended' end
if not record.x then
  commit(record)
  redis.call('HSET', META, 'x', reason)
  record.x = reason
end
tell(record, 's ' .. record.g .. '\n' .. STREAM .. '\n' .. record.x)
return 'stopping'
