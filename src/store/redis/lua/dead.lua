-- Lists dead letters.
--
-- ARGV[7] `-`, or "(<id>" to begin after   ARGV[8] the most items
-- Reply: { 'forbidden' } | { 'dead', { item, ... } }
if not admitted() then return { 'forbidden' } end
local items = {}
if is_group() then
  for _, entry in ipairs(redis.call('XPENDING', WORK, DEAD, ARGV[7], '+', ARGV[8])) do
    describe(items, entry[1], entry[4])
  end
end
return { 'dead', items }
