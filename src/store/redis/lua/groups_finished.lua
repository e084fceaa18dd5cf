-- Lists the groups that wait for finished generations.
--
-- Reply: { { group, held, dead, behind, or '' where the server does not know }, ... }, all of them text
local listed, named, groups = {}, {}, redis.pcall('XINFO', 'GROUPS', WORK)
-- A refused command must not look like an empty list.
if groups.err and not string.find(groups.err, 'no such key', 1, true) then return groups end
for _, flat in ipairs(groups.err and {} or groups) do
  local half = {}
  for at = 1, #flat, 2 do half[flat[at]] = flat[at + 1] end
  local kind, group = string.match(half.name, '^([gd]) (.*)$')
  if kind then
    local entry = named[group]
    if not entry then
      entry = { group, '0', '0', '' }
      named[group], listed[#listed + 1] = entry, entry
    end
    if kind == 'd' then
      entry[3] = int(half.pending)
    else
      entry[2], entry[4] = int(half.pending), half.lag and int(half.lag) or ''
    end
  end
end
return listed
