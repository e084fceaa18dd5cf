-- A producer is gone without having ended its generation, but its node lives: the node no longer vouches for it. If all others are
-- dead too, the generation ends.
--
-- ARGV[4] producer
local record, id = load(), ARGV[4]
local text = record['p:' .. id]
local own = text and parse(text)
if record.s ~= 'active' or not own or own.lease == 0 then return 0 end
commit(record)
own.lease, own.node = math.min(own.lease, NOW), string.match(own.node, '^[^L]+')
put(id, own)
record['p:' .. id] = producer_text(own)
if count_living(record) > 0 then return 0 end
if record.x then finish(record, 'stopped', record.x, id) else finish(record, 'interrupted', 'lease', id) end
return 0
