-- Repeats the delivery of what a consumer holds. It is held for as long again; that it was delivered was counted before.
--
-- ARGV[7] "(<id>" to begin after   ARGV[8] the most items   ARGV[9] ms after which items are redelivered: they come anyway
-- Reply: { 'forbidden' } | { 'held', { item, ... }, where to go on | nil }
if not admitted() then return { 'forbidden' } end
local items, ids, after = {}, {}, false
if is_group() then
  local found = redis.call('XPENDING', WORK, TODO, ARGV[7], '+', ARGV[8], CONSUMER)
  for _, entry in ipairs(found) do
    if entry[3] < tonumber(ARGV[9]) then
      ids[#ids + 1] = entry[1]
      describe(items, entry[1], entry[4])
    end
  end
  if #ids > 0 then
    ids[#ids + 1] = 'JUSTID'
    redis.call('XCLAIM', WORK, TODO, CONSUMER, 0, unpack(ids))
  end
  if #found == tonumber(ARGV[8]) then after = found[#found][1] end
end
return { 'held', items, after }
