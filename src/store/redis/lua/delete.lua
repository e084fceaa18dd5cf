-- Removes a stream. Reply: 1 if there was one, else 0.
local record = load()
if not exists(record) then
  if record.s then redis.call('HDEL', META, 'x', 'k') else redis.call('UNLINK', META) end
  return 0
end
remove(record)
return 1
