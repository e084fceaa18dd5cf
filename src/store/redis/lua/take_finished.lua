-- Hands the next finished generations to a consumer of a group.
--
-- ARGV[7] the most items   ARGV[8] for how long others keep theirs   ARGV[9] deliveries after which an item is dead
-- ARGV[10] '' or, to get back what it holds itself, "(<id>" to begin after   ARGV[11] the most groups
-- ARGV[12] where a new group begins: `start` or `now`
-- Reply: { 'full' } | { 'taken', nil, nil, nil, { item, ... } }
local count, own = tonumber(ARGV[7]), ARGV[10]

if not is_group() then
  local groups = redis.pcall('XINFO', 'GROUPS', WORK)
  if not groups.err and #groups >= 2 * ARGV[11] then return { 'full' } end
  make(ARGV[12] == 'now' and '$' or 0)
end
keep(WORK)

local items = {}
reclaim(items, count, ARGV[8], tonumber(ARGV[9]), own)
if #items < count and (own == '' or #items == 0) then deliver(items, count - #items) end
return { 'taken', false, false, false, items }
