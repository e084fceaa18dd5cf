-- Appends frames, and replaces open frames by sealed ones; follows the prelude in the scripts that append.

-- The most frames that one seal replaces, and the most bytes, unless a single frame is longer.
local MOST_SEALED, LONG = 512, 262144

-- Notes the length of the longest frame, which says how many frames a page may request at once.
local function measure(record, frame)
  if record.v and #frame > math.max(SENT_ALONG, tonumber(record.v)) then
    record.v = int(#frame)
    redis.call('HSET', META, 'v', record.v)
  end
end

-- Appends a frame of so many chunks, if there is one, after the chunk `last`, and notifies the listeners. Returns the new last seq.
local function push(record, last, count, frame)
  if count > 0 then
    last = last + count
    measure(record, frame)
    add(record, LOG, last, 'f', frame)
    local message = 'f ' .. record.g .. ' ' .. int(last)
    if #frame <= SENT_ALONG then message = message .. '\n' .. frame end
    redis.call('PUBLISH', LIVE, message)
  end
  record.q, record.n = int(last), int(record.n + #frame)
  redis.call('HSET', META, 'q', record.q, 'n', record.n, 'u', int(NOW))
  return last
end

-- Replaces the open frames up to `to` by one.
local function seal(record, to, frame, inflated, replaced)
  measure(record, frame)
  add(record, SEALED, to, 'f', frame, 'n', inflated)
  local before = record.pg and record.po .. '-' .. int(record.b + 1)
  if before and #redis.call('XRANGE', LOG, before, before, 'COUNT', 1) > 0 then
    -- What the previous generation has left open stands in front, and may still be read. What is not deleted, should
    -- there be more, nobody reads, and the next seal deletes it.
    local ids = { record.o .. '-' .. to }
    if tonumber(inflated) <= LONG then
      local open = redis.call('XRANGE', LOG, record.o .. '-0', ids[1], 'COUNT', MOST_SEALED)
      for i, entry in ipairs(open) do ids[i] = entry[1] end
    end
    redis.call('XDEL', LOG, unpack(ids))
  elseif not record.l then
    redis.call('XTRIM', LOG, 'MINID', record.o .. '-' .. int(to + 1))
  end
  record.y, record.z = to, int(record.z + replaced - #frame)
  redis.call('HSET', META, 'y', record.y, 'z', record.z)
end
