-- Writes to a log, exactly once for each of its writers, and creates it first if asked to. ARGV: see create.lua, and
--
-- ARGV[13] '' a missing log is not created; else it is, and of one that exists `compare` only compares the configuration, `write` writes to it
-- ARGV[14] content type   ARGV[15] its essence   ARGV[16] TTL, if given   ARGV[17] the time of its end, if given
-- ARGV[18] '1': its first chunk, and its close, come with a later call   ARGV[19] who asks, as `allowed` takes it
-- ARGV[20] the engine that writes   ARGV[21] its batch   ARGV[22] generation and ARGV[23] seq of the last chunk it knows, or ''
-- ARGV[24] the generation that the log must have, or '': that of a large chunk's pieces, or the caller's
-- ARGV[25] the numbered producer that writes, optional   ARGV[26] its epoch   ARGV[27] its number
-- ARGV[28] the order, which must be greater than the previous write's, optional
-- ARGV[29] '1' to close it   ARGV[30] number of chunks   ARGV[31] frame   ARGV[32] id of the large chunk that it refers to, or ''
-- ARGV[33] how many pieces it has   ARGV[34] the essence that the log's content type must have, or ''
-- ARGV[35] where a fork comes from, optional   ARGV[36] the attempt that has staged its beginning, see stage.lua
-- ARGV[37] how many writes follow this one in the same step, each with its ARGV[25…28], ARGV[30], ARGV[31] and ARGV[34]
-- With a seal, after these: the seq that the sealed part ends with, the seq that it is to end with, the frame in between, bytes of it when
-- inflated, bytes of the frames that it replaces
-- Reply: { 'missing' } | { 'forbidden' } | { 'kept' } | { 'unstaged' } | { 'many', one as follows of each write, … }
--      | { word, generation, ordinal, base, seq, state, reason, stop | nil, open entries
--          , for how long something may be left if that has changed, else 0, origin of a fork | nil
--          , and what belongs to the word: see `Outcome` in logs.rs }
--
-- writers, a hash: g the generation that it is of   @<engine> "<when> <batch> <word> <last seq>[ …],…" of its last batch
--   =<producer> "<when> <epoch> <number>"   c "<epoch> <number> <producer>" of the one that has closed   o the last ARGV[28]
local MODE, ESSENCE, IS_PART, CHECK = ARGV[13], ARGV[15], ARGV[18] == '1', ARGV[19]
local ENGINE, batch, IS_CLOSE = '@' .. ARGV[20], tonumber(ARGV[21]), ARGV[29] == '1'
local WRITERS, FORK, STAGED = writers(), option(ARGV[35]), staged()

-- When one more comes, the half that has written last is kept.
local MOST_WRITERS = 1000

local record, refreshed, is_new = load(), '0', false

-- How many entries are open; counted before the answer is made.
local open = '0'

local function answer(word, ...)
  return {
    word, record.g, record.o, record.b, record.q, record.s, record.r, record.x or false, open, refreshed, record.ff or false, ...,
  }
end

-- A refusal drops the pieces of its large chunk, except where the caller tries again with them.
local WAITS = { renewed = true, incomplete = true, unsealed = true }
local function drop_pieces()
  if ARGV[24] ~= record.g then return end
  local gone = { ARGV[32] }
  for index = 0, ARGV[33] - 1 do gone[#gone + 1] = ARGV[32] .. '.' .. index end
  redis.call('HDEL', large(record.o), unpack(gone))
end

-- Byte by byte, since `<` depends on the server's locale.
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

-- The staged beginning of the fork to create, if all of it is there.
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
  -- Keys that a stream without a record has left.
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
  -- Readers read a fork's beginning: no message contains it.
  redis.call('PUBLISH', LIVE, 's ' .. record.g .. ' ' .. record.q)
elseif not allowed(record.w, CHECK) then
  return { 'forbidden' }
elseif record.m ~= 'l' then
  return answer('other')
end

-- The writes of this step, each with its producer, epoch, number, order, number of chunks, frame and essence.
local writes, SEAL = { { ARGV[25], ARGV[26], ARGV[27], ARGV[28], ARGV[30], ARGV[31], ARGV[34] } }, 38 + 7 * ARGV[37]
for at = 38, SEAL - 7, 7 do writes[#writes + 1] = { unpack(ARGV, at, at + 6) } end

-- The reply for their outcomes, each a word, the log's last seq after it, and what belongs to the word.
local function tell(outcomes)
  local replies, length = { 'many' }, redis.pcall('XLEN', LOG)
  open = int(type(length) == 'number' and length or 0)
  for i, outcome in ipairs(outcomes) do
    record.q = outcome[2]
    replies[i + 1] = answer(outcome[1], outcome[3], outcome[4])
  end
  return #outcomes == 1 and replies[2] or replies
end

-- What the log remembers of its writers.
local first_id = option(ARGV[25])
local of, own, theirs, closer, before = unpack(redis.call('HMGET', WRITERS, 'g', ENGINE, '=' .. (first_id or ''), 'c', 'o'))
if of ~= record.g then
  redis.call('UNLINK', WRITERS)
  own, theirs, closer, before = false, false, false, false
end
if own then
  local last_batch, outcomes = string.match(own, '^%d+ (%d+) (.*)$')
  if tonumber(last_batch) == batch then
    local repeated = {}
    for word, q, rest in string.gmatch(outcomes, '(%a+) (%d+)([^,]*)') do
      local one, other = string.match(rest, '(%d+) ?(%d*)')
      if word == 'made' or word == 'written' then one = q end
      repeated[#repeated + 1] = { word, q, one, other ~= '' and other or nil }
    end
    return tell(repeated)
  end
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

local numbered, notes, is_accepted = { [first_id or ''] = theirs }, { 'g', record.g }, false
local function note(name, text)
  notes[#notes + 1] = name
  notes[#notes + 1] = text
end

local last = tonumber(record.q)
-- Chunks that the server has lost may have been read: their seqs are not assigned again.
if ARGV[22] == record.g then last = math.max(last, tonumber(ARGV[23])) end

-- Why a producer's append is not its next one; nothing if it is.
local function out_of_turn(id, epoch, number)
  if numbered[id] == nil then numbered[id] = of == record.g and redis.call('HGET', WRITERS, '=' .. id) end
  local known_epoch, known = string.match(numbered[id] or '', '^%d+ (%d+) (%d+)$')
  if not known_epoch then
    if number ~= 0 then return 'skipped', '0' end
  elseif epoch < tonumber(known_epoch) then
    return 'stale', known_epoch
  elseif epoch > tonumber(known_epoch) then
    if number ~= 0 then return 'begin' end
  elseif number <= tonumber(known) then
    return 'duplicate', known_epoch, known
  elseif number > known + 1 then
    return 'skipped', int(known + 1)
  end
end

local function attempt(name, epoch, number, given_order, chunks, frame, essence)
  local id, order, count = option(name), option(given_order), tonumber(chunks)
  local is_nothing = count == 0 and IS_CLOSE
  if is_closed then
    if is_nothing and not id then return 'written', record.q end
    if IS_CLOSE and id and closer == epoch .. ' ' .. number .. ' ' .. id then return 'duplicate', epoch, number end
    return 'closed'
  end
  if essence ~= '' and not is_nothing and record.ck ~= essence then return 'type' end
  if id then
    local word, one, other = out_of_turn(id, tonumber(epoch), tonumber(number))
    if word then return word, one, other end
  end
  if order and before and not is_greater(order, before) then return 'disorder' end
  if ARGV[24] ~= '' and ARGV[24] ~= record.g then return 'renewed' end
  if ARGV[32] ~= '' and pieces(record, ARGV[32]) < tonumber(ARGV[33]) then return 'incomplete' end
  if ARGV[SEAL] and (ARGV[SEAL] ~= record.y or tonumber(ARGV[SEAL + 1]) > last + count) then return 'unsealed' end

  last = push(record, last, count, frame)
  local word = is_new and not is_accepted and 'made' or 'written'
  is_accepted = true
  if id then
    numbered[id] = int(NOW) .. ' ' .. epoch .. ' ' .. number
    note('=' .. id, numbered[id])
    if IS_CLOSE then note('c', epoch .. ' ' .. number .. ' ' .. id) end
  end
  if order then
    before = order
    note('o', order)
  end
  return word, record.q
end

local outcomes, texts = {}, {}
for i, write in ipairs(writes) do
  local word, one, other = attempt(unpack(write))
  outcomes[i] = { word, record.q, one, other }
  texts[i] = word .. ' ' .. record.q .. (one and word ~= 'written' and word ~= 'made' and ' ' .. one or '') .. (other and ' ' .. other or '')
end
if is_accepted then
  note(ENGINE, int(NOW) .. ' ' .. int(batch) .. ' ' .. table.concat(texts, ','))
  redis.call('HSET', WRITERS, unpack(notes))
  if redis.call('HLEN', WRITERS) > MOST_WRITERS then forget() end
  if ARGV[SEAL] then seal(record, unpack(ARGV, SEAL + 1, SEAL + 4)) end
  if IS_CLOSE and not IS_PART then
    if record.x then finish(record, 'stopped', record.x, PRODUCER) else finish(record, 'complete', '', PRODUCER) end
    refreshed = record.td
  else
    refreshed = slide(record)
  end
  if is_new then refreshed = int(record.ta + record.td) end
elseif ARGV[32] ~= '' and not (WAITS[outcomes[1][1]]) then
  drop_pieces()
end
return tell(outcomes)
