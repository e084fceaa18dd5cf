-- Begins a generation, joins a shared one, or continues one in place of its only producer. ARGV: see create.lua, and
--
-- ARGV[13] what to do about an ended generation: `restart` or `error`
-- ARGV[14] '1': the generation begins elsewhere, and this record ends here, else ''
-- With the books, see books.lua: KEYS[7] index shard   KEYS[8] queue   KEYS[9] open   ARGV[15] stream id   ARGV[16] the generation's tag
-- ARGV[17] when to look whether it has ended, in ms   ARGV[18] the TTL of KEYS[9]
-- Reply: { 'left' } | { 'started', generation, ordinal, seq, stop | nil, base, turn, `hn` [, '1': it is in the books] }
--      | { 'active', when to ask again | nil } | { 'crowded' } | { 'ended', outcome } | { 'forbidden' }
local record = load()
local ordinal, base, previous, leftover = 1, '0', nil, nil

-- Enters the generation into the books.
local function book()
  return KEYS[7] and is_booked(function()
    return note_open(KEYS[8], KEYS[9], GENERATION .. ' ' .. ARGV[15], ARGV[17], ARGV[18])
      or enter_index(KEYS[7], ARGV[15], ARGV[11] + ARGV[12], ARGV[16])
  end) and '1' or nil
end

local function going_on(seq)
  return { 'started', record.g, record.o, int(seq), record.x or false, record.b, record.f or '0', record.hn or '0' }
end

if exists(record) then
  if record.w and record.w ~= OWNER then return { 'forbidden' } end
  local own = record['p:' .. PRODUCER]
  if own then return going_on((record.m == 's' or record.f) and parse(own).last or record.b) end
  -- Even if its lease has expired: nobody has been told of an end.
  if ARGV[7] == 'continue' and record.s == 'active' and record.m == 'x' and ARGV[14] ~= '1' then
    commit(record)
    replace(record)
    register(record.q)
    record.f = int((record.f or 0) + 1)
    redis.call('HSET', META, 'f', record.f)
    refresh(record)
    -- For readers it is the same generation; but their processes have to watch another node.
    redis.call('PUBLISH', LIVE, 's ' .. record.g .. ' ' .. record.b)
    return going_on(record.q)
  end
  local left, doubt = lapse(record)
  if record.s == 'active' then
    local soon = again(left, doubt)
    if ARGV[7] == 'share' and record.m == 's' and ARGV[14] ~= '1' and not soon then
      if not join(record) then return { 'crowded' } end
      return going_on(record.q)
    end
    -- A log has no producer that could be taken over.
    if ARGV[7] ~= 'takeover' or record.m == 'l' then return { 'active', soon } end
    finish(record, 'interrupted', 'superseded')
  elseif ARGV[13] == 'error' then
    return { 'ended', record.s }
  end
  if ARGV[14] == '1' then return { 'left' } end
  ordinal, base, previous = record.o + 1, record.q, record
  leftover = drop_before(record)
elseif ARGV[14] == '1' then
  return { 'left' }
else
  -- Ordinals continue after a deletion, so that a deleted generation is not mistaken for the new one.
  if record.o then ordinal = record.o + 1 end
  -- What is left of a stream without a record is useless, and its entry ids could be higher than the new ones. The same goes for
  -- cursors and groups.
  redis.call('UNLINK', LOG, SEALED, KEYS[4], unpack(works()))
  redis.call('UNLINK', KEYS[5], large(0), large(1))
end

-- A generation's ULID is never older than its predecessor's, even if the servers' clocks differ.
if record.g and began(GENERATION) < began(record.g) then
  GENERATION = began(record.g) .. string.sub(GENERATION, 11)
end
local stop = create(record, int(ordinal), base, previous)
if leftover then redis.call('HSET', META, 'l', leftover) end
redis.call('PUBLISH', LIVE, 's ' .. GENERATION .. ' ' .. base)
return { 'started', GENERATION, int(ordinal), base, stop or false, base, '0', '0', book() }
