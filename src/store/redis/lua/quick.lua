-- The common append, for up to 64 streams at once: an only producer's next batch, when nobody has changed its stream since
-- the last one.
--
-- Takes a third of append.lua's time: it compares one field and replaces it, and neither parses nor formats anything. The
-- field is `h`, "<producer> <batch> <last seq> <encoded bytes since it was set>". append.lua sets it for an active,
-- exclusive generation without a stop, for as long as lease and TTLs need no refresh. Other scripts read the record as if
-- what it says stood where it belongs, and those that change the record put it there and remove it (`fold` and `commit`
-- in prelude.lua).
--
-- For each append two keys, meta and log, and six arguments: live channel, what `h` must be, what it becomes, the entry's
-- id, the message up to the frame, the frame.
-- Reply: for each 1, or 0 when nothing was done: the whole of append.lua has to decide, and to say what is wrong

-- As in append.lua, larger frames are announced without their bytes.
local SENT_ALONG = 16384

local reply = {}
for n = 1, #KEYS / 2 do
  local meta, log, at = KEYS[2 * n - 1], KEYS[2 * n], 6 * n - 5
  local to, message, frame = ARGV[at + 2], ARGV[at + 4], ARGV[at + 5]
  local hot = redis.pcall('HGET', meta, 'h')
  -- The same batch again is done already. What goes wrong with one stream is of no concern to the others.
  reply[n] = hot == to and 1 or 0
  if hot == ARGV[at + 1] then
    local added = redis.pcall('XADD', log, 'NOMKSTREAM', ARGV[at + 3], 'f', frame)
    if added and not added.err then
      redis.call('HSET', meta, 'h', to)
      redis.call('PUBLISH', ARGV[at], #frame <= SENT_ALONG and message .. '\n' .. frame or message)
      reply[n] = 1
    end
  end
end
return reply
