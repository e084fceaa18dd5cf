-- Changes and reads the list of a log's forks.
--
-- ARGV[4] `add`, `drop` or `show`   ARGV[5] the log's generation, if one is added   ARGV[6] the most forks that it may have then
-- ARGV[7…] the streams that are added or dropped
-- Reply: { whether one was added, whether the log was deleted, stream, … }, the first two `1` or `0`
local FORKS, KEPT, added = forks(), 30 * 24 * 3600 * 1000, '0'

if ARGV[4] == 'add' then
  local g, s, m, ttl = unpack(redis.call('HMGET', META, 'g', 's', 'm', 'ta'))
  local name = '=' .. ARGV[7]
  local has_room = redis.call('HGET', FORKS, name) or redis.call('HLEN', FORKS) < tonumber(ARGV[6])
  if g == ARGV[5] and s ~= 'deleted' and m == 'l' and has_room then
    redis.call('HSET', FORKS, name, '1')
    redis.call('PEXPIRE', FORKS, math.max(redis.call('PTTL', META), ttl))
    added = '1'
  end
elseif ARGV[4] == 'drop' then
  local gone = {}
  for i = 7, #ARGV do gone[i - 6] = '=' .. ARGV[i] end
  if #gone > 0 then redis.call('HDEL', FORKS, unpack(gone)) end
  if redis.call('HLEN', FORKS) == 1 then redis.call('HDEL', FORKS, '!') end
end

local is_kept = redis.call('HGET', FORKS, '!')
if is_kept then redis.call('PEXPIRE', FORKS, KEPT) end
local reply = { added, is_kept and '1' or '0' }
for _, field in ipairs(redis.call('HKEYS', FORKS)) do
  if field ~= '!' then reply[#reply + 1] = string.sub(field, 2) end
end
return reply
