-- Removes a stream, or whatever stands in its place. KEYS[6] stops
--
-- Reply: 1 if there was one, else 0.
local record, wrong = inspect()
if wrong then
  -- The producers that can be read from a damaged record are notified too, so that they do not restore it.
  record.s = record.g and is_count(record.o) and 'active' or nil
  remove(record)
  return 1
end
if not exists(record) then
  if record.s then redis.call('HDEL', META, 'x', 'k') else redis.call('UNLINK', META) end
  redis.call('UNLINK', KEYS[6])
  return 0
end
remove(record)
return 1
