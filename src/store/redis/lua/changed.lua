-- Which of many streams have changed since the caller looked: another generation, an end, lost chunks, no record, or something
-- else in its place.
--
-- KEYS meta of each   ARGV of each "<generation> <last seq>", and " +" if more chunks count as a change too
-- Reply: their numbers, from 1
local changed = {}
for n, key in ipairs(KEYS) do
  local generation, seq, strict = string.match(ARGV[n], '^(%w+) (%d+)(.*)$')
  local found = redis.pcall('HMGET', key, 'g', 's', 'q', 'h')
  local is_same = not found.err and found[1] == generation and found[2] == 'active'
  if is_same then
    -- With what fast appends have done, see prelude.lua.
    local hot = (tonumber(found[4] or 0) or 0) % 2^37
    local more = (tonumber(found[3]) or 0) + math.floor(hot / 2^22) - seq
    is_same = more == 0 or more > 0 and strict == ''
  end
  if not is_same then changed[#changed + 1] = n end
end
return changed
