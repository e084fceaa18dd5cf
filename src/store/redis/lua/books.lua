-- What is kept of a generation beside its stream: the stream's entry in the index, and the generation's place among the open ones
-- and in the queue of finished ones. Where the server has these keys too, the scripts that begin and end a generation
-- write them themselves (ADR 47); elsewhere index.lua, enter.lua and announce.lua do.
--
-- index shard, a sorted set: stream id -> the time at which nothing of the stream can be left. The fraction of that time, in
--   1024ths, is the tag of the generation that has set it.
-- queue and open: see queue.lua

-- With each entry so many go whose time is over: more than come.
local TRIMMED = 16

local function last_for(key, ttl)
  if redis.call('PTTL', key) < tonumber(ttl) then redis.call('PEXPIRE', key, ttl) end
end

-- Whether an answer says that something else is in place of a key: whoever has put it there has not put it there to stay.
local function is_misplaced(answer)
  return type(answer) == 'table' and string.find(answer.err, 'WRONGTYPE', 1, true)
end

-- `ttl`: how much longer something of the stream can be left, in ms; `is_last`: the generation has ended, so that its own entry
-- may be made shorter. Returns an error, if there was one.
local function enter_index(index, id, ttl, tag, is_last)
  local known = redis.pcall('ZSCORE', index, id)
  if is_misplaced(known) then
    redis.call('UNLINK', index)
    known = false
  elseif type(known) == 'table' then
    return known
  end
  local at = NOW + ttl
  tag = tag / 1024
  if known and not is_last then
    -- Always another time than before, so that nobody takes the entry for the one that was seen before (see unlist.lua).
    at = math.max(at, math.floor(known) + 1)
  elseif known and known % 1 ~= tag then
    return
  end
  redis.call('ZADD', index, string.format('%.17g', at + tag), id)
  last_for(index, int(at - NOW))
  local over = redis.call('ZRANGEBYSCORE', index, '-inf', int(NOW), 'LIMIT', 0, TRIMMED)
  if #over > 0 then redis.call('ZREM', index, unpack(over)) end
end

-- The channel beside the queue.
local function news_of(queue) return string.sub(queue, 1, -6) .. 'news' end

-- Notes that a generation begins, so that its end is announced even if its producer does not live to do so. `look`: when to
-- look, in ms. Returns an error, if there was one.
local function note_open(queue, open, member, look, ttl)
  local at = int(NOW + look)
  local noted = redis.pcall('ZADD', open, at, member)
  if is_misplaced(noted) then
    redis.call('UNLINK', open)
    redis.call('ZADD', open, at, member)
  elseif type(noted) == 'table' then
    return noted
  end
  -- Whoever looks for ends that nobody has announced does so less often while nothing is open.
  if redis.call('ZCARD', open) == 1 then redis.call('PUBLISH', news_of(queue), 'o') end
  last_for(open, ttl)
  -- Where nobody looks, what was left behind goes by itself: later than any stream that was begun here can still be there.
  local stale = redis.call('ZRANGEBYSCORE', open, '-inf', int(NOW - redis.call('PTTL', open)), 'LIMIT', 0, 16)
  if #stale > 0 then redis.call('ZREM', open, unpack(stale)) end
end

-- Adds a finished generation to the queue, if any group has ever asked for it.
local function announce(queue, bound, ttl, id, cursor, outcome, reason)
  local fields = { 's', id, 'c', cursor, 'o', outcome, 'r', reason }
  local is_added = redis.call('XADD', queue, 'NOMKSTREAM', 'MAXLEN', '~', bound, '*', unpack(fields))
  local listeners = redis.call('PUBLISH', news_of(queue), 'f')
  -- Where somebody waits for it there was a queue, which Redis has evicted.
  if not is_added and listeners > 0 then is_added = redis.call('XADD', queue, '*', unpack(fields)) end
  if is_added then last_for(queue, ttl) end
end

-- `pcall` under a name that calls no command.
local attempt = pcall

-- Whether everything was written; `write` returns an error, if there was one. What fails is left to follow-ups, and to the engine.
local function is_booked(write)
  local worked, trouble = attempt(write)
  return worked and not trouble
end
