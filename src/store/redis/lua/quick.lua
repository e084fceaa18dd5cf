-- The common append, in front of append.lua: an only producer's next batch, when nobody has looked at the stream since.
--
-- Takes half of the time: it compares one field and replaces it, and neither parses nor formats anything. The field is
-- `h`, "<producer> <batch> <last seq> <encoded bytes since it was set>". It is set by append.lua, for an active,
-- exclusive generation without a stop, for as long as lease and TTLs need no refresh; every other script puts what it
-- says back where it belongs and removes it (`fold` in prelude.lua).
--
-- ARGV[1] live channel   ARGV[12] frame   ARGV[13] what `h` must be, or ''   ARGV[14] what it becomes
-- ARGV[15] the entry's id   ARGV[16] the message, up to the frame
-- Reply: 1, or what append.lua says
if ARGV[13] ~= '' then
  local hot = redis.call('HGET', KEYS[1], 'h')
  -- The same batch again.
  if hot == ARGV[14] then return 1 end
  if hot == ARGV[13] and redis.call('XADD', KEYS[2], 'NOMKSTREAM', ARGV[15], 'f', ARGV[12]) then
    redis.call('HSET', KEYS[1], 'h', ARGV[14])
    redis.call('PUBLISH', ARGV[1], #ARGV[12] <= 16384 and ARGV[16] .. '\n' .. ARGV[12] or ARGV[16])
    return 1
  end
end
