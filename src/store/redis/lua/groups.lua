-- Lists the groups of a stream.
--
-- Reply: nil | { { group, held, dead, behind }, ... }, all of them text
local record = load()
if not exists(record) then return false end

local listed, places = {}, redis.call('HGETALL', KEYS[5])
for i = 1, #places, 2 do
  local found, refusal = progress(record, places[i], places[i + 1])
  if not found then return refusal end
  listed[#listed + 1] = { places[i], int(found.held), int(found.dead), int(found.behind) }
end
return listed
