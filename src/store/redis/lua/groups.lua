-- Lists the groups of a stream; one that has lost its work has nothing.
--
-- Reply: nil | { { group, held, dead, behind }, ... }, all of them text
local record = load()
if not exists(record) then return false end

local listed, places = {}, redis.call('HGETALL', KEYS[5])
for i = 1, #places, 2 do
  local group, held, dead = places[i], 0, 0
  local halves = redis.pcall('XINFO', 'GROUPS', string.sub(META, 1, -5) .. 'work:' .. group)
  -- A refused command must not look like an empty list.
  if halves.err and not string.find(halves.err, 'no such key', 1, true) then return halves end
  for _, flat in ipairs(halves.err and {} or halves) do
    local half = {}
    for at = 1, #flat, 2 do half[flat[at]] = flat[at + 1] end
    if half.name == 'g ' .. group then held = half.pending end
    if half.name == 'd ' .. group then dead = half.pending end
  end
  local seq = tonumber(string.match(places[i + 1], '^%d+%-(%d+)$')) or tonumber(record.q)
  listed[#listed + 1] = { group, int(held), int(dead), int(math.max(0, record.q - seq)) }
end
return listed
