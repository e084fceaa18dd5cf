-- Adds a finished generation to the queue, if any group has ever asked for it.
--
-- ARGV[2] the member of OPEN   ARGV[3] '1': only if it is there, '0': in any case   ARGV[4] the queue's bound
-- ARGV[5] stream id   ARGV[6] cursor   ARGV[7] outcome, '' to forget it   ARGV[8] reason
local was_open = redis.pcall('ZREM', OPEN, ARGV[2]) == 1
if ARGV[7] == '' or (ARGV[3] == '1' and not was_open) then return 0 end
local fields = { 's', ARGV[5], 'c', ARGV[6], 'o', ARGV[7], 'r', ARGV[8] }
local is_added = redis.call('XADD', WORK, 'NOMKSTREAM', 'MAXLEN', '~', ARGV[4], '*', unpack(fields))
local listeners = redis.call('PUBLISH', NEWS, 'f')
-- A listener means that there is a group: Redis has evicted the queue.
if not is_added and listeners > 0 then is_added = redis.call('XADD', WORK, '*', unpack(fields)) end
if is_added then keep(WORK) end
return 0
