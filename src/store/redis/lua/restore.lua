-- Puts back a record that was lost. ARGV: see create.lua, and
--
-- ARGV[13] ordinal   ARGV[14] the seq before the generation's first chunk
-- ARGV[15] the seq before the first chunk that can be written again
-- Reply: see append.lua
local record = load()

if not record.s then
  redis.call('UNLINK', LOG, SEALED)
  record.x = create(record, ARGV[13], ARGV[14])
  redis.call('HSET', META, 'q', ARGV[15], 'y', ARGV[15])
  return done(record, ARGV[15], '0')
end

local own, refusal = standing(record, GENERATION, PRODUCER)
if record.s == 'active' and record.g == GENERATION and record.m == 's' and not own then
  -- Another producer of the shared generation was faster.
  join(record)
  return done(record, record.q, refresh(record))
end
if refusal then return refusal end
commit(record)
own.lease = NOW + ARGV[10]
put(PRODUCER, own)
return done(record, record.q, refresh(record))
