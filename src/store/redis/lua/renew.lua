-- Prolongs a producer's lease.
--
-- ARGV[4] generation   ARGV[5] producer   ARGV[6] lease, as `prolong` takes it
-- Reply: see append.lua
local record = load_for(ARGV[5])
local own, refusal = standing(record, ARGV[4], ARGV[5])
if refusal then return refusal end
commit(record)
prolong(own, ARGV[6])
put(ARGV[5], own)
return done(record, record.q, refresh(record))
