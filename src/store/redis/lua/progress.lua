-- Follows the prelude in the scripts that tell how far a stream's groups are.

-- How many chunks a group has been handed and not acknowledged (`held`), how many were given up (`dead`), and how many follow
-- `place`, its value in the hash of groups (`behind`). A group that has lost its work has nothing. Else nil, and what was refused.
local function progress(record, group, place)
  local found = { held = 0, dead = 0 }
  local halves = redis.pcall('XINFO', 'GROUPS', string.sub(META, 1, -5) .. 'work:' .. group)
  -- A refused command must not look like an empty list.
  if halves.err and not string.find(halves.err, 'no such key', 1, true) then return nil, halves end
  for _, flat in ipairs(halves.err and {} or halves) do
    local half = {}
    for at = 1, #flat, 2 do half[flat[at]] = flat[at + 1] end
    if half.name == 'g ' .. group then found.held = half.pending end
    if half.name == 'd ' .. group then found.dead = half.pending end
  end
  local seq = tonumber(string.match(place, '^%d+%-(%d+)$')) or tonumber(record.q)
  found.behind = math.max(0, record.q - seq)
  return found
end
