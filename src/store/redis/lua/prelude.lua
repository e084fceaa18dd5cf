-- Shared by every script that works on a stream.
--
-- KEYS[1] meta   KEYS[2] log   KEYS[3] sealed   KEYS[4] cursors   KEYS[5] groups   KEYS[6] another one, of some scripts
-- ARGV[1] live channel   ARGV[2] what the channel of every node begins with   ARGV[3] escaped stream id
--
-- meta, a hash (times and TTLs in ms, times since 1970):
--   g generation   o its ordinal   b the seq before its first chunk   q last seq
--   n encoded bytes as written   y the seq the sealed part ends with   z bytes that sealing has saved
--   s `active`, an outcome, or `deleted`; absent when the record is nothing but a kept stop
--   r the outcome's reason   e the producer whose last batch wrote the terminal entry, if one did
--   m `x` exclusive, `s` shared, `l` a log, whose producer is nobody and never dies, see log.lua
--   ct ck lt xa of a log: its content type, what of that counts when it is compared, its TTL and the time of its end, if given
--   ff of a fork: "<seq> <part> <cursor>,<cursor>… <stream>", see `Fork` in forks.rs
--   v the length of the longest frame that is kept if that is above SENT_ALONG, else 0; absent if it is not known
--   pg po pb py pv pt the previous generation: id, ordinal, base, the end of its sealed part, its v, "<outcome> <reason>"
--   l the length of the longest frame of older generations that was not dropped yet, if there is one
--   cg the generation in which consumers of older ones were dropped to make room for others, if they were
--   x the reason of a requested stop; of the last one, if it is kept   k who asked for that, as `allowed` takes it
--   f how often the only producer has been replaced by one that continues the generation; absent if never (ADR 42)
--   i 1: made by a version that writes prefixes apart from ids (ADR 25)
--   w owner   d metadata   c started   u last write; after fast appends it may be that much earlier, see `fold`   t when the TTLs were set   ta td the TTLs, active and done
--   j the suspicion that its last lease has expired: "<lease until>-<last seq> <since when> <the last look>", see `examine`
--   h what fast appends have added since the other fields were written, else 0: encoded bytes + 2^22 * chunks + 2^37 * a number
--     from 1 to 65535 by which no two such values are equal; a fast batch counts as one batch for each of its chunks
--   hp the producer of these appends   hn the number that was used last
--   p:<producer> "<last batch> <the batch's last seq> <lease until, 0 once it has completed> <node>[L<more>]"; with `L` the node
--     vouches for it: the lease is valid for that many ms more while the node's key exists, see vouch.lua
-- A tombstone (s is `deleted`) has g, o and s, and maybe h 0 and a kept stop.
--
-- sealed, a stream, up to y: <ordinal>-<last seq> f <frame> n <bytes of it when inflated>
-- log, a stream, after y: <ordinal>-<last seq> f <frame>, and <ordinal>-<last seq + 1> t "<outcome> <reason>", which is
--   not written when the generation is sealed whole and the log has nothing else
-- large:0 and large:1, hashes: of chunks that are too large for a frame, in generations with an even and an odd ordinal:
--   <id>.<number from 0> a piece   <id> how many of them there are

-- writers, a hash beside a log, see log.lua
-- forks, a hash beside a log or in its place: "=<stream>" of each fork, and "!" once the log was deleted: it is not created again
-- staged, a hash before a fork, see stage.lua

-- stops, a hash beside a kept stop: "=<owner>" -> "<until when> <reason>" of each owner's own; e the earliest of these times

-- Redis 6.2 can be set to replicate a script as its text, which forbids writes after TIME.
if redis.replicate_commands then redis.replicate_commands() end

-- Longer frames are announced without their bytes; `v` has the length of the longest.
local SENT_ALONG = 16384

local META, LOG, SEALED = KEYS[1], KEYS[2], KEYS[3]
local LIVE, NODES, STREAM = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

-- tostring() turns large numbers into 1e+15.
local function int(number) return string.format('%.0f', number) end

-- An optional argument: '' is none, '=text' is text.
local function option(text)
  if text ~= '' then return string.sub(text, 2) end
end

-- Whether `check` may act on what belongs to `owner`: '' is the engine, '-' a caller without owner, '=owner' one with.
local function allowed(owner, check)
  return check == '' or not owner or check == '=' .. owner
end

-- A producer's entry; nothing if it is none.
local function parse(text)
  local batch, last, lease, node = string.match(text, '^(%d+) (%d+) (%d+) (%w+)$')
  return batch and { batch = tonumber(batch), last = tonumber(last), lease = tonumber(lease), node = node }
end

local function producer_text(producer)
  return int(producer.batch) .. ' ' .. int(producer.last) .. ' ' .. int(producer.lease) .. ' ' .. producer.node
end

-- Prolongs a producer's lease by "<ms>" or "<ms>L<more>"; returns for how long it is valid if nobody dies.
local function prolong(producer, terms)
  local lease, more = string.match(terms, '^(%d+)L?(%d*)$')
  producer.lease = NOW + lease
  producer.node = string.match(producer.node, '^[^L]+') .. string.sub(terms, #lease + 1)
  return lease + (tonumber(more) or 0)
end

local function put(id, producer)
  redis.call('HSET', META, 'p:' .. id, producer_text(producer))
end

-- The producer of fast appends has to append the other way after so many ms.
local MOST_FAST = 90000

-- Adds what fast appends have done to the fields that they left as they were; only here, not in Redis. When the last one of them came is
-- not known: as late as it can have been.
local function fold(record)
  if not record.h or record.h == '0' then return record end
  local id, done = record.hp, record.h % 2^37
  local own = parse(record['p:' .. id] or redis.call('HGET', META, 'p:' .. id))
  local chunks = math.floor(done / 2^22)
  own.batch, own.last = own.batch + chunks, own.last + chunks
  record['p:' .. id] = producer_text(own)
  record.q, record.n, record.hot = int(own.last), int(record.n + done % 2^22), id
  if record.u and chunks > 0 then record.u = int(math.min(NOW, record.u + MOST_FAST)) end
  return record
end

-- Writes that to Redis. Every script that changes the record does so first: the producer's next fast batch is then refused.
local function commit(record)
  local id = record.hot
  if not id then return end
  redis.call('HSET', META, 'h', '0', 'q', record.q, 'n', record.n, 'u', record.u or int(NOW), 'p:' .. id, record['p:' .. id])
  record.hot = nil
end

local function load()
  local flat, record = redis.call('HGETALL', META), {}
  for i = 1, #flat, 2 do record[flat[i]] = flat[i + 1] end
  return fold(record)
end

-- The same without owner, metadata and the other producers' entries, which may be long.
local function load_for(producer)
  local own = 'p:' .. producer
  local names = { 'g', 'o', 'q', 's', 'r', 'e', 'm', 'x', 'n', 'y', 'z', 'v', 'l', 'b', 'pg', 'po', 't', 'ta', 'td', 'u', 'h', 'hp', 'hn', own }
  local record = {}
  for i, value in ipairs(redis.call('HMGET', META, unpack(names))) do record[names[i]] = value end
  return fold(record)
end

-- Whether there is a stream, and not just a tombstone or a kept stop.
local function exists(record) return record.s and record.s ~= 'deleted' end

-- The time until which a node has vouched for its producers.
local shown = {}
local function shown_until(node)
  if not shown[node] then
    -- In a cluster the key may be on another server; then the producers' own leases count.
    local left = redis.pcall('PTTL', NODES .. node)
    shown[node] = type(left) == 'number' and left > 0 and NOW + left or 0
  end
  return shown[node]
end

-- How many of these nodes live.
local function living(nodes)
  if #nodes > 1 then
    local keys = {}
    for i, node in ipairs(nodes) do keys[i] = NODES .. node end
    local count = redis.pcall('EXISTS', unpack(keys))
    -- The right may be missing, or a proxy may hide a cluster.
    if type(count) == 'number' then return count end
  end
  local count = 0
  for _, node in ipairs(nodes) do
    if shown_until(node) > NOW then count = count + 1 end
  end
  return count
end

-- So many nodes are looked at with one command.
local TOGETHER = 64
local function part(nodes, from) return { unpack(nodes, from, math.min(from + TOGETHER - 1, #nodes)) } end

-- What matters of a producer's entry to others: its `lease`, its `node`, and until when that can vouch for it (`reach`). There may be many
-- entries, and reading one takes as long as a command.
local entries = {}
local function terms_of(text)
  local terms = entries[text]
  if not terms then
    local lease, node, more = string.match(text, '^%d+ %d+ (%d+) ?([^L]*)L?(%d*)')
    lease = tonumber(lease or 0)
    terms = { lease = lease, node = node or '', reach = lease > 0 and lease + (tonumber(more) or 0) or 0 }
    entries[text] = terms
  end
  return terms
end

-- Whether a producer lives if its node does.
local function depends(terms) return terms.lease <= NOW and terms.reach > NOW end

-- Whether a field is a producer's.
local function is_producer(field)
  local first, second = string.byte(field, 1, 2)
  return first == 112 and second == 58
end

-- How many producers live, apart from `except`, a field.
local function count_living(record, except)
  local count, nodes = 0, {}
  for field, text in pairs(record) do
    if is_producer(field) and text and field ~= except then
      local terms = terms_of(text)
      if terms.lease > NOW then
        count = count + 1
      elseif depends(terms) then
        nodes[#nodes + 1] = terms.node
      end
    end
  end
  return count + living(nodes)
end

-- A producer's own entry, if any; and the answer it gets if it may not write.
local function standing(record, generation, id)
  if not record.s then return nil, { 'missing' } end
  if record.g ~= generation then return nil, { 'fenced' } end
  if record.s == 'deleted' then return nil, { 'ended', 'interrupted', 'deleted' } end
  local text = record['p:' .. id]
  local own = text and parse(text)
  if record.s ~= 'active' then return own, { 'ended', record.s, record.r } end
  if not own or own.lease == 0 then return own, { 'fenced' } end
  return own
end

-- The answer to a producer; `refreshed` is what `refresh` returned.
local function done(record, last, refreshed, outcome, reason)
  return { 'done', int(last), record.x or false, outcome or false, reason or false, refreshed }
end

-- What the groups of the stream work on, see chunks.lua.
local function works()
  local groups = redis.pcall('HKEYS', KEYS[5])
  for i, group in ipairs(groups) do groups[i] = string.sub(META, 1, -5) .. 'work:' .. group end
  return groups
end

-- Where the pieces of a generation's large chunks are; those of the one before it are in the other.
local function large(ordinal) return string.sub(META, 1, -5) .. 'large:' .. ordinal % 2 end

-- How many pieces there are of a large chunk. One that is lost takes what was written after it along.
local function pieces(record, id)
  return tonumber(redis.call('HGET', large(record.o), id) or 0)
end

-- Who has written to a log.
local function writers() return string.sub(META, 1, -5) .. 'writers' end

-- The forks of a log, and the staged beginning of a fork that is not open yet.
local function forks() return string.sub(META, 1, -5) .. 'forks' end
local function staged() return string.sub(META, 1, -5) .. 'staged' end

-- Sets the TTL of all keys of the stream, or the end that is set for the log.
local function keep(record, ttl)
  if record.xa then ttl = int(math.max(1, record.xa - NOW)) end
  local own = string.sub(META, 1, -5)
  for _, keys in ipairs({ KEYS, works(), { large(0), large(1), writers(), forks() } }) do
    for _, key in ipairs(keys) do
      if string.sub(key, 1, #own) == own then redis.call('PEXPIRE', key, ttl) end
    end
  end
end

local function expire(record, ttl)
  record.t = NOW
  redis.call('HSET', META, 't', int(NOW))
  keep(record, ttl)
end

-- Renews the TTLs when half of their time is over; then it returns how long keys of the stream may exist from now on, else '0'.
local function refresh(record)
  if NOW - record.t <= record.ta / 2 then return '0' end
  expire(record, record.ta)
  return int(record.ta + record.td)
end

-- The same for a log, whose TTL begins again with each access. A user without the right to write may still read.
local function slide(record)
  local touched = redis.pcall('PEXPIRE', META, record.ta)
  if type(touched) ~= 'number' then return '0' end
  local refreshed = refresh(record)
  if refreshed == '0' then keep(record, record.ta) end
  return refreshed
end

-- Drops entries older than a generation, about 32 MiB at once; returns whether that was all, except for entries that share a
-- node of the Redis stream with newer ones. `longest` is the length of the longest frame, if that is known.
local function drop(ordinal, longest)
  local limit, is_all = math.max(100, math.floor(2^25 / math.max(SENT_ALONG, longest or 2^20))), true
  for _, key in ipairs({ LOG, SEALED }) do
    local dropped = redis.call('XTRIM', key, 'MINID', '~', ordinal .. '-0', 'LIMIT', limit)
    -- A node, which is dropped as a whole, may have more entries (stream-node-max-entries).
    if dropped == 0 then dropped = redis.call('XTRIM', key, 'MINID', '~', ordinal .. '-0', 'LIMIT', 300) end
    if dropped > math.max(0, limit - 300) then is_all = false end
  end
  return is_all
end

local function add(record, key, number, ...)
  redis.call('XADD', key, record.o .. '-' .. int(number), ...)
  if redis.call('XLEN', key) == 1 then redis.call('PEXPIRE', key, record.ta) end
end

-- Publishes to the nodes of the producers that have not completed, but not for `except`.
local function tell_producers(record, message, except)
  local told, own = {}, except and 'p:' .. except
  for field, text in pairs(record) do
    if is_producer(field) and field ~= own and text then
      local terms = terms_of(text)
      if terms.node ~= '' and terms.lease > 0 and not told[terms.node] then
        told[terms.node] = true
        redis.call('PUBLISH', NODES .. terms.node, message)
      end
    end
  end
end

-- Ends the active generation and notifies the listeners, and all producers except the one that ends it.
local function finish(record, outcome, reason, finisher)
  commit(record)
  local length = redis.pcall('XLEN', LOG)
  if record.y == record.q and length == 0 then
    redis.call('UNLINK', LOG)
  else
    -- The record is what counts: a generation ends even if something else is in the place of its log.
    redis.pcall('XADD', LOG, record.o .. '-' .. int(record.q + 1), 't', outcome .. ' ' .. reason)
  end
  redis.call('HSET', META, 's', outcome, 'r', reason, 'e', finisher or '', 'u', int(NOW))
  record.s, record.r, record.e = outcome, reason, finisher or ''
  expire(record, record.td)
  redis.call('PUBLISH', LIVE, 'e ' .. record.g .. ' ' .. record.q .. ' ' .. outcome .. ' ' .. reason)
  tell_producers(record, 'e ' .. record.g .. ' ' .. outcome .. '\n' .. STREAM .. '\n' .. reason, finisher)
end

-- An expired lease does not prove that its producer is dead: nobody could renew it while this server was away, stood still or
-- refused writes, and its clock may have jumped. So a lease that is about to expire is put under suspicion, and its producers
-- are notified, who renew it at once. They are dead when it has expired, nothing was heard of them for GRACE, and during this
-- time looks at the generation were noted here, with no pause longer than PAUSE (ADR 30).
local GRACE, PAUSE, AGAIN = 1750, 1500, 750

-- For how long an active generation is certain to live: as long as its last lease is valid, or one of its nodes vouches for it.
-- If it is under suspicion, also in how many ms to look again: 0 if its producers are dead. If a node vouches for it, nil, the node,
-- and for how long that is possible.
local function examine(record)
  local lease, written, node, most, nodes, reach = 0, 0, nil, nil, {}, {}
  for field, text in pairs(record) do
    if is_producer(field) and text then
      local terms = terms_of(text)
      local by = terms.node
      written = math.max(written, terms.lease)
      if terms.reach > math.max(terms.lease, NOW) then
        nodes[#nodes + 1], reach[by] = by, math.max(reach[by] or 0, terms.reach)
      end
    end
  end
  lease = written
  for from = 1, #nodes, TOGETHER do
    if node and lease - NOW > GRACE then break end
    local some = part(nodes, from)
    if living(some) > 0 then
      for _, each in ipairs(some) do
        local valid = math.min(reach[each], shown_until(each))
        if valid > lease then lease, node, most = valid, each, reach[each] end
        if node and lease - NOW > GRACE then break end
      end
    end
  end
  local left = math.max(0, lease - NOW)
  if left > GRACE then return left, nil, node, node and most - NOW end
  local sign = int(written) .. '-' .. record.q
  local of, since, seen = string.match(record.j or '', '^(%S+) (%d+) (%d+)$')
  local pause = NOW - (tonumber(seen) or 0)
  local is_known = of == sign and pause >= 0 and pause <= PAUSE
  if not is_known then since = int(NOW) end
  -- A server that refuses this refuses renewals too.
  local noted = redis.pcall('HSET', META, 'j', sign .. ' ' .. since .. ' ' .. int(NOW))
  if type(noted) ~= 'number' then return left end
  if not is_known then tell_producers(record, 'r ' .. record.g .. '\n' .. STREAM .. '\n') end
  return left, math.min(math.max(left, since + GRACE - NOW, 0), AGAIN)
end

-- Ends a generation whose producers are all dead. Returns what `examine` does, 0 once it has ended.
local function lapse(record)
  if record.s ~= 'active' then return 0 end
  local left, doubt, node, most = examine(record)
  if doubt ~= 0 then return left, doubt, node, most end
  if record.x then finish(record, 'stopped', record.x) else finish(record, 'interrupted', 'lease') end
  return 0
end

-- In how many ms the caller should ask again, as a field of replies; false unless the lease has expired.
local function again(left, doubt) return left == 0 and doubt and int(doubt) or false end
