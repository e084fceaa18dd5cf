-- Hands the next finished generations to a consumer of a group.
--
-- ARGV[7] the most items   ARGV[8] for how long others keep theirs   ARGV[9] deliveries after which an item is dead
-- ARGV[10] '' or, to get back what it holds itself, "(<id>" to begin after   ARGV[11] the most groups
-- ARGV[12] where a new group begins: `start` or `now`   ARGV[15] how many items a group holds at most
-- Reply: { 'full' } | { 'taken', nil, nil, nil, { item, ... } }
local count, own = tonumber(ARGV[7]), ARGV[10]

local found, groups = halves()
local todo = found[TODO]
if not todo and groups >= 2 * ARGV[11] then return { 'full' } end
make(found, ARGV[12] == 'now' and '$' or 0)
keep(WORK)

local items = {}
reclaim(items, count, ARGV[8], tonumber(ARGV[9]), own)
local wanted = room(items, count, own, todo and todo.holds or 0, tonumber(ARGV[15]))
if wanted > 0 then deliver(items, wanted) end
return { 'taken', false, false, false, items }
