-- Appends one batch of one producer, exactly once.
--
-- ARGV[4] generation   ARGV[5] producer   ARGV[6] batch
-- ARGV[7] the seq that the log must end with (at least, if the generation is shared), or ''   ARGV[8] lease, as `prolong` takes it
-- ARGV[9] outcome, or ''   ARGV[10] its reason   ARGV[11] number of chunks   ARGV[12] frame
-- ARGV[13] the first `hn` of a record, see prelude.lua
-- ARGV[14] id of the large chunk that the frame refers to, or ''   ARGV[15] how many pieces it has
-- With a seal, else all are '' or not there: ARGV[16] the seq that the sealed part ends with   ARGV[17] the seq that it is to end with
-- ARGV[18] the frame in between   ARGV[19] bytes of it when inflated   ARGV[20] bytes of the frames that it replaces
-- With the books, if this may be the end, see books.lua: KEYS[6] index shard   KEYS[7] queue   KEYS[8] open   ARGV[21] stream id
-- ARGV[22] the generation's tag   ARGV[23] the queue's bound   ARGV[24] its TTL
-- Reply: { 'done', last seq, stop | nil, outcome | nil, reason | nil, for how long something may be left if that has changed, else 0
--          [, for how many ms the next batch may be fast, ordinal, `h` | , '1': the end is in the books] }
--      | { 'hole', last seq } | { 'incomplete' } | { 'unsealed' } | { 'fenced' } | { 'ended', outcome, reason } | { 'missing' }
local PRODUCER, batch, expected, lease = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local outcome, reason, count, frame = ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12]

-- The answer with the end, which is entered into the books.
local function ended(record, last, is_new)
  local reply = done(record, last, record.td, record.s, record.r)
  local function book()
    local id, generation = ARGV[21], ARGV[4]
    local failed = enter_index(KEYS[6], id, record.td, ARGV[22], true)
    if failed then return failed end
    redis.pcall('ZREM', KEYS[8], generation .. ' ' .. id)
    announce(KEYS[7], ARGV[23], ARGV[24], id, generation .. '.' .. int(last), record.s, record.r)
  end
  if KEYS[8] and (not is_new or is_booked(book)) then reply[7] = '1' end
  return reply
end

local record = load_for(PRODUCER)
local own, refusal = standing(record, ARGV[4], PRODUCER)
if own and own.batch == batch then
  if record.e == PRODUCER then return ended(record, own.last, false) end
  return done(record, own.last, '0')
end
if refusal then return refusal end
-- A batch that was sent on a connection that broke may arrive after later batches.
if batch < own.batch then return { 'fenced' } end
local last = tonumber(record.q)
if expected and last < expected then return { 'hole', record.q } end
if expected and last > expected and record.m == 'x' then return { 'fenced' } end
if ARGV[14] ~= '' and pieces(record, ARGV[14]) < tonumber(ARGV[15]) then return { 'incomplete' } end
local has_seal = (ARGV[16] or '') ~= ''
if has_seal and (ARGV[16] ~= record.y or tonumber(ARGV[17]) > last + count) then return { 'unsealed' } end

commit(record)
last = push(record, last, count, frame)
own.batch, own.last = batch, last
local valid = prolong(own, lease)
if record.l and drop(record.po, tonumber(record.l)) then
  redis.call('HDEL', META, 'l')
  record.l = nil
end
if has_seal then seal(record, ARGV[17], ARGV[18], ARGV[19], ARGV[20]) end

if outcome ~= '' then
  local is_last = true
  if record.m == 's' then
    for field, text in pairs(load()) do
      if is_producer(field) and field ~= 'p:' .. PRODUCER then record[field] = text end
    end
    is_last = outcome ~= 'complete' or count_living(record, 'p:' .. PRODUCER) == 0
  end
  own.lease = 0
  put(PRODUCER, own)
  if is_last then
    if record.x and (outcome == 'complete' or outcome == 'failed') then outcome, reason = 'stopped', record.x end
    finish(record, outcome, reason, PRODUCER)
    return ended(record, last, true)
  end
else
  put(PRODUCER, own)
end
local reply = done(record, last, refresh(record))
if outcome == '' and record.m == 'x' and not record.x then
  local fast = math.min(valid / 3, MOST_FAST, record.t + record.ta / 2 - NOW)
  if fast >= 1 then
    -- Another one than all before, so that a producer that was replaced meanwhile (ADR 42) never finds what it expects.
    local number = record.hn and record.hn % 65535 + 1 or tonumber(ARGV[13])
    local h = int(number * 2^37)
    redis.call('HSET', META, 'h', h, 'hp', PRODUCER, 'hn', int(number))
    reply[7], reply[8], reply[9] = int(math.floor(fast)), record.o, h
  end
end
return reply
