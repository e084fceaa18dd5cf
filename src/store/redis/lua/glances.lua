-- Streams as a list shows them. It changes nothing: a generation whose producers may be dead is marked, for a look of its own.
--
-- KEYS meta of each   ARGV[2] as everywhere   ARGV[4] how many consumers of each are looked at
-- Reply: for each, as far as it got, nil, { 'damaged', why } or
--   { '<state> <generation> <base> <seq> <bytes> <stored bytes> <producers> <started> <updated> <lag, or -> <1 if the producers may be dead>'
--   , reason, stop | nil, owner | nil, a producer's process | nil }
-- One text for all that has no spaces in it: who asks is busier with each value of a reply than with its bytes.
local MOST_CONSUMERS = tonumber(ARGV[4])

-- Most records have about 25 fields. After so many, or as much metadata, other callers get their turn.
local MOST_FIELDS, MOST_BYTES = 2000, 2^19

-- What the nodes call themselves.
local names = {}
local function name_of(node)
  if names[node] == nil then
    -- In a cluster the key may be on another server.
    local name = redis.pcall('HGET', NODES .. node, 'p')
    names[node] = type(name) == 'string' and name
  end
  return names[node]
end

-- How many producers live, the node of one of them, and whether one is certain to live for a while, as `examine` tells it. Of very
-- many whose nodes are gone, that is left to it.
local function survey(record)
  local count, node, looks = count_living(record), nil, 0
  if count == 0 then return 0, nil, false end
  for field, text in pairs(record) do
    if is_producer(field) then
      local terms = terms_of(text)
      local valid = terms.lease
      if valid - NOW <= GRACE and terms.reach > NOW and looks < TOGETHER then
        looks = looks + 1
        valid = math.max(valid, math.min(terms.reach, shown_until(terms.node)))
      end
      if valid > NOW then node = terms.node end
      if valid - NOW > GRACE then return count, node, true end
    end
  end
  return count, node, false
end

-- How many chunks the consumer or group that is furthest behind has not acknowledged, if there is one; and how many there are.
local function lag(record)
  local own = string.sub(META, 1, -5)
  local cursors, groups = own .. 'cursors', own .. 'groups'
  if redis.call('EXISTS', cursors, groups) == 0 then return nil, 0 end
  local most, count = nil, 0
  local note = function(chunks) most, count = math.max(most or 0, chunks), count + 1 end
  local scanned = redis.pcall('HSCAN', cursors, 0, 'COUNT', MOST_CONSUMERS)
  local consumers = scanned.err and {} or scanned[2]
  for i = 2, math.min(#consumers, 2 * MOST_CONSUMERS), 2 do
    local seq = tonumber(string.match(consumers[i], '^%w+%.(%d+)$'))
    if seq then note(record.q - seq) end
  end
  local places = redis.pcall('HGETALL', groups)
  for i = 1, places.err and 0 or #places, 2 do
    local found = progress(record, places[i], places[i + 1])
    if found then note(found.behind + found.held) end
  end
  return most, count
end

local reply, fields, bytes = {}, 0, 0
for n, key in ipairs(KEYS) do
  if fields > MOST_FIELDS or bytes > MOST_BYTES then break end
  -- What the functions before this one take for the stream that they are called for.
  META = key
  local record, wrong = inspect()
  for _ in pairs(record) do fields = fields + 1 end
  bytes = bytes + #(record.d or '')
  if wrong then
    reply[n] = { 'damaged', wrong }
  elseif not exists(record) then
    reply[n] = false
  else
    local alive, node, is_certain = 0, nil, true
    if record.s == 'active' and record.m ~= 'l' then alive, node, is_certain = survey(record) end
    local behind, followers = lag(record)
    fields = fields + 10 * followers
    local facts = {
      record.s, record.g, record.b, record.q, record.n, int(record.n - record.z), int(alive), record.c, record.u,
      behind and int(behind) or '-', is_certain and '0' or '1',
    }
    reply[n] = {
      table.concat(facts, ' '), record.r, record.x or false, record.w or false, node and name_of(node) or false,
    }
  end
end
return reply
