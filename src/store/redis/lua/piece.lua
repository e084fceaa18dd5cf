-- Stores one piece of a large chunk, before the frame that refers to it is appended. The same piece again changes nothing.
--
-- ARGV[4] generation   ARGV[5] producer   ARGV[6] lease, as `prolong` takes it
-- ARGV[7] the chunk's id   ARGV[8] the piece's number   ARGV[9] the piece
-- Reply: see append.lua; { 'incomplete' } when earlier pieces are missing
local PRODUCER, id, number, piece = ARGV[5], ARGV[7], tonumber(ARGV[8]), ARGV[9]

local record = load_for(PRODUCER)
local own, refusal = standing(record, ARGV[4], PRODUCER)
if refusal then return refusal end
local present = pieces(record, id)
if present < number then return { 'incomplete' } end

commit(record)
if present == number then
  local key = large(record.o)
  redis.call('HSET', key, id .. '.' .. number, piece, id, number + 1)
  if redis.call('HLEN', key) == 2 then redis.call('PEXPIRE', key, record.ta) end
  redis.call('HSET', META, 'n', int(record.n + #piece), 'u', int(NOW))
end
prolong(own, ARGV[6])
put(PRODUCER, own)
return done(record, record.q, refresh(record))
