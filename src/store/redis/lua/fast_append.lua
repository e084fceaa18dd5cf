-- The common append, for up to 64 streams at once: an only producer's next batch, when nobody has changed its stream since
-- the last one.
--
-- Takes a third of append.lua's time: it compares one number, and neither parses nor formats anything. The number is the
-- field `h`, see prelude.lua. append.lua sets it for an active, exclusive generation without a stop, for as long as lease
-- and TTLs need no refresh. Other scripts add its value to the fields that it stands for when they read the record, and write
-- these fields before they change the record (`fold` and `commit` in prelude.lua).
--
-- For each append two keys, meta and log, and five arguments: live channel, what `h` grows by, what it is then, the entry's
-- id, the message with the frame, which is never too long to be sent along.
-- Reply: the number of appends, then the index of each that was refused: for it nothing was done, and append.lua has to decide and
-- to say what is wrong; and, negative, that of each whose message nobody has received, so that the usual reply is short; at the end the
-- server's first error, if there was one

local keys, args = KEYS, ARGV
local call, try, find, sub, number = redis.call, redis.pcall, string.find, string.sub, tonumber
local reply, trouble = { #keys / 2 }, nil
for n = 1, #keys / 2 do
  local meta, at = keys[2 * n - 1], 5 * n - 4
  local growth, to = args[at + 1], number(args[at + 2])
  local is_done, is_heard = false, true
  -- An error of one stream does not affect the others.
  local grown = try('HINCRBY', meta, 'h', growth)
  if grown == to then
    local message = args[at + 4]
    local line = find(message, '\n', 1, true)
    local added = try('XADD', keys[2 * n], 'NOMKSTREAM', args[at + 3], 'f', sub(message, line + 1))
    is_done = added and not added.err
    trouble = trouble or added and added.err
    if is_done then is_heard = call('PUBLISH', args[at], message) ~= 0 end
  end
  if type(grown) == 'number' and not is_done then
    local before = call('HINCRBY', meta, 'h', '-' .. growth)
    -- There was no record: HINCRBY has just created one.
    if before == 0 and call('HLEN', meta) == 1 then call('DEL', meta) end
    -- The same batch a second time: it was written before.
    is_done = before == to
  elseif not is_done then
    trouble = trouble or grown.err
  end
  if not is_done then reply[#reply + 1] = n elseif not is_heard then reply[#reply + 1] = -n end
end
if trouble then reply[#reply + 1] = trouble end
return reply
