-- The status of a stream.
--
-- ARGV[4] how many consumers are shown
-- Reply: nil | { 'damaged', why } | { state, reason, generation, base, seq, bytes, stored bytes, producers, stop | nil, owner | nil
--              , metadata | nil, started, updated, ttl, { consumer, cursor, ... }
--              , when to ask again | nil, content type | nil, TTL | nil, end | nil, origin | nil   (of a log)
--              }
local record, wrong = inspect()
if wrong then return { 'damaged', wrong } end
if not exists(record) then return false end
local left, doubt = lapse(record)
local alive = record.s == 'active' and record.m ~= 'l' and count_living(record) or 0
-- A small hash is returned whole, whatever the count.
local shown = 2 * ARGV[4]
local scanned = redis.pcall('HSCAN', KEYS[4], 0, 'COUNT', ARGV[4])
local consumers = scanned.err and {} or scanned[2]
for i = #consumers, shown + 1, -1 do consumers[i] = nil end
return {
  record.s, record.r, record.g, record.b, record.q, record.n, int(record.n - record.z), int(alive), record.x or false,
  record.w or false, record.d or false, record.c, record.u, int(math.max(0, redis.call('PTTL', META))), consumers,
  again(left, doubt), record.ct or false, record.lt or false, record.xa or false, record.ff or false,
}
