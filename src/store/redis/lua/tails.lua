-- Where many streams end. It reads a few fields of each record, and changes nothing.
--
-- KEYS meta of each
-- Reply: five for each: generation, the seq before its first chunk, last seq, owner | nil, origin | nil (of a fork); all of them nil if there
-- is no stream, or something else in its place
local reply = {}
for n, key in ipairs(KEYS) do
  local state, generation, base, last, hot, owner, origin = unpack(redis.pcall('HMGET', key, 's', 'g', 'b', 'q', 'h', 'w', 'ff'))
  local at = 5 * n
  for i = at - 4, at do reply[i] = false end
  if state and state ~= 'deleted' and generation and tonumber(base) and tonumber(last) then
    -- With what fast appends have done, see prelude.lua.
    local more = math.floor((tonumber(hot) or 0) % 2^37 / 2^22)
    reply[at - 4], reply[at - 3], reply[at - 2] = generation, base, string.format('%.0f', last + more)
    reply[at - 1], reply[at] = owner, origin
  end
end
return reply
