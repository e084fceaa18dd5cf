-- Restores a record that was lost. ARGV: see create.lua, and
--
-- ARGV[13] ordinal   ARGV[14] the seq before the generation's first chunk
-- ARGV[15] the seq before the first chunk that can be written again
-- ARGV[16] how often the generation's producer had been replaced, this one included   ARGV[17] the seq that this one went on after
-- Reply: see append.lua
local ordinal, base, turn = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[16])
local record = load()

-- Whether this generation is later than the record's. The ordinals say so, unless they began again at 1 after this
-- generation had started.
local function is_later()
  local theirs = tonumber(record.o)
  if ordinal == theirs then return GENERATION > record.g end
  return ordinal > theirs and began(GENERATION) >= began(record.g)
end

local function put_back(previous, leftover)
  local stop = create(record, ARGV[13], ARGV[14], previous)
  if leftover then redis.call('HSET', META, 'l', leftover) end
  redis.call('HSET', META, 'q', ARGV[15], 'y', ARGV[15])
  if turn > 0 then redis.call('HSET', META, 'f', ARGV[16]) end
  return done({ x = stop }, ARGV[15], '0')
end

if not record.s then
  redis.call('UNLINK', LOG, SEALED, large(0), large(1))
  return put_back()
end

if record.g ~= GENERATION and is_later() then
  if record.s == 'deleted' then return { 'ended', 'interrupted', 'deleted' } end
  -- A producer that was taken over restored its record first, or the takeover itself was lost.
  if record.s == 'active' then finish(record, 'interrupted', 'superseded') end
  local previous, leftover
  if ordinal > tonumber(record.o) and tonumber(record.q) <= base then
    previous = record
    leftover = drop_before(record)
  else
    -- The other generation's entries do not fit in front of this one's.
    redis.call('UNLINK', LOG, SEALED, unpack(works()))
    redis.call('UNLINK', KEYS[5], large(0), large(1))
  end
  local reply = put_back(previous, leftover)
  redis.call('PUBLISH', LIVE, 's ' .. GENERATION .. ' ' .. ARGV[14])
  return reply
end

-- A producer that this one has replaced restored the record first, or the replacement was lost.
if record.g == GENERATION and record.s == 'active' and record.m == 'x' and tonumber(record.f or 0) < turn then
  commit(record)
  replace(record)
  -- The rest of the log was written by the other one.
  if tonumber(record.q) > tonumber(ARGV[17]) then
    redis.call('UNLINK', LOG, SEALED, unpack(works()))
    redis.call('UNLINK', KEYS[5], large(0), large(1))
    return put_back()
  end
  register(record.q)
  redis.call('HSET', META, 'f', ARGV[16])
  return done(record, record.q, refresh(record))
end

local own, refusal = standing(record, GENERATION, PRODUCER)
if record.s == 'active' and record.g == GENERATION and record.m == 's' and not own then
  -- Another producer of the shared generation restored it first.
  if not join(record) then return { 'fenced' } end
  return done(record, record.q, refresh(record))
end
if refusal then return refusal end
commit(record)
prolong(own, ARGV[10])
put(PRODUCER, own)
return done(record, record.q, refresh(record))
