-- Stores a part of the beginning of a fork that is not open yet. A repeated step changes nothing.
--
-- ARGV[4] the attempt   ARGV[5] number of the step, from 0   ARGV[6] `begin`, `frame` or `piece`
-- Of a frame: ARGV[7] the seq it ends with   ARGV[8] the frame   ARGV[9] bytes of it when inflated
-- Of a piece: ARGV[7] the chunk's id   ARGV[8] the piece's number   ARGV[9] the piece
-- Reply: { 'done', ordinal } | { 'taken' } | { 'lost' }
--
-- staged, a hash: id the attempt   step its last step   o the ordinal that the fork will have   q the last seq
--   f frames   h fields beside them, of large chunks   n their bytes   v the longest frame, as in the record
local STAGED, kind = staged(), ARGV[6]
-- How long it is kept after its last step.
local PATIENCE = 600000

local record = load()
if exists(record) then return { 'taken' } end
local ordinal = record.o and int(record.o + 1) or '1'
local id, step, own, frames, fields, bytes, longest = unpack(redis.call('HMGET', STAGED, 'id', 'step', 'o', 'f', 'h', 'n', 'v'))
if kind == 'begin' then
  if id ~= ARGV[4] then
    redis.call('UNLINK', LOG, SEALED, STAGED, large(0), large(1))
    redis.call('HSET', STAGED, 'id', ARGV[4], 'step', '0', 'o', ordinal, 'q', '0', 'f', '0', 'h', '0', 'n', '0', 'v', '0')
  end
elseif id ~= ARGV[4] or own ~= ordinal or tonumber(ARGV[5]) > step + 1 then
  return { 'lost' }
elseif tonumber(ARGV[5]) == step + 1 then
  if kind == 'frame' then
    redis.call('XADD', SEALED, ordinal .. '-' .. ARGV[7], 'f', ARGV[8], 'n', ARGV[9])
    if #ARGV[8] > math.max(SENT_ALONG, tonumber(longest)) then longest = int(#ARGV[8]) end
    redis.call('HSET', STAGED, 'q', ARGV[7], 'f', int(frames + 1), 'n', int(bytes + #ARGV[8]), 'v', longest)
  else
    local more = redis.call('HSET', large(ordinal), ARGV[7] .. '.' .. ARGV[8], ARGV[9], ARGV[7], int(ARGV[8] + 1))
    redis.call('HSET', STAGED, 'h', int(fields + more), 'n', int(bytes + #ARGV[9]))
  end
  redis.call('HSET', STAGED, 'step', ARGV[5])
end
for _, key in ipairs({ STAGED, SEALED, large(ordinal) }) do redis.call('PEXPIRE', key, PATIENCE) end
return { 'done', ordinal }
