-- Removes a stream that was not written to for some time.
--
-- ARGV[4] for how long, in ms   ARGV[5] with which outcomes, each between spaces
-- ARGV[6] '1' live ones too   ARGV[7] '1' only report what would be done
-- Reply: { 'gone' } | { 'damaged' } | { 'live', when to ask again | nil } | { 'kept' } | { 'removed' }
local record, wrong = inspect()
if wrong then return { 'damaged' } end
if not exists(record) then return { 'gone' } end
local outcome, soon = record.s, false
if outcome == 'active' then
  local left, doubt = examine(record)
  if doubt == 0 then outcome = record.x and 'stopped' or 'interrupted' else soon = again(left, doubt) end
end
if NOW - record.u >= tonumber(ARGV[4]) then
  local wanted = string.find(ARGV[5], ' ' .. outcome .. ' ', 1, true)
  if outcome == 'active' then wanted = ARGV[6] == '1' end
  if wanted then
    if ARGV[7] ~= '1' then remove(record) end
    return { 'removed' }
  end
end
if outcome == 'active' then return { 'live', soon } end
return { 'kept' }
