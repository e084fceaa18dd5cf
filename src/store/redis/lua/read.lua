-- Reads one page.
--
-- ARGV[4] `start`, `now`, `open`, `after` or `next`   ARGV[5] generation of the last two   ARGV[6] seq of the last two
-- ARGV[7] bytes after which no frame is added   ARGV[8] who asks, as `allowed` takes it
-- Reply: nil | { 'forbidden' }
--      | { 'page', generation, base, seq, state, reason, lease left, when to look again | nil   (the head)
--          , generation, base, after, lost?, more?, outcome | nil, reason | nil   (the page)
--          , { last seq, frame, ... } }
local position, generation, budget = ARGV[4], ARGV[5], tonumber(ARGV[7])

local record = load()
if not exists(record) then return false end
if not allowed(record.w, ARGV[8]) then return { 'forbidden' } end
local left, doubt = settle(record)

-- Which generation, and what of it: the range (after, to], and its terminal entry.
local ended, reason = record.s ~= 'active' and record.s, record.r
local page = { g = record.g, o = record.o, b = record.b, y = tonumber(record.y), to = tonumber(record.q) }
local after, lost = tonumber(record.b), false
if position == 'now' then
  after = page.to
elseif position == 'open' then
  after = page.y
elseif position == 'after' and generation == record.g then
  after = tonumber(ARGV[6])
elseif position == 'after' and generation == record.pg then
  page = { g = record.pg, o = record.po, b = record.pb, y = tonumber(record.py), to = tonumber(record.b) }
  after = tonumber(ARGV[6])
  ended, reason = string.match(record.pt, '^(%w+) (.*)$')
elseif position == 'next' and generation == record.g then
  -- There is nothing yet, not even an end: that one has been read.
  after, ended = page.to, false
elseif position == 'next' and generation ~= record.pg and ARGV[6] == record.pb then
  page = { g = record.pg, o = record.po, b = record.pb, y = tonumber(record.py), to = tonumber(record.b) }
  after = tonumber(record.pb)
  ended, reason = string.match(record.pt, '^(%w+) (.*)$')
elseif position == 'next' and (generation == record.pg or ARGV[6] == record.b) then
  after = tonumber(record.b)
elseif position == 'after' or position == 'next' then
  lost, ended, page.to = true, false, after
end

local frames, bytes, more = {}, 0, false
local from, count = after + 1, budget > 0 and 4 or 1
local function take(key, to)
  while from <= to and not more do
    local entries = redis.call('XRANGE', key, page.o .. '-' .. int(from), page.o .. '-' .. int(to), 'COUNT', count)
    for _, entry in ipairs(entries) do
      if bytes >= budget then
        more = true
        break
      end
      local last = string.match(entry[1], '-(%d+)$')
      local fields = entry[2]
      frames[#frames + 1] = last
      frames[#frames + 1] = fields[2]
      bytes = bytes + (tonumber(fields[4]) or #fields[2])
      from = last + 1
    end
    if #entries < count then break end
    -- One more than the budget is likely to take, which tells whether there is one.
    count = math.max(1, math.min(256, math.floor((budget - bytes) * #frames / 2 / math.max(bytes, 1)) + 1))
  end
end
take(SEALED, math.min(page.y, page.to))
from = math.max(from, page.y + 1)
take(LOG, page.to)
if more then ended = false end

return {
  'page', record.g, record.b, record.q, record.s, record.r, int(left), doubt and int(doubt) or false,
  page.g, page.b, int(after), lost and '1' or '0', more and '1' or '0', ended, ended and reason, frames,
}
