-- Removes a stream, or whatever stands in its place. KEYS[6] stops
--
-- ARGV[4] who asks, as `allowed` takes it
-- Reply: 'removed' | 'missing' | 'forbidden'
local record, wrong = inspect()
if not allowed(record.w, ARGV[4]) then return 'forbidden' end
if wrong then
  -- The producers that can be read from a damaged record are notified too, so that they do not restore it.
  record.s = record.g and is_count(record.o) and 'active' or nil
  remove(record)
  return 'removed'
end
if not exists(record) then
  -- The stops that are kept for it are other owners' too.
  if ARGV[4] ~= '' then return 'missing' end
  if record.s then redis.call('HDEL', META, 'x', 'k') else redis.call('UNLINK', META) end
  redis.call('UNLINK', KEYS[6])
  return 'missing'
end
remove(record)
return 'removed'
