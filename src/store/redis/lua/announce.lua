-- Adds a finished generation to the queue, if any group has ever asked for it.
--
-- ARGV[2] the member of OPEN   ARGV[3] '1': only if it is there, '0': in any case   ARGV[4] the queue's bound
-- ARGV[5] stream id   ARGV[6] cursor   ARGV[7] outcome, '' to forget it   ARGV[8] reason
local was_open = redis.pcall('ZREM', OPEN, ARGV[2]) == 1
if ARGV[7] == '' or (ARGV[3] == '1' and not was_open) then return 0 end
announce(WORK, ARGV[4], ARGV[1], ARGV[5], ARGV[6], ARGV[7], ARGV[8])
return 0
