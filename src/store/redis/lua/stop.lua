-- Requests a stop.
--
-- KEYS[6] stops
-- ARGV[4] reason   ARGV[5] who asks, as `allowed` takes it   ARGV[6] how long it is kept for a stream to come
-- ARGV[7] the most owners whose stops are kept
-- Reply: 'stopping' | 'kept' | 'full' | 'ended' | 'forbidden'
local STOPS, reason, check, keep, most = KEYS[6], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

-- Drops the stops that have expired; returns when the next one expires, if there is room for one more now.
local function make_room(earliest)
  if earliest > NOW then return nil end
  local flat = redis.call('HGETALL', STOPS)
  earliest = NOW + keep
  local gone = {}
  for i = 1, #flat, 2 do
    local till = tonumber(string.match(flat[i + 1], '^%d+'))
    if flat[i] ~= 'e' and till and till > NOW then
      earliest = math.min(earliest, till)
    elseif flat[i] ~= 'e' then
      gone[#gone + 1] = flat[i]
    end
  end
  if #gone > 0 then redis.call('HDEL', STOPS, unpack(gone)) end
  redis.call('HSET', STOPS, 'e', int(earliest))
  return redis.call('HLEN', STOPS) <= most and earliest
end

-- Keeps the stop of an owner, which only this owner can replace.
local function keep_own()
  local till = NOW + keep
  local earliest = tonumber(redis.call('HGET', STOPS, 'e') or till)
  if not redis.call('HGET', STOPS, check) and redis.call('HLEN', STOPS) > most then
    earliest = make_room(earliest)
    if not earliest then return false end
  end
  redis.call('HSET', STOPS, check, int(till) .. ' ' .. reason, 'e', int(math.min(earliest, till)))
  return true
end

local record = load()
if not exists(record) then
  if string.sub(check, 1, 1) == '=' and not keep_own() then return 'full' end
  redis.call('HSET', META, 'x', reason, 'k', check)
  redis.call('PEXPIRE', META, int(math.max(keep, redis.call('PTTL', META))))
  redis.call('PEXPIRE', STOPS, redis.call('PTTL', META))
  return 'kept'
end
if not allowed(record.w, check) then return 'forbidden' end
lapse(record)
if record.s ~= 'active' then return 'ended' end
if not record.x then
  commit(record)
  redis.call('HSET', META, 'x', reason)
  record.x = reason
end
tell_producers(record, 's ' .. record.g .. '\n' .. STREAM .. '\n' .. record.x)
return 'stopping'
