-- Removes a stream that nobody has written to for long enough.
--
-- ARGV[4] for how long, in ms   ARGV[5] with which outcomes, each between spaces
-- ARGV[6] '1' live ones too   ARGV[7] '1' just say what would be done   ARGV[8] whether the caller may judge leases
-- Reply: 'gone' | 'live' | 'kept' | 'removed'
local record = load()
if not exists(record) then return 'gone' end
local outcome = record.s
if outcome == 'active' and lease_left(record) == 0 and ARGV[8] == '1' then
  outcome = record.x and 'stopped' or 'interrupted'
end
if NOW - record.u >= tonumber(ARGV[4]) then
  local wanted = string.find(ARGV[5], ' ' .. outcome .. ' ', 1, true)
  if outcome == 'active' then wanted = ARGV[6] == '1' end
  if wanted then
    if ARGV[7] ~= '1' then remove(record) end
    return 'removed'
  end
end
return outcome == 'active' and 'live' or 'kept'
