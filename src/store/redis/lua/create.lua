-- Follows the prelude in the scripts that create a record.
--
-- KEYS[6] stops
-- ARGV[4] generation   ARGV[5] producer   ARGV[6] its node   ARGV[7] `error`, `takeover`, `share`, `continue` or `log`
-- ARGV[8] owner, optional   ARGV[9] metadata, optional   ARGV[10] lease, as `prolong` takes it   ARGV[11] TTL active   ARGV[12] TTL done
local STOPS = KEYS[6]
local GENERATION, PRODUCER, OWNER = ARGV[4], ARGV[5], option(ARGV[8])

-- From this many producers on, entries of dead ones are removed, and with them the answers to their last batches.
local REMEMBERED = 64
-- The most producers of a shared generation.
local MOST_PRODUCERS = 1000

local function register(batch_base)
  local producer = { batch = 0, last = batch_base, node = ARGV[6] }
  prolong(producer, ARGV[10])
  put(PRODUCER, producer)
end

-- Joins a shared generation; returns whether there was room.
local function join(record)
  local count, gone, fields, nodes = 0, {}, {}, {}
  for field, text in pairs(record) do
    if is_producer(field) then
      count = count + 1
      local terms = terms_of(text)
      if depends(terms) then
        fields[#fields + 1], nodes[#nodes + 1] = field, terms.node
      elseif terms.lease <= NOW then
        gone[#gone + 1] = field
      end
    end
  end
  if count >= REMEMBERED then
    for from = 1, #nodes, TOGETHER do
      local some = part(nodes, from)
      local alive = living(some)
      -- They are told apart one by one only where nobody else makes room.
      if alive == 0 or alive < #some and #gone == 0 then
        for i, node in ipairs(some) do
          if alive == 0 or shown_until(node) <= NOW then gone[#gone + 1] = fields[from + i - 1] end
        end
      end
    end
    if #gone > 0 then redis.call('HDEL', META, unpack(gone)) end
    count = count - #gone
  end
  if count >= MOST_PRODUCERS then return false end
  register(record.q)
  return true
end

-- Fences the only producer, and notifies it.
local function replace(record)
  for field, text in pairs(record) do
    local other = is_producer(field) and parse(text)
    if other then
      redis.call('HDEL', META, field)
      local message = 'c ' .. record.g .. ' ' .. string.sub(field, 3) .. '\n' .. STREAM .. '\n'
      redis.call('PUBLISH', NODES .. string.match(other.node, '^[^L]+'), message)
    end
  end
end

-- When a generation began, by the clock of its producer's server: the part of its ULID that is a time.
local function began(generation) return string.sub(generation, 1, 10) end

-- Drops the entries of generations that are no longer kept once the current one becomes the previous one. If that was not all,
-- returns the new value of `l`.
local function drop_before(record)
  redis.call('UNLINK', large(record.o + 1))
  local longest = record.pv and math.max(tonumber(record.pv), tonumber(record.l or 0)) or nil
  if not drop(record.o, longest) then return int(longest or 2^20) end
end

-- The reason of the stop that was kept for this start: its owner's, or else the last one, if its sender may stop the stream.
local function kept_stop(old)
  if exists(old) or not old.x then return nil end
  local own = OWNER and redis.pcall('HGET', STOPS, '=' .. OWNER)
  if type(own) == 'string' then
    local till, reason = string.match(own, '^(%d+) (.*)$')
    if till and tonumber(till) > NOW then return reason end
    if old.k == '=' .. OWNER then return nil end
  end
  return allowed(OWNER, old.k) and old.x
end

-- Replaces `old` by the record of an active generation; `previous` is `old` when it was a generation. Returns the
-- reason of the stop that was kept for it.
local function create(old, ordinal, base, previous)
  local stop = kept_stop(old)
  redis.call('UNLINK', STOPS)
  -- Redis searches a small hash from its beginning, and `h` is read most often.
  local fields = {
    'h', '0', 'g', GENERATION, 'o', ordinal, 'b', base, 'q', base, 's', 'active', 'r', '', 'n', '0', 'y', base, 'z', '0', 'v', '0',
    'm', ({ share = 's', log = 'l' })[ARGV[7]] or 'x', 'c', int(NOW), 'u', int(NOW), 'ta', ARGV[11], 'td', ARGV[12],
  }
  local function also(name, value)
    if value then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  also('x', stop)
  also('i', '1')
  also('w', OWNER)
  also('d', option(ARGV[9]))
  if previous then
    also('pg', previous.g)
    also('po', previous.o)
    also('pb', previous.b)
    also('py', previous.y)
    also('pv', previous.v)
    also('pt', previous.s .. ' ' .. previous.r)
  end
  if next(old) then redis.call('DEL', META) end
  redis.call('HSET', META, unpack(fields))
  register(base)
  expire({}, ARGV[11])
  return stop
end
