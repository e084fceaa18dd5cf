-- Delivers the next finished generations to a consumer of a group.
--
-- ARGV[7] the most items   ARGV[8] ms after which items of other consumers are redelivered   ARGV[9] deliveries after which one is dead
-- ARGV[10] '' or, to get back what it holds itself, "(<id>" to begin after   ARGV[11] the most groups
-- ARGV[12] where a new group begins: `start` or `now`   ARGV[15] how many items a group holds at most
-- Reply: { 'full' } | { 'taken', nil, nil, nil, { item, ... } }
local count, own = tonumber(ARGV[7]), ARGV[10]

local found, groups = halves()
local todo = found[TODO]
if not todo and groups >= 2 * ARGV[11] then return { 'full' } end
make(found, ARGV[12] == 'now' and '$' or 0)
keep(WORK)

-- Now and then, removes idle consumers: their names may change with each restart, and listing them takes longer the more there are. One that
-- lives loses nothing, since it holds nothing. The right to do so may be missing.
local IDLE = math.min(tonumber(ARGV[1]), tonumber(ARGV[8]), 60000)
if time[2] % 16 == 0 then
  local consumers, left = redis.pcall('XINFO', 'CONSUMERS', WORK, TODO), 0
  for _, fields in ipairs(consumers) do
    local consumer = {}
    for i = 1, #fields, 2 do consumer[fields[i]] = fields[i + 1] end
    if consumer.pending == 0 and consumer.idle > IDLE and left < 64 then
      redis.pcall('XGROUP', 'DELCONSUMER', WORK, TODO, consumer.name)
      left = left + 1
    end
  end
end

local items = {}
reclaim(items, count, ARGV[8], tonumber(ARGV[9]), own)
local wanted = room(items, count, own, todo and todo.holds or 0, tonumber(ARGV[15]))
if wanted > 0 then deliver(items, wanted) end
return { 'taken', false, false, false, items }
