-- Reads one page.
--
-- ARGV[4] `start`, `now`, `open`, `index`, `after` or `next`   ARGV[5] generation of the last two   ARGV[6] seq of the last two, or
--   of a chunk of the generation, from 0, or from the end if it is negative
-- ARGV[7] bytes after which no frame is added   ARGV[8] who asks, as `allowed` takes it   ARGV[9] the most frames
-- Reply: nil | { 'forbidden' }
--      | { 'page', generation, base, seq, state, reason, lease left, when to look again | nil
--          , the node that vouches for it | nil, for how long it can | nil   (the head)
--          , generation, base, after, lost?, more?, outcome | nil, reason | nil   (the page)
--          , { last seq, frame, ... }
--          [, for how long something may be left if that has changed, else 0, content type, TTL | nil, end | nil, origin | nil]   (of a log)
--          }
local position, generation, budget, most = ARGV[4], ARGV[5], tonumber(ARGV[7]), tonumber(ARGV[9])

local record = load()
if not exists(record) then return false end
if not allowed(record.w, ARGV[8]) then return { 'forbidden' } end
local left, doubt, node, reach = lapse(record)
-- If there are several producers, the one on this node may end while the others continue.
if record.m == 's' then node = nil end

-- The generation to read, and what of it: the range (after, to], and its terminal entry.
local ended, reason = record.s ~= 'active' and record.s, record.r
local page = { g = record.g, o = record.o, b = record.b, y = tonumber(record.y), to = tonumber(record.q), v = record.v }

-- Reads the previous generation instead.
local function turn_back()
  page = { g = record.pg, o = record.po, b = record.pb, y = tonumber(record.py), to = tonumber(record.b), v = record.pv }
  ended, reason = string.match(record.pt, '^(%w+) (.*)$')
end

-- For what a fork has inherited, cursors of the log that it came from are valid too.
if position == 'after' and record.ff and generation ~= record.g then
  for origin, till in string.gmatch(string.match(record.ff, '^%d+ %d+ (%S*)'), '(%w+)%.(%d+)') do
    if origin == generation and tonumber(ARGV[6]) <= tonumber(till) then generation = record.g end
  end
end

local after, lost = tonumber(record.b), false
if position == 'now' then
  after = page.to
elseif position == 'open' then
  after = page.y
elseif position == 'index' then
  local index = tonumber(ARGV[6])
  after = index < 0 and math.max(page.b, page.to + index) or page.b + index
elseif position == 'after' and generation == record.g then
  after = tonumber(ARGV[6])
elseif position == 'after' and generation == record.pg then
  turn_back()
  after = tonumber(ARGV[6])
elseif position == 'next' and generation == record.g then
  -- There is nothing new, not even an end: the caller has read it.
  after, ended = page.to, false
elseif position == 'next' and generation ~= record.pg and ARGV[6] == record.pb then
  turn_back()
  after = tonumber(record.pb)
elseif position == 'next' and (generation == record.pg or ARGV[6] == record.b) then
  after = tonumber(record.b)
elseif position == 'after' or position == 'next' then
  lost, ended, page.to = true, false, after
end

local frames, bytes = {}, 0
local from, count, is_full = after + 1, 0, budget == 0
-- Frames may be long: no more are requested at once than fit into the rest of the page.
local longest = page.v and math.max(SENT_ALONG, tonumber(page.v))
-- If the length is not known they are requested one by one, so there are fewer of them.
most = math.min(most, not longest and 256 or longest > 2^16 and 512 or most)
local function take(key, to)
  while from <= to and not is_full do
    local wanted = longest and math.floor((budget - bytes) / longest) + 1 or 1
    wanted = math.min(wanted, most - count)
    local entries = redis.call('XRANGE', key, page.o .. '-' .. int(from), page.o .. '-' .. int(to), 'COUNT', wanted)
    for _, entry in ipairs(entries) do
      if is_full then return end
      local last, fields = string.match(entry[1], '-(%d+)$'), entry[2]
      count = count + 1
      frames[2 * count - 1], frames[2 * count] = last, fields[2]
      bytes = bytes + (tonumber(fields[4]) or #fields[2])
      from = last + 1
      is_full = bytes >= budget or count == most
    end
    if #entries < wanted then return end
  end
end
take(SEALED, math.min(page.y, page.to))
if not is_full then
  from = math.max(from, page.y + 1)
  take(LOG, page.to)
end
-- If entries are missing at the end, the caller sees the hole when it asks for the next page.
local more = is_full and from <= page.to
if more then ended = false end

local reply = {
  'page', record.g, record.b, record.q, record.s, record.r, int(left), doubt and int(doubt) or false,
  node or false, node and int(reach) or false,
  page.g, page.b, int(after), lost and '1' or '0', more and '1' or '0', ended, ended and reason, frames,
}
if record.m == 'l' then
  -- The engine itself does not count as a reader.
  reply[19] = ARGV[8] ~= '' and slide(record) or '0'
  reply[20], reply[21], reply[22], reply[23] = record.ct, record.lt or false, record.xa or false, record.ff or false
end
return reply
