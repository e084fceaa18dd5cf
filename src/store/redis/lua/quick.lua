-- The common append, for up to 64 streams at once: an only producer's next batch, when nobody has changed its stream since
-- the last one.
--
-- Takes a third of append.lua's time: it compares one number, and neither parses nor formats anything. The number is the
-- field `h`, see prelude.lua. append.lua sets it for an active, exclusive generation without a stop, for as long as lease
-- and TTLs need no refresh. Other scripts read the record as if what it says stood where it belongs, and those that change
-- the record put it there and remove it (`fold` and `commit` in prelude.lua).
--
-- For each append two keys, meta and log, and six arguments: live channel, what `h` grows by, what it is then, the entry's
-- id, the message up to the frame, the frame.
-- Reply: for each 1, or 0 when nothing was done: the whole of append.lua has to decide, and to say what is wrong

-- As in append.lua, larger frames are announced without their bytes.
local SENT_ALONG = 16384

local call, try = redis.call, redis.pcall
local reply = {}
for n = 1, #KEYS / 2 do
  local meta, at = KEYS[2 * n - 1], 6 * n - 5
  local growth, to = ARGV[at + 1], tonumber(ARGV[at + 2])
  local is_done = false
  -- What goes wrong with one stream is of no concern to the others.
  local grown = try('HINCRBY', meta, 'h', growth)
  if grown == to then
    local frame = ARGV[at + 5]
    local added = try('XADD', KEYS[2 * n], 'NOMKSTREAM', ARGV[at + 3], 'f', frame)
    is_done = added and not added.err
    if is_done then
      local message = ARGV[at + 4]
      call('PUBLISH', ARGV[at], #frame <= SENT_ALONG and message .. '\n' .. frame or message)
    end
  end
  if type(grown) == 'number' and not is_done then
    local before = call('HINCRBY', meta, 'h', '-' .. growth)
    -- There was no record, and there is to be none.
    if before == 0 and call('HLEN', meta) == 1 then call('DEL', meta) end
    -- The same batch again is done already.
    is_done = before == to
  end
  reply[n] = is_done and 1 or 0
end
return reply
