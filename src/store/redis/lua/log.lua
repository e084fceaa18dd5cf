-- Writes to a log, exactly once for each of its writers, and makes it first if it is to. ARGV: see create.lua, and
--
-- ARGV[13] what becomes of a log that is not there, or is: '' it is not made, `compare` only its configuration is compared, `write`
-- ARGV[14] content type   ARGV[15] what of it counts   ARGV[16] TTL, if given   ARGV[17] the time of its end, if given
-- ARGV[18] '1': what it begins with, and its close, come with another call   ARGV[19] who asks, as `allowed` takes it
-- ARGV[20] the engine that writes   ARGV[21] its batch   ARGV[22] generation and ARGV[23] seq of the last chunk it knows, or ''
-- ARGV[24] the generation that the log has to be, of a large chunk's pieces or as the caller knows it, or ''
-- ARGV[25] who numbers what it writes, optional   ARGV[26] its epoch   ARGV[27] its number
-- ARGV[28] what has to be greater than that of the write before, optional
-- ARGV[29] '1' to close it   ARGV[30] number of chunks   ARGV[31] frame   ARGV[32] id of the large chunk that it refers to, or ''
-- ARGV[33] how many pieces it has   ARGV[34] what of the log's content type has to count, or ''
-- ARGV[35] where a fork comes from, optional   ARGV[36] the attempt that has put it down, see stage.lua
-- With a seal: ARGV[37] the seq that the sealed part ends with   ARGV[38] the seq that it is to end with
-- ARGV[39] the frame in between   ARGV[40] bytes of it when inflated   ARGV[41] bytes of the frames that it replaces
-- Reply: { 'missing' } | { 'forbidden' } | { 'kept' } | { 'unstaged' }
--      | { word, generation, ordinal, base, seq, state, reason, stop | nil, open entries
--          , for how long something may be left if that has changed, else 0, origin of a fork | nil
--          , and what belongs to the word: see `Outcome` in logs.rs }
--
-- writers, a hash: g the generation that it is of   @<engine> "<when> <batch> <word> <last seq>"
--   =<producer> "<when> <epoch> <number>"   c "<epoch> <number> <producer>" of the one that has closed   o the last ARGV[28]
local MODE, ESSENCE, IS_PART, CHECK = ARGV[13], ARGV[15], ARGV[18] == '1', ARGV[19]
local ENGINE, batch, ID, epoch, number = '@' .. ARGV[20], tonumber(ARGV[21]), option(ARGV[25]), tonumber(ARGV[26]), tonumber(ARGV[27])
local ORDER, IS_CLOSE, count, frame = option(ARGV[28]), ARGV[29] == '1', tonumber(ARGV[30]), ARGV[31]
local WRITERS, FORK, STAGED = writers(), option(ARGV[35]), staged()

-- One more, and the half of them that has written last is kept.
local MOST_WRITERS = 1000

local record, refreshed, is_new = load(), '0', false

local function answer(word, ...)
  local length = redis.pcall('XLEN', LOG)
  return {
    word, record.g, record.o, record.b, record.q, record.s, record.r, record.x or false,
    int(type(length) == 'number' and length or 0), refreshed, record.ff or false, ...,
  }
end

-- Takes the pieces of a chunk that does not come to anything along.
local function refuse(word, ...)
  if ARGV[32] ~= '' and ARGV[24] == record.g then
    local gone = { ARGV[32] }
    for index = 0, ARGV[33] - 1 do gone[#gone + 1] = ARGV[32] .. '.' .. index end
    redis.call('HDEL', large(record.o), unpack(gone))
  end
  return answer(word, ...)
end

-- Byte by byte: what `<` does depends on the server's locale.
local function is_greater(text, other)
  for index = 1, math.min(#text, #other) do
    local one, two = string.byte(text, index), string.byte(other, index)
    if one ~= two then return one > two end
  end
  return #text > #other
end

-- The millisecond after this one, as a ULID has it.
local function later(time)
  local digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
  for i = 10, 1, -1 do
    local at = string.find(digits, string.sub(time, i, i), 1, true)
    if at and at < 32 then
      return string.sub(time, 1, i - 1) .. string.sub(digits, at + 1, at + 1) .. string.rep('0', 10 - i)
    end
  end
  return time
end

local function forget()
  local flat, found = redis.call('HGETALL', WRITERS), {}
  for i = 1, #flat, 2 do
    local first = string.sub(flat[i], 1, 1)
    if first == '@' or first == '=' then found[#found + 1] = { flat[i], tonumber(string.match(flat[i + 1], '^%d+')) or 0 } end
  end
  table.sort(found, function(one, other) return one[2] < other[2] end)
  local gone = {}
  for i = 1, #found - MOST_WRITERS / 2 do gone[i] = found[i][1] end
  if #gone > 0 then redis.call('HDEL', WRITERS, unpack(gone)) end
end

-- What was put down for the fork that is made, if all of it is there.
local function prefix(ordinal)
  local id, o, q, frames, fields, n, v = unpack(redis.call('HMGET', STAGED, 'id', 'o', 'q', 'f', 'h', 'n', 'v'))
  if id ~= ARGV[36] or o ~= ordinal then return nil end
  if redis.call('XLEN', SEALED) ~= tonumber(frames) or redis.call('HLEN', large(ordinal)) ~= tonumber(fields) then return nil end
  return { q = q, n = n, v = v }
end

if not exists(record) then
  if MODE == '' then return { 'missing' } end
  if redis.call('HGET', forks(), '!') then return { 'kept' } end
  local ordinal = record.o and int(record.o + 1) or '1'
  local inherited = FORK and prefix(ordinal)
  if FORK and not inherited then return { 'unstaged' } end
  -- Without its record, what is left of a stream is nothing.
  redis.call('UNLINK', LOG, KEYS[4], KEYS[5], WRITERS, STAGED, forks(), unpack(works()))
  if inherited then redis.call('UNLINK', large(ordinal + 1)) else redis.call('UNLINK', SEALED, large(0), large(1)) end
  -- Cursors of the new log are greater as texts, also within one millisecond.
  if record.g and began(GENERATION) <= began(record.g) then
    GENERATION = later(began(record.g)) .. string.sub(GENERATION, 11)
  end
  create(record, ordinal, '0')
  local fields = { 'ct', ARGV[14], 'ck', ESSENCE }
  for name, value in pairs({ lt = option(ARGV[16]), xa = option(ARGV[17]) }) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  redis.call('HSET', META, unpack(fields))
  if inherited then
    redis.call('HSET', META, 'ff', FORK, 'q', inherited.q, 'y', inherited.q, 'n', inherited.n, 'v', inherited.v)
  end
  record, is_new = load(), true
  -- What a fork begins with is read, not told.
  redis.call('PUBLISH', LIVE, 's ' .. record.g .. ' ' .. record.q)
elseif not allowed(record.w, CHECK) then
  return { 'forbidden' }
elseif record.m ~= 'l' then
  return answer('other')
end

-- What is known of those who write.
local of, own, theirs, closer, before = unpack(redis.call('HMGET', WRITERS, 'g', ENGINE, '=' .. (ID or ''), 'c', 'o'))
if of ~= record.g then
  redis.call('UNLINK', WRITERS)
  own, theirs, closer, before = false, false, false, false
end
if own then
  local last_batch, word, last = string.match(own, '^%d+ (%d+) (%a+) (%d+)$')
  if tonumber(last_batch) == batch then return answer(word, last) end
  if tonumber(last_batch) > batch then return answer('late') end
end

local is_closed = record.s ~= 'active'
if MODE == 'compare' and not is_new then
  if FORK then return { 'unstaged' } end
  local is_same = record.ck == ESSENCE and record.lt == option(ARGV[16]) and record.xa == option(ARGV[17]) and not record.ff
  if is_same and is_closed == IS_CLOSE then
    refreshed = slide(record)
    return answer('exists')
  end
  return answer('conflict')
end
local is_nothing = count == 0 and IS_CLOSE
if is_closed then
  if is_nothing and not ID then return answer('written', record.q) end
  if IS_CLOSE and ID and closer == ARGV[26] .. ' ' .. ARGV[27] .. ' ' .. ID then return refuse('duplicate', ARGV[26], ARGV[27]) end
  return refuse('closed')
end
if ARGV[34] ~= '' and not is_nothing and record.ck ~= ARGV[34] then return refuse('type') end
if ID then
  local known_epoch, last = string.match(theirs or '', '^%d+ (%d+) (%d+)$')
  if not known_epoch then
    if number ~= 0 then return refuse('skipped', '0') end
  elseif epoch < tonumber(known_epoch) then
    return refuse('stale', known_epoch)
  elseif epoch > tonumber(known_epoch) then
    if number ~= 0 then return refuse('begin') end
  elseif number <= tonumber(last) then
    return refuse('duplicate', known_epoch, last)
  elseif number > last + 1 then
    return refuse('skipped', int(last + 1))
  end
end
if ORDER and before and not is_greater(ORDER, before) then return refuse('disorder') end
if ARGV[24] ~= '' and ARGV[24] ~= record.g then return answer('renewed') end
if ARGV[32] ~= '' and pieces(record, ARGV[32]) < tonumber(ARGV[33]) then return answer('incomplete') end

local last = tonumber(record.q)
-- What the server has lost was read, maybe: no other chunk is to have its seq.
if ARGV[22] == record.g then last = math.max(last, tonumber(ARGV[23])) end
if ARGV[37] and (ARGV[37] ~= record.y or tonumber(ARGV[38]) > last + count) then return answer('unsealed') end

last = push(record, last, count, frame)
local word = is_new and 'made' or 'written'
local notes = { 'g', record.g, ENGINE, int(NOW) .. ' ' .. int(batch) .. ' ' .. word .. ' ' .. record.q }
local function note(name, text)
  notes[#notes + 1] = name
  notes[#notes + 1] = text
end
if ID then note('=' .. ID, int(NOW) .. ' ' .. ARGV[26] .. ' ' .. ARGV[27]) end
if ORDER then note('o', ORDER) end
if ID and IS_CLOSE then note('c', ARGV[26] .. ' ' .. ARGV[27] .. ' ' .. ID) end
redis.call('HSET', WRITERS, unpack(notes))
if redis.call('HLEN', WRITERS) > MOST_WRITERS then forget() end
if ARGV[37] then seal(record, ARGV[38], ARGV[39], ARGV[40], ARGV[41]) end

if IS_CLOSE and not IS_PART then
  if record.x then finish(record, 'stopped', record.x, PRODUCER) else finish(record, 'complete', '', PRODUCER) end
  refreshed = record.td
else
  refreshed = slide(record)
end
if is_new then refreshed = int(record.ta + record.td) end
return answer(word, record.q)
