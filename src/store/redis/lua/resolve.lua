-- Resolves items.
--
-- ARGV[7] `done`, `back`, `retry` or `drop`   ARGV[8] the item's id   and so on, two for each
-- Reply: 'ok' | 'forbidden'
if not admitted() then return 'forbidden' end
if not is_group() then return 'ok' end
for i = 7, #ARGV, 2 do
  local resolution, id = ARGV[i], ARGV[i + 1]
  if resolution == 'done' then
    -- It may have become a dead letter meanwhile.
    if redis.call('XACK', WORK, TODO, id) + redis.call('XACK', WORK, DEAD, id) > 0 then discard(id) end
  elseif resolution == 'back' then
    local held = redis.call('XPENDING', WORK, TODO, id, id, 1, CONSUMER)[1]
    -- A repeated call finds it given back.
    if held and held[3] < tonumber(FREE) then
      redis.call('XCLAIM', WORK, TODO, CONSUMER, 0, id, 'IDLE', FREE, 'RETRYCOUNT', held[4] - 1, 'JUSTID')
    end
  elseif resolution == 'retry' then
    if redis.call('XPENDING', WORK, DEAD, id, id, 1)[1] then
      redis.call('XCLAIM', WORK, TODO, '-', 0, id, 'IDLE', FREE, 'RETRYCOUNT', 0, 'FORCE', 'JUSTID')
      redis.call('XACK', WORK, DEAD, id)
    end
  elseif redis.call('XACK', WORK, DEAD, id) == 1 then
    discard(id)
  end
end
return 'ok'
